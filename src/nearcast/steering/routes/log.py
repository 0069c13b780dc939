"""The changes since a table was compiled, as one writer appends them and every process of the host reads them from the same memory.

A record counts once the committed length in the header covers it: eight bytes, written after the record, at once. The record's
own CRC-32 covers the rest: a reader that sees the length before the record (other processors than x86 may show that) looks again later.
A writer killed at any byte leaves an uncommitted rest, over which the next one writes.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from nearcast.model.route import Announcement
from nearcast.steering.routes.arrays import Damaged

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


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class LogWriter:
    """The one that appends. ``position`` is the committed length, in bytes of the file. Raises OSError where the disk is full."""

    def __init__(self, path: Path, generation: int, first_version: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.position = _HEADER_BYTES
        self._size = 0
        self._grow(_GROWS_BYTES)
        os.pwrite(self._descriptor, _MAGIC + struct.pack("=QQQ", generation, first_version, self.position), 0)

    def append(self, batch: Batch) -> None:
        content = _encode(batch)
        record = _RECORD.pack(len(content), zlib.crc32(content)) + content
        if self.position + len(record) > self._size:
            self._grow(len(record) + _GROWS_BYTES)
        os.pwrite(self._descriptor, record, self.position)
        self.position += len(record)
        self._words[_COMMITTED] = self.position

    def _grow(self, by_bytes: int) -> None:
        # Reserved, not only declared: a hole in the file on a full disk would kill whoever writes to it (SIGBUS).
        os.posix_fallocate(self._descriptor, self._size, by_bytes)
        self._size += by_bytes
        self._words = memoryview(mmap.mmap(self._descriptor, _HEADER_BYTES)).cast("Q")

    def close(self) -> None:
        os.close(self._descriptor)


class LogReader:
    """Reads what was committed since it last did. Raises Damaged for what is no log, and FileNotFoundError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = self._mapped()
        except BaseException:
            os.close(self._descriptor)
            raise
        self.words = memoryview(self._map)[:_HEADER_BYTES].cast("Q")
        self.generation, self.first_version = self.words[_GENERATION], self.words[_FIRST_VERSION]
        self.position = _HEADER_BYTES

    @property
    def committed(self) -> int:
        """Up to where the file counts, in bytes."""
        return self.words[_COMMITTED]

    @property
    def due(self) -> bool:
        """Whether there is something to read."""
        return self.words[_COMMITTED] != self.position

    def read(self, until: int | None = None) -> Iterator[Batch]:
        """Each batch once, up to the committed length, or up to ``until``. Ends early where a record is not wholly there yet."""
        end = self.words[_COMMITTED] if until is None else until
        if end > len(self._map):
            self._map = self._mapped()
            end = min(end, len(self._map))
        view = memoryview(self._map)
        while self.position + _RECORD.size <= end:
            size, crc = _RECORD.unpack_from(view, self.position)
            first = self.position + _RECORD.size
            content = view[first : first + size]
            if first + size > end or zlib.crc32(content) != crc:
                return
            batch = _decode(content)
            self.position = first + size
            yield batch

    def _mapped(self) -> mmap.mmap:
        size = os.fstat(self._descriptor).st_size
        if size < _HEADER_BYTES or os.pread(self._descriptor, 8, 0) != _MAGIC:
            raise Damaged(f"{self._path} is no log of changes")
        return mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)

    def __del__(self) -> None:
        if hasattr(self, "_map"):
            os.close(self._descriptor)


def batches(path: Path, until: int) -> Iterable[Batch]:
    """What a log has up to that position."""
    return list(LogReader(path).read(until))
