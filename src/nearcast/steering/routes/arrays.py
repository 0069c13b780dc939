"""A file of flat arrays that every process of the host maps: header, directory, arrays. In the byte order of the machine.

Who opens one checks all of it (CRC-32), so that a truncated or damaged file is refused before anything is believed.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from nearcast.base import shared
from nearcast.base.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
_HEADER = struct.Struct("=8sIIQQII")
"""Magic, format, CRC of all behind the header, version, size of the file, size of the directory, CRC of the header so far."""
_HEADER_BYTES = 64
_ALIGN = 8


class Damaged(Unavailable):
    """A file of the route table is truncated, damaged, or of another version of Nearcast. It is not used."""

    code = "NC3004"
    cure = "it is made anew when the process `steer` starts: delete it if this stays"


class Arrays(NamedTuple):
    """``meta`` is what the writer said beside the arrays."""

    version: int
    meta: dict[str, Any]
    arrays: dict[str, memoryview]


class _Directory(msgspec.Struct, array_like=True):
    meta: dict[str, Any]
    arrays: dict[str, tuple[str, int, int]]
    """By name: format character as ``memoryview.cast`` takes it, offset in bytes, items."""


def write(path: Path, magic: bytes, version: int, meta: dict[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Written aside, synced, then renamed: a reader never sees a part of it. Raises OSError, and then nothing is left behind."""
    offsets: dict[str, tuple[str, int, int]] = {}
    size = 0
    for name, each in arrays.items():
        offsets[name] = (each.dtype.char.replace("L", "Q"), size, each.size)
        size += -(-each.nbytes // _ALIGN) * _ALIGN
    told = msgspec.msgpack.encode(_Directory(meta, offsets))
    directory = told + bytes(-len(told) % _ALIGN)
    crc = zlib.crc32(directory)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            shared.show(file.fileno())
            file.write(bytes(_HEADER_BYTES))
            file.write(directory)
            for each in arrays.values():
                for part in (each.data.cast("B") if each.size else b"", bytes(-each.nbytes % _ALIGN)):
                    file.write(part)
                    crc = zlib.crc32(part, crc)
            file.seek(0)
            head = _HEADER.pack(magic, FORMAT, crc, version, _HEADER_BYTES + len(directory) + size, len(told), 0)[:-4]
            file.write(head + struct.pack("=I", zlib.crc32(head)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)  # a full disk needs the room
        raise


def load(path: Path, magic: bytes) -> Arrays:
    """Map the file and check it. Raises Damaged, and FileNotFoundError where there is none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER_BYTES:
            raise Damaged(f"{path} is cut off: {size} bytes")
        view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    found, format_, crc, version, size_told, directory_bytes, head_crc = _HEADER.unpack_from(view)
    if found != magic:
        raise Damaged(f"{path} is no such file: it does not begin with {magic!r}")
    if zlib.crc32(view[: _HEADER.size - 4]) != head_crc or any(view[_HEADER.size : _HEADER_BYTES]):
        raise Damaged(f"the header of {path} is damaged")
    if format_ != FORMAT:
        raise Damaged(f"{path} has the format {format_}, not {FORMAT}")
    if size_told != size:
        raise Damaged(f"{path} is cut off: {size} bytes of {size_told}")
    if zlib.crc32(view[_HEADER_BYTES:]) != crc:
        raise Damaged(f"{path} is damaged: its checksum is not that of its content")
    first = _HEADER_BYTES + directory_bytes + -directory_bytes % _ALIGN
    try:
        directory = msgspec.msgpack.decode(view[_HEADER_BYTES : _HEADER_BYTES + directory_bytes], type=_Directory)
        arrays = {
            name: view[first + offset : first + offset + items * struct.calcsize(char)].cast(cast(Any, char))
            for name, (char, offset, items) in directory.arrays.items()
        }
    except (msgspec.MsgspecError, TypeError, ValueError, struct.error) as error:
        raise Damaged(f"the directory of {path} makes no sense: {error}") from error
    return Arrays(version, directory.meta, arrays)
