"""Just enough of ISO BMFF (ISO/IEC 14496-12) and Common Encryption (23001-7): walk boxes, read sidx and codec, join chunks, make a pssh."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from nearcast.base.errors import NearcastError

COMMON_SYSTEM_ID = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
"""W3C "cenc" Initialization Data Format: the pssh that every EME implementation understands."""
_COPY_BYTES = 1 << 22


class BadBoxes(NearcastError):
    """A file that Nearcast itself made is not the MP4 it should be."""

    code = "NC1006"
    cure = "this is a defect, or the disk is bad: start the job again, and report it if it comes back"


class Box(Struct, frozen=True):
    """``start`` is the position of the header, ``body`` of what follows it, ``end`` of the next box."""

    kind: bytes
    start: int
    body: int
    end: int


class Reference(Struct, frozen=True):
    """One segment, as sidx tells it: inclusive of ``start``, exclusive of ``end``, and its length in time."""

    start: int
    end: int
    duration_s: float


class Index(Struct, frozen=True):
    """Where a player finds things in a file. Ranges are inclusive, as in DASH."""

    init_range: tuple[int, int]
    index_range: tuple[int, int]
    segments: tuple[Reference, ...]

    @property
    def duration_s(self) -> float:
        return sum(each.duration_s for each in self.segments)


def boxes(data: bytes | bytearray | memoryview, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two positions of ``data``. Raises BadBoxes where a size makes no sense."""
    stop = len(data) if end is None else end
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        box_end = stop if size == 0 else start + size
        if box_end < body or box_end > stop:
            raise BadBoxes(f"box {kind!r} at {start} has no sound size")
        yield Box(kind, start, body, box_end)
        start = box_end


def find(data: bytes | bytearray, path: Sequence[bytes], start: int = 0, end: int | None = None) -> Box | None:
    """The first box down ``path``, as ``(b"moov", b"trak", b"edts")``."""
    for box in boxes(data, start, end):
        if box.kind == path[0]:
            return box if len(path) == 1 else find(data, path[1:], box.body, box.end)
    return None


def top_level(file: BinaryIO) -> Iterator[Box]:
    """The boxes of an open file, of which only headers are read. Raises BadBoxes."""
    file.seek(0, 2)
    length = file.tell()
    position = 0
    while position < length:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            raise BadBoxes(f"the file ends inside a box header at {position}")
        size, kind = struct.unpack_from(">I4s", header)
        body = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", header, 8)
            body += 8
        end = length if size == 0 else position + size
        if end < body or end > length:
            raise BadBoxes(f"box {kind!r} at {position} has no sound size")
        yield Box(kind, position, body, end)
        position = end


def _read(file: BinaryIO, start: int, end: int) -> bytearray:
    file.seek(start)
    return bytearray(file.read(end - start))


# --- reading what was packaged ----------------------------------------------------------------------------------------


def read_index(path: Path) -> Index:
    """Init range, index range and segments of a file with one global sidx. Raises BadBoxes."""
    with path.open("rb") as file:
        init_end = 0
        for box in top_level(file):
            if box.kind == b"moov":
                init_end = box.end
            elif box.kind == b"sidx":
                return Index((0, init_end - 1), (box.start, box.end - 1), _references(_read(file, box.body, box.end), box.end))
            elif box.kind == b"moof":
                break
    raise BadBoxes(f"{path.name} has no sidx box before its first fragment")


def _references(body: bytes | bytearray, anchor: int) -> tuple[Reference, ...]:
    version = body[0]
    (scale,) = struct.unpack_from(">I", body, 8)
    offset = 12 + (8 if version == 0 else 16)
    first = int.from_bytes(body[offset - (4 if version == 0 else 8) : offset], "big")
    (count,) = struct.unpack_from(">H", body, offset + 2)
    position, found = anchor + first, []
    for number in range(count):
        size, ticks, _ = struct.unpack_from(">III", body, offset + 4 + 12 * number)
        found.append(Reference(position, position + (size & 0x7FFFFFFF), ticks / scale))
        position += size & 0x7FFFFFFF
    return tuple(found)


