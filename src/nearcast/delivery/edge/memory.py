"""Where an edge's nginx keeps slices for the seconds after they came: in memory, so that what is asked for but once writes no disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from pathlib import Path

import structlog
from msgspec import Struct

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (ours is a folder in it that is looked at before it is used)
MEMORY_BYTES_MIN = 512 << 20
"""A smaller memory file system (a container's) could be full between two looks at it."""
WINDOW_BYTES = (64 << 20, 1 << 30)
OWNER = "edge"
"""The file that names the edge's folder. Agent and nginx hold it by flock, which other containers with the same memory see as well."""
_log = structlog.get_logger("edge")


class Window(Struct, frozen=True):
    """``landing`` is nginx's; files in ``admitted`` name slices that are to be kept on the disk. Below ``floor_bytes`` there is no room.

    ``held``: descriptor by which this process keeps it from being swept, for nginx to inherit; -1 on a disk, where nobody sweeps.
    """

    base: Path
    landing: Path
    admitted: Path
    size_bytes: int
    floor_bytes: int
    held: int = -1


def window_bytes(free_bytes: int) -> int:
    """How much of a memory file system the window may take: a quarter of what is free, within bounds."""
    return max(WINDOW_BYTES[0], min(WINDOW_BYTES[1], free_bytes // 4))


def open_window(folder: Path, shared: Path = SHARED_MEMORY) -> Window:
    """The window of the edge in ``folder``: made, or found as an earlier agent left it. On the edge's disk where memory has no room."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    base = shared / f"nearcast-{os.geteuid()}-{digest}"
    try:
        found = os.statvfs(shared)
        total_bytes, free_bytes = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        sweep(shared)
        if total_bytes >= MEMORY_BYTES_MIN:
            folder.mkdir(parents=True, exist_ok=True)
            held = _hold(base, folder)
            return _made(base, window_bytes(free_bytes), min(total_bytes // 8, 1 << 30), held)
    except OSError as error:
        _log.info("there is no memory file system to use", path=str(shared), error=error.strerror)
    base = folder / "run" / "window"  # not below what belongs to the workers
    base.mkdir(parents=True, exist_ok=True)
    return _made(base, WINDOW_BYTES[0], WINDOW_BYTES[0])


def close_window(window: Window) -> None:
    """Leave nothing of it behind."""
    shutil.rmtree(window.base, ignore_errors=True)
    let_go(window)


def let_go(window: Window) -> None:
    """Leave it to whoever else holds it: an nginx that serves on."""
    if window.held >= 0:
        os.close(window.held)


def sweep(shared: Path) -> None:
    """Remove the windows that nobody holds of edges whose folders are gone: who was killed could not do so himself.

    A folder may be out of sight and not gone: on a disk that is unmounted for a while, or in another container.
    """
    for base in shared.glob(f"nearcast-{os.geteuid()}-*"):
        try:
            if not _ours(base.lstat()):
                continue
            with (base / OWNER).open("rb") as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not Path(os.fsdecode(owner.read())).exists():
                    _log.info("an edge was removed; so is its window", window=str(base))
                    shutil.rmtree(base, ignore_errors=True)
        except (OSError, ValueError):  # somebody holds it, another start was quicker, or it does not say whose it is
            continue


def narrow(window: Window) -> bool:
    """Is there too little memory left for nginx to let slices land in it?"""
    try:
        found = os.statvfs(window.landing)
    except OSError:
        return True
    return found.f_bavail * found.f_frsize < window.floor_bytes


def _own(base: Path) -> bool:
    """Make the folder, or see that it is our own: anyone may make folders there, under any name."""
    try:
        base.mkdir(mode=0o711)
    except FileExistsError:
        return _ours(base.lstat())
    base.chmod(0o711)
    return True


def _ours(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _hold(base: Path, folder: Path) -> int:
    """Say whose it is, and hold it. Waits for one who sweeps just now, and makes it again where that one took it away."""
    while True:
        if not _own(base):
            raise PermissionError(errno.EPERM, "others may write there")
        try:
            held = os.open(base / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            os.pwrite(held, os.fsencode(folder), 0)  # the same each time: the window's name is made of it
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(held), (base / OWNER).stat()):
                    return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)


def _made(base: Path, size_bytes: int, floor_bytes: int, held: int = -1) -> Window:
    for name in ("landing", "admitted"):
        (base / name).mkdir(exist_ok=True)
    (base / "admitted").chmod(0o711)
    return Window(base, base / "landing", base / "admitted", size_bytes, floor_bytes, held)
