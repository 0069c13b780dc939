"""nginx's cache files, read and taken away by an agent that may be root, in folders that belong to nginx's workers.

Whoever took over a worker could put links, pipes and folders of their own there. So every step goes by a file descriptor of the
folder before it, no link is followed, and only regular files are opened.

A file is taken away by a tombstone in its place: a short file of another version, which nginx passes over in silence and replaces on
the next miss. A file that was merely gone would be a grave error to it when it tidies up. Answers in course keep the file they have open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

HEADER_BYTES = 4096
"""Version, key and the parent's headers stand within so many bytes from the start of a cache file."""
TOMBSTONE = bytes(HEADER_BYTES)
"""nginx's cache files begin with their version, which is never 0."""
_DIGEST = re.compile("[0-9a-f]{32}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CacheFiles:
    """The cache files (``levels=1:2``) below ``slices``, whose grandparent is the agent's own. Files are named by MD5 in hex."""

    def __init__(self, slices: Path) -> None:
        self._root = slices.parent.parent
        self._below = (slices.parent.name, slices.name)

    def read(self, digest: str, bytes_max: int = -1) -> tuple[bytes, os.stat_result] | None:
        """The first bytes of a cache file, and its state; None where there is none, or a tombstone."""
        with contextlib.suppress(OSError), self._folder(*_levels(digest)) as folder:
            descriptor = os.open(digest, _FILE, dir_fd=folder)
            with open(descriptor, "rb") as file:
                state = os.fstat(descriptor)
                raw = file.read(bytes_max) if stat.S_ISREG(state.st_mode) else b""
                return (raw, state) if any(raw[:8]) else None
        return None

    def bury(self, digest: str) -> int:
        """Take a cache file away: how many bytes that freed. Raises OSError."""
        with self._folder(*_levels(digest)) as folder:
            try:
                before = os.stat(digest, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return 0
            try:
                self._place_tombstone(folder, digest)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                os.unlink(digest, dir_fd=folder)  # room is worth a line in nginx's log
            return max(0, before.st_size - len(TOMBSTONE))

    def digests(self) -> Iterator[str]:
        """Every cache file, tombstones among them."""
        for first in self._names():
            for second in self._names(first):
                yield from (each for each in self._names(first, second) if _DIGEST.fullmatch(each) and _levels(each) == (first, second))

    def _names(self, *levels: str) -> list[str]:
        with contextlib.suppress(OSError), self._folder(*levels) as folder:
            return os.listdir(folder)
        return []

    @staticmethod
    def _place_tombstone(folder: int, digest: str) -> None:
        fresh = f"{secrets.token_hex(8)}.gone"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            try:
                os.write(descriptor, TOMBSTONE)
                owner = os.fstat(folder)
                if owner.st_uid != os.geteuid():
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
            finally:
                os.close(descriptor)
            os.rename(fresh, digest, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=folder)
            raise

    @contextlib.contextmanager
    def _folder(self, *levels: str) -> Iterator[int]:
        folder = os.open(self._root, _DIRECTORY)
        try:
            for name in (*self._below, *levels):
                inner = os.open(name, _DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def _levels(digest: str) -> tuple[str, str]:
    return digest[-1], digest[-3:-1]
