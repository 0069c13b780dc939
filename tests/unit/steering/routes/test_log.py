from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec
import pytest

from nearcast.model.route import Announcement
from nearcast.steering.routes.arrays import Damaged
from nearcast.steering.routes.log import Batch, LogReader, LogWriter, folded
from tests.unit.steering.routes.limits import room_for


def batch(number: int) -> Batch:
    return Batch((Announcement(prefix=f"10.{number}.0.0/16", site="a", source="north", as_path=(number + 1,)),))


def record(number: int) -> bytes:
    content = msgspec.msgpack.encode(batch(number))
    return struct.pack("=II", len(content), zlib.crc32(content)) + content


def test_readers_see_each_batch_once(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", 3, 70)
    first, second = LogReader(tmp_path / "log"), LogReader(tmp_path / "log")
    assert (first.generation, first.first_version, first.due) == (3, 70, False)
    for number in range(3):
        writer.append(batch(number))
        assert first.due
        assert list(first.read()) == [batch(number)]
        assert not first.due
    assert list(second.read()) == [batch(0), batch(1), batch(2)]
    writer.close()


def test_the_log_grows_under_its_readers(tmp_path: Path) -> None:
    writer, reader = LogWriter(tmp_path / "log", 1, 1), LogReader(tmp_path / "log")
    large = Batch(tuple(Announcement(prefix=f"2001:db8:{number:x}::/48", site="a" * 60) for number in range(4000)))
    for _ in range(5):
        writer.append(large)
        assert list(reader.read()) == [large]
    writer.close()


def test_a_writer_that_dies_at_any_byte_leaves_what_it_committed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path, 1, 1)
    writer.append(batch(0))
    whole = record(1)
    for length in range(len(whole) + 1):
        os.pwrite(writer._descriptor, whole[:length], writer.position)
        reader = LogReader(path)
        assert list(reader.read()) == [batch(0)]
        assert not reader.due
    writer.append(batch(2))
    assert list(LogReader(path).read()) == [batch(0), batch(2)]
    writer.close()


def test_a_record_that_is_not_wholly_there_is_read_when_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer, reader = LogWriter(path, 1, 1), LogReader(path)
    writer.append(batch(0))
    start, whole = 64, record(0)
    for at in range(len(whole)):
        os.pwrite(writer._descriptor, bytes([whole[at] ^ 0xFF]), start + at)
        assert list(reader.read()) == []
        assert reader.due
        os.pwrite(writer._descriptor, whole[at : at + 1], start + at)
    assert list(reader.read()) == [batch(0)]
    writer.close()


def test_zeros_are_no_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer, reader = LogWriter(path, 1, 1), LogReader(path)
    writer.append(batch(0))
    whole = writer.position
    writer.append(batch(1))
    os.pwrite(writer._descriptor, bytes(writer.position - whole), whole)  # as a power cut leaves them
    assert list(reader.read()) == [batch(0)]
    assert reader.stuck
    assert (reader.position, reader.due) == (whole, True)
    writer.close()


@pytest.mark.parametrize("content", [b"", b"\xc1", msgspec.msgpack.encode({"announced": 1}), msgspec.msgpack.encode([[["10.0.0.0/8"]]])])
def test_what_is_of_another_version_is_no_record(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path, 1, 1)
    writer.append(batch(0))
    whole = writer.position
    writer.append(batch(1))
    os.pwrite(writer._descriptor, struct.pack("=II", len(content), zlib.crc32(content)) + content, whole)
    reader = LogReader(path)
    assert list(reader.read()) == [batch(0)]
    assert reader.stuck
    writer.close()


def test_a_length_beyond_the_file_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path, 1, 1)
    for number in range(3):
        writer.append(batch(number))
    os.truncate(path, writer.position - 5)
    reader = LogReader(path)
    assert list(reader.read()) == [batch(0), batch(1)]
    assert reader.stuck
    writer.close()


def test_where_there_is_no_room_nothing_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer, reader = LogWriter(path, 1, 1), LogReader(path)
    writer.append(batch(0))
    large = Batch(tuple(Announcement(prefix=f"2001:db8:{number:x}::/48", site="a" * 60) for number in range(4000)))
    for room, refused in ((1 << 18, large), (writer.position + 20, batch(1))):  # where the file must grow, and within what it has
        with room_for(room), pytest.raises(OSError, match="File too large"):
            writer.append(refused)
        assert list(reader.read()) == ([batch(0)] if refused is large else [])
        assert not reader.due
    for each in (large, batch(1)):
        writer.append(each)
        assert list(reader.read()) == [each]
    with room_for(100), pytest.raises(OSError, match="File too large"):
        LogWriter(tmp_path / "other", 2, 2)
    writer.close()


def test_many_batches_are_one_of_which_the_last_word_counts() -> None:
    one, other = batch(1).announced, batch(2).announced
    again = (msgspec.structs.replace(one[0], med=7),)
    assert folded([]) == Batch()
    assert folded([Batch(one, other), Batch(again), Batch((), one), Batch(other)]) == Batch(other, one)
    assert folded([Batch(one), Batch(again, one)]) == Batch(again)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(Damaged, match="no log"):
        LogReader(tmp_path / "log")
