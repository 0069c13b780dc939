"""Processes of the machine, as Linux tells of them in ``/proc``: who they are, what they use, how to wait for them, how to end them.

A process id is used again after a while, so an identity is the id and the time at which the process started (proc(5), field 22).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import itertools
import os
import pwd
import select
import signal
import time
from pathlib import Path

from msgspec import Struct

from nearcast.base.errors import Conflict, Unavailable

_TICKS_IN_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class AlreadyRunning(Conflict):
    """Another supervisor works in this home folder."""

    code = "NC0201"
    cure = "`nearcast status` shows it; `nearcast down` ends it"


class Identity(Struct, frozen=True):
    """One process, told apart from later ones with the same id."""

    pid: int
    started_ticks: int

    @property
    def alive(self) -> bool:
        """Running, or stopped by a signal; a zombie is dead."""
        found = _stat(self.pid)
        return found is not None and found[1] == self.started_ticks and found[0] not in "ZX"

    @property
    def started_at(self) -> float:
        """Unix time. Its ticks are counted from the start of the machine."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + self.started_ticks / _TICKS_IN_S


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State letter, start in ticks, parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19]), int(fields[1])


def identify(pid: int) -> Identity | None:
    """None where there is no such process."""
    found = _stat(pid)
    return None if found is None else Identity(pid, found[1])


class Place(Struct, frozen=True):
    """Where a folder lies, so that what was written in it is told apart from a copy of it elsewhere."""

    path: str
    device: int
    inode: int

    def same(self, other: Place) -> bool:
        """A folder that was renamed has its inode still, and one that was mounted anew its path; a copy has neither."""
        return self.path == other.path or (self.device, self.inode) == (other.device, other.inode)


def place_of(folder: Path) -> Place:
    """Raises OSError where there is no such folder."""
    found = folder.stat()
    return Place(os.path.realpath(folder), found.st_dev, found.st_ino)


def wait_gone(identity: Identity, timeout_s: float) -> bool:
    """Wait until the process has ended; False after ``timeout_s``. Blocks the thread."""
    until_s = time.monotonic() + timeout_s
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(identity.pid)
        try:
            while identity.alive and (left_s := until_s - time.monotonic()) > 0:
                select.select([descriptor], [], [], min(left_s, 0.5))
        finally:
            os.close(descriptor)
    return not identity.alive


async def gone(identity: Identity) -> None:
    """Return once the process has ended, child of ours or not."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        if identity.alive:
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def send(identity: Identity, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to the process (``group``: and to its process group); nothing where it is gone."""
    if not identity.alive:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, number)
    if group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(identity.pid) == identity.pid:
                os.killpg(identity.pid, number)


async def end(identity: Identity, timeout_s: float) -> None:
    """SIGTERM, and SIGKILL for the whole group after ``timeout_s``. Raises Unavailable when even that does not help."""
    send(identity, signal.SIGTERM)
    send(identity, signal.SIGCONT)  # a process that is stopped hears nothing
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(gone(identity), timeout_s)
        return
    send(identity, signal.SIGKILL, group=True)
    try:
        await asyncio.wait_for(gone(identity), 5.0)
    except TimeoutError as error:
        raise Unavailable(f"process {identity.pid} cannot be ended", hint="it hangs in the kernel, often on a dead disk") from error


def family(pid: int) -> list[int]:
    """``pid`` and everything below it, running now."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (found := _stat(int(entry.name))):
            parents.setdefault(found[2], []).append(int(entry.name))
    out, todo = [], [pid]
    while todo:
        each = todo.pop()
        out.append(each)
        todo += parents.get(each, [])
    return out


def user_name() -> str:
    """Of whoever we run as. A container's user may have no name; a program that asks for one then drops nothing either."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "nobody"


def die_with_parent() -> None:
    """Have the kernel kill this process (prctl(2), PR_SET_PDEATHSIG) when the thread that started it ends. Fit for ``preexec_fn``."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def memory_bytes(pid: int) -> int:
    """Memory of one process: its proportional set size, or where that may not be read, its resident size. 0 where it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


class Lock:
    """One holder per file, by flock: the kernel gives it back when the holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Raises AlreadyRunning when another process holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(f"another process holds {self._path}") from error
        self._descriptor = descriptor

    def free(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def held(path: Path) -> bool:
    """Whether some process holds the lock at ``path``."""
    lock = Lock(path)
    try:
        lock.take()
    except AlreadyRunning:
        return True
    lock.free()
    return False


def write_atomically(path: Path, content: bytes, *, durable: bool = False, mode: int | None = None) -> None:
    """Readers see the old content or the new, never a part. ``durable``: the new is on the disk before it takes the old one's place.

    ``mode``: who may do what with it, from its first byte on; None: what the umask leaves to all. Raises OSError, and the old one stays.
    """
    fresh, descriptor = _draft(path, 0o666 if mode is None else mode)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        if durable:
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)  # last: as long as it is held, no other writer takes it for one that was left


def _draft(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside ``path`` and its descriptor, held by flock while it is open. What a killed writer left gives way to the next."""
    for number in itertools.count():
        fresh = path.with_name(f".{path.name}.{number}")
        _clear(fresh)
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            continue
        if _taken(fresh, descriptor):
            return fresh, descriptor
        os.close(descriptor)  # another writer took it for one that was left
    raise AssertionError("numbers do not end")


def _clear(fresh: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(fresh, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _taken(fresh, descriptor):
                fresh.unlink()
        finally:
            os.close(descriptor)


def _taken(path: Path, descriptor: int) -> bool:
    """Whether the file is ours alone, and still the one at ``path``."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def rotate(path: Path, size_bytes_max: int, keep: int) -> bool:
    """Copy a log that has grown past ``size_bytes_max`` to ``.1`` (older ones count up to ``keep``) and empty it.

    Copied, not renamed: the writer holds the file open for appending and knows nothing of this.
    """
    try:
        if path.stat().st_size <= size_bytes_max:
            return False
    except FileNotFoundError:
        return False
    for number in range(keep - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}.{number}").replace(path.with_name(f"{path.name}.{number + 1}"))
    with path.open("rb") as source, path.with_name(f"{path.name}.1").open("wb") as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
    os.truncate(path, 0)
    return True
