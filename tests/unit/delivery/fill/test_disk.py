"""The folder of an appliance while others put files there and take them away; and a disk that refuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nearcast.delivery.fill.disk import Disk, DiskBroken, DiskFull, sizes
from nearcast.model.fill import FillItem
from nearcast.model.rendition import File


def item(seed: int, size_bytes: int = 4, title_id: str = "t_1") -> FillItem:
    return FillItem(title_id=title_id, file=File(root=f"{seed:064x}", extension="mp4", size_bytes=size_bytes))


@contextmanager
def looking(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> Iterator[None]:
    """A folder that was listed changes before its entries are looked at."""
    scandir = os.scandir

    @contextmanager
    def late(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(folder) as found:
            entries = list(found)
        meanwhile()
        yield entries

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", late)
        yield


def test_a_part_that_is_placed_while_room_is_looked_for_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, coming = Disk(tmp_path, capacity_bytes=100), item(1)
    disk.write(coming, 0, b"film")
    disk.write(item(2), 0, b"film")
    with looking(monkeypatch, lambda: disk.place(coming)):
        disk.check_room(item(3, 92), 4)
    disk.check_room(item(3, 92), 4)
    with pytest.raises(DiskFull):
        disk.check_room(item(3, 93), 4)
    with looking(monkeypatch, lambda: disk.remove("t_1", coming.file.name)):
        assert sizes(disk.placed / "t_1") == {}


def test_a_folder_that_is_away_is_told_of(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "edge")
    (tmp_path / "edge").rename(tmp_path / "elsewhere")
    assert disk.free_bytes() == 0
    for act in (lambda: disk.check_room(item(1), 0), disk.file_system_bytes, disk.scan, lambda: disk.discard_parts(lambda *_: False)):
        with pytest.raises(DiskBroken):
            act()


def test_one_stray_that_cannot_be_thrown_away_keeps_nothing_else(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    (disk.filling / "t_0.folder").mkdir()
    (disk.filling / "t_1.part").write_bytes(b"x")
    with pytest.raises(DiskBroken):
        disk.discard_parts(lambda title_id, name: False)
    assert os.listdir(disk.filling) == ["t_0.folder"]


def test_what_is_not_whole_any_more_is_not_placed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.write(item(1), 0, b"fil")
    for missing in (item(1), item(2)):
        with pytest.raises(DiskBroken):
            disk.place(missing)
    assert list(disk.placed.glob("*/*")) == []


def test_a_titles_folder_does_not_go_while_a_file_is_put_there(tmp_path: Path) -> None:
    disk, ended = Disk(tmp_path), threading.Event()
    disk.write(item(1), 0, b"film")
    disk.place(item(1))

    def remove() -> None:
        while not ended.is_set():
            disk.remove("t_1", item(1).file.name)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for seed in range(2, 300):
            disk.write(item(seed), 0, b"film")
            disk.place(item(seed))
            disk.remove("t_1", item(seed).file.name)
    finally:
        ended.set()
        remover.join()
