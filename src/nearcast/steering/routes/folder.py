"""The files of the route table in their folder: which one is in force, and whether its writer lives.

state               generation in force and the writer's last sign of life; never replaced, so that a mapping of it stays good
base-<generation>   the compiled table
log-<generation>    changes since
places-<digest>     geography
lock                held by the writer

All but the lock may be read by every user of the host.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

from nearcast.base import shared
from nearcast.steering.routes.arrays import Damaged

BASE_MAGIC = b"NCROUTE1"
_STATE_MAGIC = b"NCSTATE1"
_STATE_BYTES = 64
_GENERATION, _BEAT_MS = 1, 2


def base_path(folder: Path, generation: int) -> Path:
    return folder / f"base-{generation}"


def log_path(folder: Path, generation: int) -> Path:
    return folder / f"log-{generation}"


class State:
    """The mapped state. Each word is written at once. Raises FileNotFoundError where there is none yet, Damaged where it is none."""

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self._path = path = folder / "state"
        if write:
            _make(path)
        with path.open("r+b" if write else "rb") as file:
            self.inode = os.fstat(file.fileno()).st_ino
            if os.fstat(file.fileno()).st_size < _STATE_BYTES:
                raise Damaged(f"{path} is cut off")
            access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
            view = memoryview(mmap.mmap(file.fileno(), _STATE_BYTES, access=access))
        if bytes(view[:8]) != _STATE_MAGIC:
            raise Damaged(f"{path} is no state of a route table")
        self.words = view.cast("Q")

    @property
    def generation(self) -> int:
        """0: none was published yet."""
        return self.words[_GENERATION]

    @generation.setter
    def generation(self, value: int) -> None:
        self.words[_GENERATION] = value

    @property
    def stands(self) -> bool:
        """Whether this is still what others find who look for it."""
        try:
            return self._path.stat().st_ino == self.inode
        except FileNotFoundError:
            return False

    @property
    def beat_s(self) -> float:
        """The writer's last sign of life, on the monotonic clock of the host; 0: it has ended."""
        return self.words[_BEAT_MS] / 1000

    @beat_s.setter
    def beat_s(self, value: float) -> None:
        self.words[_BEAT_MS] = int(value * 1000)


def _make(path: Path) -> None:
    """A state that is whole is kept, as others have it mapped; one that is damaged is made anew."""
    with contextlib.suppress(FileNotFoundError):
        content = path.read_bytes()
        if len(content) == _STATE_BYTES and content.startswith(_STATE_MAGIC):
            shared.show(path)
            return
    fresh = path.with_name(f".state.{os.getpid()}")
    fresh.write_bytes(_STATE_MAGIC.ljust(_STATE_BYTES, b"\0"))
    shared.show(fresh)
    fresh.replace(path)


def show(folder: Path) -> None:
    """Let every user of the host read what is there, of writers before us that went by their umask. Raises OSError."""
    for kind in ("base", "log", "places"):
        for each in folder.glob(f"{kind}-*"):
            shared.show(each)


def generations(folder: Path) -> list[int]:
    """Of all base and log files, the finished ones."""
    numbers = {each.name.partition("-")[2] for kind in ("base", "log") for each in folder.glob(f"{kind}-*")}
    return sorted(int(each) for each in numbers if each.isdigit())


def clean(folder: Path, keep: set[int], places: set[str]) -> None:
    """Remove what is not in force any more. Who has a file mapped keeps it; who is just opening one opens the next."""
    for each in folder.iterdir():
        kind, _, rest = each.name.partition("-")
        old = kind in ("base", "log") and not (rest.isdigit() and int(rest) in keep)
        if old or (kind == "places" and each.name not in places):
            with contextlib.suppress(OSError):
                each.unlink()


def clean_halves(folder: Path, *kinds: str) -> None:
    """Remove what somebody began to write who was killed. Nobody may be writing such files now."""
    for kind in kinds:
        for each in folder.glob(f".{kind}-*"):
            with contextlib.suppress(OSError):
                each.unlink()
