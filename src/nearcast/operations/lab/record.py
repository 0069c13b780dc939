"""What a lab has made, written down before it is made, so that whoever comes after can remove it: that and nothing else.

A record is a file in /run/nearcast-lab. A namespace in it is ours if it has the inode that was noted, or if it was about to be made
when the lab was killed and was not there before. Processes are found by the namespace they are in.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from nearcast.base.errors import Conflict, NearcastError
from nearcast.base.processes import Identity, send, wait_gone, write_atomically
from nearcast.operations.lab.commands import NAMESPACES, CommandFailed, run

FOLDER = Path("/run/nearcast-lab")
PREFIX = "nc-"
NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,30}$")
END_S = 15.0
ROUNDS_MAX = 200


class LabExists(Conflict):
    """A lab of this name is there, or something else has a name that it would need."""

    code = "NC0261"
    cure = "`nearcast lab down NAME` removes a lab; or take another name"


class StillThere(NearcastError):
    """A lab was to be removed, and something of it is still there."""

    code = "NC0262"
    cure = "`nearcast lab status` shows what is left; `nearcast lab down` tries again"


class Record(Struct, kw_only=True):
    """One lab. ``namespaces``: inode by name, 0 while it is being made. ``state``: ``starting``, ``up``, or a sentence why it failed."""

    name: str
    keeper: Identity
    source: str = ""
    state: str = "starting"
    since: float = 0.0
    folder: str = ""
    namespaces: dict[str, int] = {}
    notes: dict[str, str] = {}

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def save(self) -> None:
        write_atomically(self.path, msgspec.json.encode(self))


def namespace(lab: str, node: str) -> str:
    return f"{PREFIX}{lab}-{node}"


def begin(record: Record) -> None:
    """Write a new record. Raises LabExists."""
    if not NAME.match(record.name):
        raise LabExists(f"{record.name!r} is no name for a lab", hint="use up to 31 small letters, digits and dashes")
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(record.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise LabExists(f"there is a lab {record.name} already") from None
    record.save()


def make_namespace(record: Record, name: str) -> None:
    """Raises LabExists where somebody else has a namespace of this name."""
    if (NAMESPACES / name).exists():
        raise LabExists(f"there is a network namespace {name} that this lab did not make")
    record.namespaces[name] = 0
    record.save()
    run(["ip", "netns", "add", name])
    record.namespaces[name] = (NAMESPACES / name).stat().st_ino


def make_folder(record: Record, folder: Path) -> None:
    """A folder that goes with the lab."""
    if folder.exists():
        raise LabExists(f"{folder} is there, and this lab did not make it")
    record.folder = str(folder)
    record.save()
    folder.mkdir(mode=0o755)


def read(name: str) -> Record | None:
    try:
        return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def records() -> list[Record]:
    """Every lab of this machine, running or left over."""
    found = (read(path.stem) for path in sorted(FOLDER.glob("*.json")))
    return [each for each in found if each]


def processes(inodes: set[int]) -> Iterator[int]:
    """The processes in the network namespaces of these inodes."""
    own = os.stat("/proc/self/ns/net").st_ino
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                inode = os.stat(f"/proc/{entry.name}/ns/net").st_ino
                if inode in inodes and inode != own:
                    yield int(entry.name)


def present(record: Record) -> dict[str, int]:
    """The namespaces of a record that are still there and still those that it made, with their inodes."""
    found = {}
    for name, inode in record.namespaces.items():
        with contextlib.suppress(OSError):
            now = (NAMESPACES / name).stat().st_ino
            if inode in (0, now):
                found[name] = now
    return found


def clean(record: Record, *, with_keeper: bool = True) -> int:
    """Remove everything of a lab; answers with how many namespaces went. Takes seconds at the most. Raises StillThere."""
    count = len(present(record))
    if with_keeper and record.keeper.alive and record.keeper.pid != os.getpid():
        send(record.keeper, signal.SIGTERM)
        send(record.keeper, signal.SIGCONT)
        if not wait_gone(record.keeper, END_S):
            send(record.keeper, signal.SIGKILL)
            wait_gone(record.keeper, 5.0)
        record = read(record.name) or record
    there = present(record)
    _end_processes(set(there.values()))
    for name in there:
        with contextlib.suppress(CommandFailed):
            run(["ip", "netns", "del", name])
    _end_processes(set(there.values()))  # one that was just going in has no name to go by, but lives in it
    if record.folder:
        shutil.rmtree(record.folder, ignore_errors=True)
    left = list(present(record))
    if left:
        raise StillThere(f"{', '.join(left)} of the lab {record.name} cannot be removed")
    record.path.unlink(missing_ok=True)
    return count


def _end_processes(inodes: set[int]) -> None:
    """kill -9, until none is left: a supervisor among them may start another meanwhile. Raises StillThere."""
    until_s = time.monotonic() + END_S
    for _ in range(ROUNDS_MAX):
        found = list(processes(inodes)) if inodes else []
        if not found or time.monotonic() > until_s:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    else:
        raise StillThere("processes of the lab do not end")
