"""Files that are there whole or not at all: written beside, synced, then renamed. Foreign errors of the disk are mapped here."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from nearcast.base.errors import Unavailable
from nearcast.media.tools import DiskFull


class DiskFailed(Unavailable):
    """A folder of Nearcast's own cannot be read or written."""

    code = "NC1005"
    cure = "see that the home folder exists, belongs to this user and is on a sound disk"


@contextlib.contextmanager
def disk() -> Iterator[None]:
    """Maps OSError to DiskFull or DiskFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no space left on the disk") from error
        raise DiskFailed(f"{error.filename or 'a file'}: {error.strerror}") from error


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put ``content`` at ``path`` so that a crash leaves the old or the new, never a part."""
    part = path.with_name(path.name + ".part")
    with disk():
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync(path.parent)


def settle(part: Path, final: Path) -> None:
    """Make a finished file or folder of files final: sync what is in it, rename it, sync the parent."""
    with disk():
        for each in sorted(part.iterdir()) if part.is_dir() else [part]:
            sync(each)
        part.replace(final)
        sync(final.parent)
