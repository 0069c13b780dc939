"""The reactive partition on the disk: names as nginx gives them, slices removed, slices found again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from nearcast.delivery.edge.cachefiles import TOMBSTONE
from nearcast.delivery.edge.logs import Line
from nearcast.delivery.edge.memory import Window, close_window, let_go, narrow, open_window, window_bytes
from nearcast.delivery.edge.reactive import Reactive, digest_of, flag_of, served_slices, slice_name
from nearcast.model.rendition import BLOCK_BYTES

FILE = "a" * 64 + ".mp4"
LINE = Line(at=0.0, status=206, bytes=100, request_time_s=0.1, title="t_1", file=FILE, range="bytes=0-99", zone="slices", cache="MISS")


def cache_path(folder: Path, name: str) -> Path:
    digest = digest_of(name)
    return folder / digest[-1] / digest[-3:-1] / digest


def kept_bytes(path: Path) -> int:
    return path.stat().st_size if path.read_bytes()[:1] == b"\x05" else 0


def kept(folder: Path, index: int, size_bytes: int = 10_000, age_s: float = 0.0) -> Path:
    """A slice as nginx keeps it: its own header, the key, what the parent said, the bytes."""
    name = slice_name("t_1", FILE, index)
    path = cache_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\x05".ljust(300, b"\0") + f"\nKEY: {name}\nHTTP/1.1 206 Partial Content\r\n\r\n".encode()
    path.write_bytes(head.ljust(size_bytes, b"x"))
    os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return path


def served(index: int, **more: str) -> list[Line]:
    return [msgspec.structs.replace(LINE, range=f"bytes={index * BLOCK_BYTES}-{index * BLOCK_BYTES + 99}", **more)]


def reactive_over(folder: Path, capacity_bytes: int) -> Reactive:
    return Reactive(folder, capacity_bytes, window_of(folder))


def window_of(folder: Path) -> Window:
    return open_window(folder.parent / f"{folder.name}-edge", shared=folder / "no-memory-file-system")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [0]),
        ({"range": f"bytes={BLOCK_BYTES - 1}-{BLOCK_BYTES}", "bytes": 2}, [0, 1]),
        ({"range": f"bytes={3 * BLOCK_BYTES}-", "bytes": BLOCK_BYTES}, [3]),
        ({"range": "", "status": 200, "bytes": 2 * BLOCK_BYTES + 1}, [0, 1, 2]),
        ({"zone": ""}, []),
        ({"zone": "off"}, []),
        ({"status": 416}, []),
        ({"bytes": 0}, []),
        ({"range": "bytes=-5"}, []),
        ({"range": "bytes=" + "9" * 40 + "-"}, []),
    ],
)
def test_which_slices_an_answer_was_made_of(change: dict[str, object], expected: list[int]) -> None:
    assert list(served_slices(msgspec.structs.replace(LINE, **change))) == expected


def test_slices_are_removed_when_room_is_needed(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 35_000)
    paths = []
    for index in range(8):
        paths.append(kept(tmp_path, index))
        reactive.served(served(index))
        assert sum(kept_bytes(each) > 0 for each in paths) == min(3, index + 1)
        assert reactive.used_bytes == 10_000 * min(3, index + 1)
    assert reactive.removed_bytes_total == 5 * (10_000 - len(TOMBSTONE))


def test_what_was_asked_for_often_stays(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 100_000)
    favourite = kept(tmp_path, 0)
    for index in range(1, 200):
        reactive.served(served(0))
        kept(tmp_path, index)
        reactive.served(served(index))
    assert kept_bytes(favourite)


def test_what_was_there_before_is_found_and_the_newest_stays(tmp_path: Path) -> None:
    old, new = [kept(tmp_path, index, age_s=100 - index) for index in range(6)], kept(tmp_path, 6)
    (tmp_path / "a" / "bc").mkdir(parents=True)
    (tmp_path / "a" / "bc" / ("f" * 32)).write_bytes(b"not a slice at all")  # no key
    (tmp_path / "a" / "bc" / ("f" * 32 + ".0000000012")).write_bytes(b"being written")
    reactive = reactive_over(tmp_path, 35_000)
    reactive.adopt()
    assert reactive.used_bytes == 30_000
    assert kept_bytes(new)
    assert sum(kept_bytes(each) > 0 for each in old) == 2
    assert (tmp_path / "a" / "bc" / ("f" * 32)).exists(), "what is not known is not touched"


def test_what_nginx_removed_is_forgotten(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 35_000)
    for index in range(3):
        kept(tmp_path, index)
        reactive.served(served(index))
    cache_path(tmp_path, slice_name("t_1", FILE, 1)).unlink()
    reactive.adopt()
    assert reactive.used_bytes == 20_000
    reactive.served(served(1))
    assert reactive.used_bytes == 20_000, "it was passed on without being kept"


def test_new_slices_wait_for_verification_the_newest_first(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 35_000)
    for index in range(3):
        kept(tmp_path, index)
        reactive.served(served(index))
    names = [slice_name("t_1", FILE, index) for index in range(3)]
    assert reactive.unverified(2) == [names[2], names[1]]
    reactive.settle(names[2], "right")
    reactive.served(served(2))
    assert reactive.unverified(9) == [names[1], names[0]], "verified once for all"
    for _ in range(3):
        reactive.served(served(0))
    reactive.settle(names[0], "wrong")
    assert (reactive.wrong_total, reactive.exposures_total) == (1, 4)
    assert not kept_bytes(cache_path(tmp_path, names[0]))
    assert reactive.used_bytes == 20_000
    kept(tmp_path, 0)
    reactive.served(served(0))
    assert reactive.unverified(1) == [names[0]], "it came anew, and is verified anew"


def test_what_was_evicted_need_not_be_verified(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 15_000)
    for index in range(3):
        kept(tmp_path, index)
        reactive.served(served(index))
    assert len(reactive.unverified(9)) == 1


def test_what_the_parent_has_no_more_goes_uncounted_and_what_cannot_be_told_waits_behind_the_others(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 35_000)
    for index in range(3):
        kept(tmp_path, index)
        reactive.served(served(index))
    names = [slice_name("t_1", FILE, index) for index in range(3)]
    reactive.postpone(names[2])
    assert reactive.unverified(9) == [names[1], names[0], names[2]]
    reactive.settle(names[1], "gone")
    assert not kept_bytes(cache_path(tmp_path, names[1]))
    assert (reactive.wrong_total, reactive.exposures_total) == (0, 0)


@pytest.mark.parametrize("key", ["nonsense", "t_1/short.mp4/bytes=0-1", "../../etc/" + "a" * 64 + ".mp4/bytes=0-1", "t_1//bytes=0-1"])
def test_a_file_with_another_name_in_it_is_not_touched(tmp_path: Path, key: str) -> None:
    path = cache_path(tmp_path, key)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x05".ljust(300, b"\0") + f"\nKEY: {key}\n".encode())
    reactive = reactive_over(tmp_path, 35_000)
    reactive.adopt()
    assert reactive.unverified(9) == []
    assert reactive.used_bytes == 0


def flags(folder: Path) -> set[str]:
    return {each.name for each in window_of(folder).admitted.iterdir()}


def test_what_is_asked_for_again_is_admitted_and_what_goes_is_so_no_longer(tmp_path: Path) -> None:
    reactive = reactive_over(tmp_path, 35_000)
    names = [slice_name("t_1", FILE, index) for index in range(5)]
    reactive.served(served(0, zone="landing"))
    assert flags(tmp_path) == set()
    reactive.served(served(0, zone="landing", cache="HIT"))
    assert flags(tmp_path) == {flag_of(names[0])}
    for index in range(5):
        for _ in range(2):
            reactive.served(served(index, zone="landing"))
        kept(tmp_path, index)
        reactive.served(served(index, cache="MISS", parent="memory"))
    assert reactive.used_bytes == 30_000
    assert reactive.written_bytes_total == 50_000
    on_disk = {flag_of(each) for each in names if kept_bytes(cache_path(tmp_path, each))}
    assert flags(tmp_path) == on_disk
    assert len(on_disk) == 3


def test_flags_are_made_anew_with_what_is_found_on_the_disk(tmp_path: Path) -> None:
    kept(tmp_path, 3)
    window = window_of(tmp_path)
    (window.admitted / flag_of(slice_name("t_1", FILE, 9))).touch()
    reactive_over(tmp_path, 35_000).adopt()
    assert flags(tmp_path) == {flag_of(slice_name("t_1", FILE, 3))}


def test_slices_in_memory_are_verified_too(tmp_path: Path) -> None:
    reactive, landing, name = reactive_over(tmp_path, 35_000), window_of(tmp_path).landing, slice_name("t_1", FILE, 0)
    path = kept(landing, 0)
    reactive.served(served(0, zone="landing"))
    assert reactive.unverified(9) == [name]
    assert reactive.read(name) == path.read_bytes()
    reactive.served(served(0, zone="landing", cache="HIT"))
    reactive.settle(name, "wrong")
    assert (reactive.wrong_total, reactive.exposures_total) == (1, 2)
    assert not kept_bytes(path)
    assert flags(tmp_path) == set()


def test_the_window_lies_in_memory_where_there_is_room_and_is_ours(tmp_path: Path) -> None:
    memory, edge = Path("/dev/shm"), tmp_path / "edge"
    if not memory.exists() or os.statvfs(memory).f_blocks * os.statvfs(memory).f_frsize < 512 << 20:
        pytest.skip("this machine has no memory file system of some size")
    window = open_window(edge)
    try:
        assert window.base.parent == memory
        assert window.base.stat().st_mode & 0o777 == 0o711
        again = open_window(edge)
        assert again.base == window.base, "found again"
        let_go(again)
        assert not narrow(window)
        window.base.chmod(0o777)
        assert open_window(edge).base == edge / "run" / "window", "others could have been there"
    finally:
        close_window(window)
    assert not window.base.exists()
    assert narrow(window)
    assert window_bytes(0) == 64 << 20
    assert window_bytes(1 << 40) == 1 << 30


def test_the_window_of_an_edge_that_was_removed_goes_with_the_next_start(tmp_path: Path) -> None:
    shared, kept, removed, strange = (tmp_path / name for name in ("shared", "kept", "removed", "strange"))
    shared.mkdir()
    first, second = open_window(kept, shared), open_window(removed, shared)
    if first.base.parent != shared:
        pytest.skip("this machine's disk is too small to stand for a memory file system")
    (second.landing / "slice").write_bytes(b"x")
    shutil.rmtree(removed)
    let_go(first)
    let_go(second)  # as when its agent and its nginx are killed
    foreign = shared / f"nearcast-{os.geteuid()}-of-others"
    foreign.mkdir()
    foreign.chmod(0o777)  # where anybody may have written whose it is
    (foreign / "edge").write_text(str(removed))
    let_go(open_window(strange, shared))
    assert first.landing.exists()
    assert not second.base.exists()
    assert foreign.exists()


def test_the_window_of_an_edge_that_runs_stays_though_its_folder_is_out_of_sight(tmp_path: Path) -> None:
    """Its disk is unmounted, or it is in another container. The agent ends before nginx does, which inherited what it holds."""
    shared, away, other = (tmp_path / name for name in ("shared", "away", "other"))
    shared.mkdir()
    window = open_window(away, shared)
    if window.base.parent != shared:
        pytest.skip("this machine's disk is too small to stand for a memory file system")
    away.rename(tmp_path / "elsewhere")
    serving = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[window.held])
    try:
        let_go(open_window(other, shared))
        assert window.landing.exists()
        let_go(window)
        let_go(open_window(other, shared))
        assert window.landing.exists()
    finally:
        serving.communicate()
    let_go(open_window(other, shared))
    assert not window.base.exists()