def codec(path: Path) -> str:
    """RFC 6381 codec string of the only track: ``avc1.64001f`` or ``mp4a.40.2``. Raises BadBoxes."""
    with path.open("rb") as file:
        moov = next((_read(file, box.body, box.end) for box in top_level(file) if box.kind == b"moov"), bytearray())
    table = find(moov, (b"trak", b"mdia", b"minf", b"stbl", b"stsd"))
    entry = next(boxes(moov, table.body + 8, table.end), None) if table else None
    if entry is None:
        raise BadBoxes(f"{path.name} describes no track")
    if entry.kind in (b"avc1", b"encv"):
        config = find(moov, (b"avcC",), entry.body + 78, entry.end)
        if config:
            return "avc1." + moov[config.body + 1 : config.body + 4].hex()
    if entry.kind in (b"mp4a", b"enca"):
        return "mp4a.40.2"
    raise BadBoxes(f"{path.name} has a track of an unknown kind")


# --- joining chunks ---------------------------------------------------------------------------------------------------


def sample_count(path: Path) -> int:
    """How many samples the fragments of a file hold. Raises BadBoxes."""
    total = 0
    with path.open("rb") as file:
        for box in top_level(file):
            if box.kind == b"moof":
                data = _read(file, box.body, box.end)
                for traf in boxes(data):
                    if traf.kind == b"traf":
                        runs = [each for each in boxes(data, traf.body, traf.end) if each.kind == b"trun"]
                        total += sum(struct.unpack_from(">I", data, each.body + 4)[0] for each in runs)
    return total


def delay_ticks(moov: bytes | bytearray) -> int:
    """The media time at which presentation begins (the edit list): what B-frames cost at the start."""
    edits = find(moov, (b"trak", b"edts", b"elst"))
    if edits is None:
        return 0
    version = moov[edits.body]
    return int(struct.unpack_from(">q" if version else ">i", moov, edits.body + (16 if version else 12))[0])


def join(pieces: Sequence[tuple[Path, int]], out: Path) -> None:
    """One fragmented MP4 from chunks made by the same encoder: the header of the first, then every fragment moved to its place.

    ``pieces``: each chunk and the tick at which it begins. The chunks' own times begin at zero. Raises BadBoxes.
    """
    with out.open("wb") as target:
        delay = 0
        for number, (path, begin) in enumerate(pieces):
            with path.open("rb") as file:
                shift = begin
                for box in top_level(file):
                    if box.kind in (b"ftyp", b"moov"):
                        data = _read(file, box.start, box.end)
                        if box.kind == b"moov":
                            own = delay_ticks(data[box.body - box.start :])
                            delay = own if number == 0 else delay
                            shift = begin + delay - own
                        if number == 0:
                            target.write(data)
                    elif box.kind == b"moof":
                        target.write(_moved(_read(file, box.start, box.end), shift))
                    elif box.kind == b"mdat":
                        _copy(file, box, target)


def _moved(moof: bytearray, ticks: int) -> bytearray:
    """The fragment with its decode time moved by ``ticks``."""
    for traf in boxes(moof, 8):
        if traf.kind == b"traf":
            time = find(moof, (b"tfdt",), traf.body, traf.end)
            if time is None or moof[time.body] != 1:
                raise BadBoxes("a fragment has no 64-bit decode time")
            (value,) = struct.unpack_from(">Q", moof, time.body + 4)
            struct.pack_into(">Q", moof, time.body + 4, value + ticks)
    return moof


def _copy(file: BinaryIO, box: Box, target: BinaryIO) -> None:
    file.seek(box.start)
    left = box.end - box.start
    while left:
        block = file.read(min(left, _COPY_BYTES))
        if not block:
            raise BadBoxes("a chunk ends inside its media")
        target.write(block)
        left -= len(block)


# --- protection -------------------------------------------------------------------------------------------------------


def pssh(key_ids: Sequence[bytes]) -> bytes:
    """A version 1 pssh box of the common system that names all ``key_ids`` (16 bytes each)."""
    body = b"\x01\x00\x00\x00" + COMMON_SYSTEM_ID + struct.pack(">I", len(key_ids)) + b"".join(key_ids) + struct.pack(">I", 0)
    return struct.pack(">I4s", 8 + len(body), b"pssh") + body
