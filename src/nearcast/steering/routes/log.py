"""The changes since a table was compiled, as one writer appends them and every process of the host reads them from the same memory.

A record counts once the committed length in the header covers it: eight bytes, written after the record, at once. The record's
own CRC-32 covers the rest: a reader that sees the length before the record (other processors than x86 may show that) looks again later.
A writer killed at any byte leaves an uncommitted rest, over which the next one writes. Nothing is synced here: a power cut may leave the
length without the records, which are zeros then. What is no record ends the log; routers tell what stood behind it again.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from nearcast.base import shared
from nearcast.model.route import Announcement
from nearcast.steering.routes.arrays import Damaged
from nearcast.steering.routes.prefix import Prefix, parse_prefix

_MAGIC = b"NCCHANG1"
_HEADER_BYTES = 64
_GENERATION, _FIRST_VERSION, _COMMITTED = 1, 2, 3
"""Places of 8 bytes in the header, after the magic."""
_RECORD = struct.Struct("=II")
"""Bytes of the record's content, and its CRC."""
_GROWS_BYTES = 1 << 18


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One change, seen in whole or not at all: first what is withdrawn (by prefix, site and source), then what is announced."""

    announced: tuple[Announcement, ...] = ()
    withdrawn: tuple[Announcement, ...] = ()

    def __len__(self) -> int:
        return len(self.announced) + len(self.withdrawn)


def folded(batches: Iterable[Batch]) -> Batch:
    """All of them as one: of changes to the same prefix, site and source the last counts."""
    last: dict[tuple[Prefix, str, str], tuple[bool, Announcement]] = {}
    for batch in batches:
        for announced, changes in ((False, batch.withdrawn), (True, batch.announced)):
            last.update({(parse_prefix(each.prefix), each.site, each.source): (announced, each) for each in changes})
    return Batch(
        tuple(each for announced, each in last.values() if announced),
        tuple(each for announced, each in last.values() if not announced),
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class LogWriter:
    """The one that appends. ``position`` is the committed length, in bytes of the file.

    Raises OSError where the disk is full, and then nothing is appended.
    """

    def __init__(self, path: Path, generation: int, first_version: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.position = _HEADER_BYTES
        self._size = 0
        try:
            shared.show(self._descriptor)
            self._grow(_GROWS_BYTES)
            self._write(_MAGIC + struct.pack("=QQQ", generation, first_version, self.position), 0)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, batch: Batch) -> None:
        content = _encode(batch)
        record = _RECORD.pack(len(content), zlib.crc32(content)) + content
        if self.position + len(record) > self._size:
            self._grow(len(record) + _GROWS_BYTES)
        self._write(record, self.position)
        self.position += len(record)
        self._words[_COMMITTED] = self.position

    def _write(self, content: bytes, at: int) -> None:
        while content:  # the end of a disk, or of what we may write, cuts a part off before it is an error
            written = os.pwrite(self._descriptor, content, at)
            content, at = content[written:], at + written

    def _grow(self, by_bytes: int) -> None:
        # Reserved, not only declared: a hole in the file on a full disk would kill whoever writes to it (SIGBUS).
        os.posix_fallocate(self._descriptor, self._size, by_bytes)
        self._size += by_bytes
        self._words = memoryview(mmap.mmap(self._descriptor, _HEADER_BYTES)).cast("Q")

    def close(self) -> None:
        os.close(self._descriptor)


class LogReader:
    """Reads what was committed since it last did, from ``position`` on. ``stuck``: what comes next is no record (yet).

    Raises Damaged for what is no log, and FileNotFoundError.
    """

    def __init__(self, path: Path, position: int = _HEADER_BYTES) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = self._mapped()
        except BaseException:
            os.close(self._descriptor)
            raise
        self.words = memoryview(self._map)[:_HEADER_BYTES].cast("Q")
        self.generation, self.first_version = self.words[_GENERATION], self.words[_FIRST_VERSION]
        self.position = position
        self.stuck = False

    @property
    def committed(self) -> int:
        """Up to where the file counts, in bytes."""
        return self.words[_COMMITTED]

    @property
    def due(self) -> bool:
        """Whether there is something to read."""
        return self.words[_COMMITTED] != self.position

    def read(self, until: int | None = None) -> Iterator[Batch]:
        """Each batch once, up to the committed length, or up to ``until``. Ends early where a record is not wholly there."""
        end = self.words[_COMMITTED] if until is None else until
        if end > len(self._map):
            self._map = self._mapped()
        view = memoryview(self._map)[:end]
        while self.position < end:
            found = _record(view, self.position)
            self.stuck = found is None
            if found is None:
                return
            batch, self.position = found
            yield batch

    def _mapped(self) -> mmap.mmap:
        size = os.fstat(self._descriptor).st_size
        if size < _HEADER_BYTES or os.pread(self._descriptor, 8, 0) != _MAGIC:
            raise Damaged(f"{self._path} is no log of changes")
        return mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)

    def __del__(self) -> None:
        if hasattr(self, "_map"):
            os.close(self._descriptor)


def _record(view: memoryview, at: int) -> tuple[Batch, int] | None:
    """The batch that begins there, and where the next one does. None for what is no record: zeros, too, have the right CRC."""
    first = at + _RECORD.size
    if first > len(view):
        return None
    size, crc = _RECORD.unpack_from(view, at)
    content = view[first : first + size]
    if not size or len(content) < size or zlib.crc32(content) != crc:
        return None
    try:
        return _decode(content), first + size
    except msgspec.MsgspecError:  # of another version of Nearcast
        return None


def batches(path: Path, until: int) -> Iterable[Batch]:
    """What a log has up to that position; with 0 none is asked for."""
    return list(LogReader(path).read(until)) if until else []
