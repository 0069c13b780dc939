"""Whether a file ends where its container says: MP4 (ISO/IEC 14496-12) and Matroska (RFC 8794, RFC 9559) tell the sizes of their parts.

A duration tells it less exactly: it may be a little off, and a file cut by a second may still be within what is tolerated.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

FILM_BOXES = (b"mdat", b"moov", b"moof")
"""Boxes that nothing may be missing of; others hold no film."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """How many bytes the file is shorter than its container says; 0 where it is whole, or does not tell."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == _EBML:
            return max(0, _segment_end(file) - size_bytes)
        if head[4:8] == b"ftyp":
            return max(0, _film_boxes_end(file, size_bytes) - size_bytes)
    return 0


def _film_boxes_end(file: BinaryIO, size_bytes: int) -> int:
    """Where the last film box at the top level ends."""
    at = end = 0
    while at + 8 <= size_bytes:
        file.seek(at)
        head = file.read(16)
        (length,), kind, header = struct.unpack(">I", head[:4]), head[4:8], 8
        if length == 1 and len(head) == 16:
            (length,), header = struct.unpack(">Q", head[8:]), 16
        elif length == 0:  # to the end of the file
            return end
        if length < header:
            return end  # not a box: what follows is somebody's trailer
        at += length
        if kind in FILM_BOXES:
            end = at
    return end


def _segment_end(file: BinaryIO) -> int:
    """Where the Segment ends; 0 where it was written without knowing."""
    at = 0
    for wanted in (_EBML, _SEGMENT):
        file.seek(at)
        head = file.read(12)
        if head[:4] != wanted or len(head) < 5:
            return 0
        length = _vint_length(head[4])
        if not length or len(head) < 4 + length:
            return 0
        value = int.from_bytes(head[4 : 4 + length], "big") & ((1 << 7 * length) - 1)
        if value == (1 << 7 * length) - 1:
            return 0
        at += 4 + length + value
    return at


def _vint_length(first: int) -> int:
    """How many bytes a number takes, by its first one; 0: it cannot be one."""
    return 9 - first.bit_length() if first else 0
