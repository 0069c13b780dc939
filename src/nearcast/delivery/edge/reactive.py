"""The reactive partition: slices that nginx kept from misses. The agent says which are kept, and removes what is not worth its room.

Slices land in memory (memory.py). nginx keeps those on the disk for which a file lies in ``admitted``, as ``admission`` says, and its
cache files are taken away one by one as ``eviction`` says: by itself nginx knows only LRU. While the agent is dead what was admitted stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import structlog

from nearcast.delivery.edge.admission import Admission
from nearcast.delivery.edge.cachefiles import HEADER_BYTES, CacheFiles
from nearcast.delivery.edge.eviction import Eviction
from nearcast.delivery.edge.logs import MEMORY, Line
from nearcast.delivery.edge.memory import Window
from nearcast.model.rendition import BLOCK_BYTES

AWAITED_MAX = 4096
"""Slices that were admitted and not asked for since; the oldest are admitted no longer."""
_KEY = re.compile(rb"\nKEY: ([A-Za-z0-9_-]{1,64}/[0-9a-f]{64}\.[a-z0-9]{1,8}/bytes=\d{1,18}-\d{1,18})\n")
Verdict = Literal["right", "wrong", "gone"]
_RANGE = re.compile(r"bytes=(\d{1,18})-\d{0,18}")
_log = structlog.get_logger("edge")


def slice_name(title_id: str, file: str, index: int) -> str:
    """A slice as nginx's ``proxy_cache_key`` names it."""
    return f"{title_id}/{file}/bytes={index * BLOCK_BYTES}-{(index + 1) * BLOCK_BYTES - 1}"


def digest_of(name: str) -> str:
    """How nginx names the cache file of a slice."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def flag_of(name: str) -> str:
    """The file by which nginx is told to keep a slice: ``$title.$file.$slice_range``."""
    return name.replace("/", ".")


def served_slices(line: Line) -> range:
    """Which slices of its file an answer that came by way of the parent was made of."""
    match = _RANGE.fullmatch(line.range) if line.status == 206 else None
    if not line.zone or line.zone == "off" or not line.bytes or line.status not in (200, 206) or (line.status == 206 and match is None):
        return range(0)
    first = int(match.group(1)) if match else 0
    return range(first // BLOCK_BYTES, (first + line.bytes - 1) // BLOCK_BYTES + 1)


class Reactive:
    """The slices below ``folder``, kept within ``capacity_bytes``. Its methods touch the disk: call them in threads.

    ``wrong_total`` counts slices that turned out wrong, ``exposures_total`` the answers that may have had bytes of them;
    ``written_bytes_total`` what was written to the disk.
    """

    def __init__(self, folder: Path, capacity_bytes: int, window: Window) -> None:
        self._files, self._landed = CacheFiles(folder), CacheFiles(window.landing)
        self._flags = window.admitted
        self._admission = Admission(capacity_bytes)
        self._eviction = Eviction(capacity_bytes)
        self._awaited: OrderedDict[str, None] = OrderedDict()
        self._unverified: OrderedDict[str, int] = OrderedDict()
        """How many answers each new slice was in, until it is verified."""
        self._lock = threading.Lock()
        self.removed_bytes_total = self.wrong_total = self.exposures_total = self.written_bytes_total = 0

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
                if not self._kept_bytes(name):
                    self._forget(name)
            for _, name, size_bytes in sorted(self._unknown()):
                self._take(name, size_bytes, answers=0)
            wanted = {flag_of(each) for each in (*self._eviction.names(), *self._awaited)}
            there = set(self._flags_there())
            for flag in there - wanted:
                self._flag(flag, False)
            for flag in wanted - there:
                self._flag(flag, True)

    def served(self, lines: Sequence[Line]) -> None:
        """nginx has answered: what it kept of that counts, what is worth it is admitted, and what that displaces is removed."""
        for line in lines:
            if line.zone:
                for index in served_slices(line):
                    name = slice_name(line.title, line.file, index)
                    with self._lock:
                        if line.zone == "slices":
                            self._served_kept(name, line)
                        else:
                            self._served_landed(name, line)

    def _served_kept(self, name: str, line: Line) -> None:
        size_bytes = self._kept_bytes(name)
        if not size_bytes:  # passed on without being kept
            self._forget(name)
            return
        if name not in self._eviction:
            self.written_bytes_total += size_bytes
        self._awaited.pop(name, None)
        self._take(name, size_bytes, answers=1)

    def _served_landed(self, name: str, line: Line) -> None:
        fetched = line.cache != "HIT" and line.parent != MEMORY
        if fetched or name in self._unverified:
            self._unverified[name] = self._unverified.get(name, 0) + 1
        if name in self._eviction or name in self._awaited:
            return
        if self._admission.request(name, BLOCK_BYTES, fetched):
            self._flag(flag_of(name), True)
            self._awaited[name] = None
            if len(self._awaited) > AWAITED_MAX:
                self._flag(flag_of(self._awaited.popitem(last=False)[0]), False)

    def unverified(self, count_max: int) -> list[str]:
        """Slices to verify, the newest first: they are the ones that are asked for."""
        with self._lock:
            return list(itertools.islice(reversed(self._unverified), count_max))

    def settle(self, name: str, verdict: Verdict) -> None:
        """A slice was verified. What is wrong is taken away and counted; what the parent has no more (``gone``) is taken away."""
        with self._lock:
            answers = self._unverified.pop(name, 0)
            if verdict == "right":
                return
            if verdict == "wrong":
                self.wrong_total += 1
                self.exposures_total += answers
            self._bury(self._landed, name)
            self._forget(name)
            self._remove(name)

    def postpone(self, name: str) -> None:
        """A slice cannot be verified now: the others come first."""
        with self._lock:
            if name in self._unverified:
                self._unverified.move_to_end(name, last=False)

    def read(self, name: str) -> bytes | None:
        """nginx's whole cache file of a slice, from the disk or from memory; None where there is none any more."""
        digest = digest_of(name)
        found = self._files.read(digest) or self._landed.read(digest)
        return found and found[0]

    def _kept_bytes(self, name: str) -> int:
        found = self._files.read(digest_of(name), 8)
        return found[1].st_size if found else 0

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
        self._awaited.pop(name, None)
        self._flag(flag_of(name), False)  # first, so that nobody fetches it into the place that is being cleared
        self.removed_bytes_total += self._bury(self._files, name)

    @staticmethod
    def _bury(files: CacheFiles, name: str) -> int:
        try:
            return files.bury(digest_of(name))
        except FileNotFoundError:  # not even its folder
            return 0
        except OSError as error:
            _log.warning("a slice cannot be removed", slice=name, error=error.strerror)
            return 0

    def _flag(self, flag: str, there: bool) -> None:
        with contextlib.suppress(OSError):  # no room for a name: it is not kept, or found out of place by the next adoption
            (self._flags / flag).touch() if there else (self._flags / flag).unlink(missing_ok=True)

    def _flags_there(self) -> list[str]:
        try:
            return os.listdir(self._flags)
        except OSError:
            return []

    def _unknown(self) -> Iterator[tuple[float, str, int]]:
        """Modification time, name and size of slices that the agent has not heard of."""
        for digest in self._files.digests():
            found = self._files.read(digest, HEADER_BYTES)
            key = _KEY.search(found[0]) if found else None
            if found is None or key is None:
                continue
            name = key.group(1).decode()
            if name not in self._eviction and digest_of(name) == digest:
                yield found[1].st_mtime, name, found[1].st_size
