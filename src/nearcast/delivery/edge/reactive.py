"""The reactive partition: slices that nginx kept from misses. The agent removes what is not worth its room.

nginx knows only LRU; here its cache files are taken away one by one as ``eviction`` says. In the place of each stands a tombstone,
a short file of another version, which nginx passes over in silence and replaces on the next miss; a file that was merely gone would
be a grave error to it when it tidies up. Answers in course keep the file that they have open. While the agent is dead nginx goes on
keeping slices, up to its own bound.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

from nearcast.delivery.edge.eviction import Eviction
from nearcast.delivery.edge.logs import Line
from nearcast.model.rendition import BLOCK_BYTES

HEADER_BYTES = 4096
"""The name of a slice stands within so many bytes from the start of its cache file."""
TOMBSTONE = bytes(HEADER_BYTES)
"""nginx's cache files begin with their version, which is never 0."""
_KEY = re.compile(rb"\nKEY: ([!-~]+ ?[!-~]*)\n")
_RANGE = re.compile(r"bytes=(\d{1,18})-\d{0,18}")
_log = structlog.get_logger("edge")


def slice_name(title_id: str, file: str, index: int) -> str:
    """A slice as nginx's ``proxy_cache_key`` names it."""
    return f"{title_id}/{file}/bytes={index * BLOCK_BYTES}-{(index + 1) * BLOCK_BYTES - 1}"


def cache_path(folder: Path, name: str) -> Path:
    """Where nginx keeps ``name`` (``levels=1:2``)."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return folder / digest[-1] / digest[-3:-1] / digest


def served_slices(line: Line) -> range:
    """Which slices of its file an answer that came by way of the parent was made of."""
    match = _RANGE.fullmatch(line.range) if line.status == 206 else None
    if not line.cache or not line.bytes or line.status not in (200, 206) or (line.status == 206 and match is None):
        return range(0)
    first = int(match.group(1)) if match else 0
    return range(first // BLOCK_BYTES, (first + line.bytes - 1) // BLOCK_BYTES + 1)


def kept_bytes(path: Path) -> int:
    """The size of a cache file; 0 where there is none, or a tombstone."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size if any(file.read(8)) else 0
    except OSError:
        return 0


def bury(path: Path) -> int:
    """Put a tombstone, which belongs to the same user, in the place of a cache file: how many bytes that freed."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return 0
    fresh = path.with_suffix(".gone")
    fresh.write_bytes(TOMBSTONE)
    if before.st_uid != os.geteuid():
        os.chown(fresh, before.st_uid, before.st_gid)
    fresh.chmod(before.st_mode & 0o777)
    fresh.replace(path)
    return max(0, before.st_size - len(TOMBSTONE))


class Reactive:
    """The slices below ``folder``, kept within ``capacity_bytes``. Its methods touch the disk: call them in threads.

    ``wrong_total`` counts slices that turned out wrong, ``exposures_total`` the answers that may have had bytes of them.
    """

    def __init__(self, folder: Path, capacity_bytes: int) -> None:
        self._folder = folder
        self._eviction = Eviction(capacity_bytes)
        self._unverified: dict[str, int] = {}
        """How many answers each new slice was in, until it is verified."""
        self._lock = threading.Lock()
        self.removed_bytes_total = self.wrong_total = self.exposures_total = 0

    @property
    def used_bytes(self) -> int:
        return self._eviction.used_bytes

    @property
    def leader(self) -> str:
        """The policy that decides now."""
        return self._eviction.leader

    def adopt(self) -> None:
        """Take in what lies there from before, the oldest first, and forget what is gone."""
        with self._lock:
            for name in self._eviction.names():
                if not kept_bytes(self.path(name)):
                    self._forget(name)
            for _, name, size_bytes in sorted(self._unknown()):
                self._take(name, size_bytes, answers=0)

    def served(self, line: Line) -> None:
        """nginx has answered: what it kept of that counts, and what that displaces is removed."""
        for index in served_slices(line):
            name = slice_name(line.title, line.file, index)
            with self._lock:
                size_bytes = kept_bytes(self.path(name))
                if size_bytes:
                    self._take(name, size_bytes, answers=1)
                else:  # passed on without being kept
                    self._forget(name)

    def unverified(self, count_max: int) -> list[str]:
        """Slices to verify, the newest first: they are the ones that are asked for."""
        with self._lock:
            return list(itertools.islice(reversed(self._unverified), count_max))

    def settle(self, name: str, right: bool) -> None:
        """A slice was verified; a wrong one is taken away."""
        with self._lock:
            answers = self._unverified.pop(name, 0)
            if not right:
                self.wrong_total += 1
                self.exposures_total += answers
                self._forget(name)
                self._remove(name)

    def path(self, name: str) -> Path:
        return cache_path(self._folder, name)

    def _take(self, name: str, size_bytes: int, answers: int) -> None:
        if name not in self._eviction or name in self._unverified:
            self._unverified[name] = self._unverified.get(name, 0) + answers
        for gone in self._eviction.request(name, size_bytes):
            self._unverified.pop(gone, None)
            self._remove(gone)

    def _forget(self, name: str) -> None:
        self._eviction.forget(name)
        self._unverified.pop(name, None)

    def _remove(self, name: str) -> None:
        try:
            self.removed_bytes_total += bury(self.path(name))
        except OSError as error:
            _log.warning("a slice cannot be removed", slice=name, error=error.strerror)

    def _unknown(self) -> Iterator[tuple[float, str, int]]:
        """Modification time, name and size of slices that the agent has not heard of."""
        for path in self._folder.glob("?/??/" + "[0-9a-f]" * 32):
            try:
                with path.open("rb") as file:
                    key = _KEY.search(file.read(HEADER_BYTES))
                state = path.stat()
            except OSError:  # nginx removed it meanwhile
                continue
            name = key.group(1).decode() if key else ""
            if name and name not in self._eviction and self.path(name) == path:
                yield state.st_mtime, name, state.st_size
