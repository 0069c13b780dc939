"""MP4 boxes: broken ones are refused, chunks join without a seam, the pssh names every key."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import boxes


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, body: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]) + body)


def header(delay: int) -> bytes:
    edits = full(b"elst", struct.pack(">IIiI", 1, 0, delay, 0x10000))
    return box(b"ftyp", b"iso6") + box(b"moov", box(b"trak", box(b"edts", edits)))


def fragment(time: int, samples: int, media: bytes) -> bytes:
    run = full(b"trun", struct.pack(">I", samples))
    return box(b"moof", box(b"traf", full(b"tfdt", struct.pack(">Q", time), 1) + run)) + box(b"mdat", media)


def times(path: Path) -> list[int]:
    data = path.read_bytes()
    found = []
    for each in boxes.boxes(data):
        if each.kind == b"moof":
            time = boxes.find(data, (b"traf", b"tfdt"), each.body, each.end)
            assert time is not None
            found.append(struct.unpack_from(">Q", data, time.body + 4)[0])
    return found


def test_chunks_join_and_a_shorter_delay_is_made_good(tmp_path: Path) -> None:
    first, second = tmp_path / "0.mp4", tmp_path / "1.mp4"
    first.write_bytes(header(2000) + fragment(0, 24, b"a" * 9) + fragment(24_000, 24, b"b"))
    second.write_bytes(header(0) + fragment(0, 1, b"c") + box(b"mfra"))
    out = tmp_path / "joined.mp4"
    boxes.join([(first, 0), (second, 48_000)], out)
    assert times(out) == [0, 24_000, 50_000]
    assert out.read_bytes().startswith(header(2000))
    assert b"mfra" not in out.read_bytes()
    assert boxes.sample_count(out) == 49


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes((header(0) + fragment(0, 1, b"x" * 100))[:-5])
    with pytest.raises(boxes.BadBoxes):
        boxes.sample_count(path)
    with pytest.raises(boxes.BadBoxes):
        boxes.read_index(path)


@given(some.binary(max_size=200))
def test_nonsense_never_loops_nor_crashes(data: bytes) -> None:
    try:
        list(boxes.boxes(data))
        boxes.find(data, (b"moov", b"trak"))
    except boxes.BadBoxes:
        pass


@pytest.mark.parametrize("version", [0, 1])
def test_the_index_tells_where_segments_are(tmp_path: Path, version: int) -> None:
    places = struct.pack(">II" if version == 0 else ">QQ", 0, 10)
    entries = struct.pack(">III", 100, 96_000, 0x90000000) + struct.pack(">III", 50, 48_000, 0x90000000)
    sidx = full(b"sidx", struct.pack(">II", 1, 24_000) + places + struct.pack(">HH", 0, 2) + entries, version)
    path = tmp_path / "x.mp4"
    path.write_bytes(header(0) + sidx + box(b"free", bytes(2)) + box(b"mdat", bytes(142)))
    found = boxes.read_index(path)
    start = len(header(0)) + len(sidx) + 10
    assert found.init_range == (0, len(header(0)) - 1)
    assert found.index_range == (len(header(0)), len(header(0)) + len(sidx) - 1)
    assert [(each.start, each.end, each.duration_s) for each in found.segments] == [
        (start, start + 100, 4.0),
        (start + 100, start + 150, 2.0),
    ]
    assert found.duration_s == 6.0


def test_the_pssh_names_every_key() -> None:
    keys = [bytes([each]) * 16 for each in range(4)]
    made = boxes.pssh(keys)
    assert struct.unpack(">I", made[:4])[0] == len(made) == 32 + 4 * 16 + 4
    assert made[4:8] == b"pssh"
    assert made[8] == 1
    assert made[12:28] == boxes.COMMON_SYSTEM_ID
    assert made[32:96] == b"".join(keys)
