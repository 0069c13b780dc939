from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nearcast.base.processes import AlreadyRunning
from nearcast.model.route import Announcement, Route
from nearcast.steering.routes import store, worker
from nearcast.steering.routes.folder import State
from nearcast.steering.routes.reader import NoTable, TableReader
from nearcast.steering.routes.settings import GeographicSettings
from nearcast.steering.routes.store import NotKept, TableWriter
from tests.unit.steering.routes.limits import room_for
from tests.unit.steering.routes.reference import SITES
from tests.unit.steering.routes.writing import DEFAULT, Start, committed_bytes, log_of, north, open_files, told, until


def test_prefixes_that_flap_fill_neither_the_disk_nor_the_start_of_a_reader(tmp_path: Path, started: Start) -> None:
    writer = started(log_bytes_max=20_000)
    before = open_files()
    for turn in range(60):
        writer.announce([each for number in range(50) for each in north(f"10.0.{number}.0/24", med=turn)])
        if turn % 10 == 9:
            until(lambda: committed_bytes(tmp_path) < 20_000)
    assert len(writer.table().overlay) <= 50
    reader = TableReader(tmp_path)
    assert {each.med for number in range(50) for each in reader.table().candidates(f"10.0.{number}.1") if each.source == "north"} == {59}
    assert open_files() <= before + 4, "old logs are closed"


@pytest.mark.parametrize("what", ["announce", "large", "replace"])
def test_a_full_disk_refuses_a_change_and_half_does_none(tmp_path: Path, started: Start, what: str) -> None:
    writer, reader = started(batch_max=50, inline_max=10**6 if what == "large" else 0), TableReader(tmp_path)
    writer.announce(told(0))
    table, files, opened = reader.table(), set(tmp_path.iterdir()), open_files()
    few = [Announcement(prefix=f"10.1.{number}.0/24", site="c", source="north", as_path=(1 << 31,) * 2000) for number in range(40)]
    many = [each for number in range(100) for each in told(number)]
    attempts: dict[str, Callable[[], None]] = {
        "announce": lambda: writer.announce(few),
        "large": lambda: writer.announce(many),
        "replace": lambda: writer.replace("north", many),
    }
    with room_for(1 << 18 if what == "announce" else 100):
        for _ in range(3):
            with pytest.raises((NotKept, worker.WorkFailed), match="File too large"):
                attempts[what]()
            assert reader.table() is table
            assert reader.live
            assert not [each for each in tmp_path.iterdir() if each.name.startswith(".base-")]
    assert open_files() <= opened
    attempts[what]()
    assert reader.table().match("10.1.7.1" if what == "announce" else "10.0.7.1").sites[0] == "c"
    assert len(set(tmp_path.iterdir()) - files) <= 4
    writer.close()


@pytest.mark.parametrize("inline_max", [0, 10**6])
def test_a_writer_that_cannot_write_goes_on_with_the_last_table_until_it_can(
    tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch, inline_max: int
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.05)
    with room_for(100), pytest.raises((NotKept, worker.WorkFailed), match="File too large"):
        started(inline_max=inline_max)
    first = started()
    first.announce(told(0))
    first._renew({})
    first.announce(told(1))
    first.close()
    files = set(tmp_path.iterdir())
    with room_for(1 << 10), capture_logs() as said:
        second, reader = started((DEFAULT, Route(prefix="192.0.2.0/24", sites=("b",))), inline_max=inline_max), TableReader(tmp_path)
        until(lambda: [each["event"][:31] for each in said].count("the route table was not compile") > 0)
        for table in (reader.table(), second.table()):
            assert [table.match(each).sites[0] for each in ("10.0.0.1", "10.0.1.1", "192.0.2.1")] == ["c", "c", "a"]
        for change in (second.announce, partial(second.replace, "north")):
            with pytest.raises((NotKept, worker.WorkFailed)):
                change(told(2))
        assert not reader.live
    assert said[0]["code"] == "NC3008"
    until(lambda: reader.table() is not None and reader.live)
    second.announce(told(2))
    assert [reader.table().match(each).sites[0] for each in ("10.0.0.1", "10.0.1.1", "10.0.2.1", "192.0.2.1")] == ["c", "c", "c", "b"]
    assert len(set(tmp_path.iterdir()) - files) <= 4


@pytest.mark.parametrize("damage", ["tail", "middle", "header", "all", "gone", "base and log", "state"])
def test_what_a_power_cut_takes_is_said_and_the_rest_is_used(tmp_path: Path, started: Start, damage: str) -> None:
    first = started()
    first.replace("north", told(300))
    first._renew({})
    for number in range(200):
        first.announce(told(number))
    first.close()
    log = log_of(tmp_path)
    content = bytearray(log.read_bytes())
    if damage == "tail":
        content[4096:] = bytes(len(content) - 4096)
    elif damage == "middle":
        content[5000] ^= 1
    else:
        content[:] = bytes(64) + content[64:] if damage == "header" else bytes(len(content))
    if damage != "state":
        log.write_bytes(content)
    if damage == "gone":
        log.unlink()
    if damage == "base and log":
        base = tmp_path / log.name.replace("log", "base")
        base.write_bytes(bytes(base.stat().st_size))
    if damage == "state":
        (tmp_path / "state").write_bytes(b"")
    reader = TableReader(tmp_path)
    if damage in ("tail", "middle"):
        assert reader.table().match("10.0.9.1").sites[0] == "c"
    else:
        with pytest.raises(NoTable):
            reader.table()
    assert not reader.live
    with capture_logs() as said:
        started()
    assert [each["log_level"] for each in said] == {"state": [], "base and log": ["error"]}.get(damage, ["warning"])
    assert all(each["code"] == "NC3004" for each in said)
    for table in (reader.table(), TableReader(tmp_path).table()):
        assert table.match("192.0.2.1").sites == ("a", "b")
        assert table.match("10.1.44.1").sites[0] == "c", "what was compiled is kept"
        assert table.match("10.0.9.1").sites[0] == ("c" if damage in ("tail", "middle", "state") else "a")
        assert table.match("10.0.199.1").sites[0] == ("c" if damage == "state" else "a")
    assert reader.live


def test_a_compilation_that_fails_leaves_what_is_in_force(tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = started(batch_max=0, inline_max=0), TableReader(tmp_path)
    table = reader.table()

    def fails(*_: str, ending: threading.Event) -> str:
        raise worker.WorkFailed("no memory")

    monkeypatch.setattr(worker, "run", fails)
    with pytest.raises(worker.WorkFailed):
        writer.replace("north", north("198.51.100.0/24"))
    assert reader.table() is table
    monkeypatch.undo()
    writer.replace("north", north("198.51.100.0/24"))
    assert reader.table().match("198.51.100.1").sites[0] == "c"


@pytest.mark.parametrize("name", ["base", "log"])
def test_a_damaged_publication_is_not_taken_and_readers_say_so(tmp_path: Path, started: Start, name: str) -> None:
    writer, reader = started(), TableReader(tmp_path)
    table = reader.table()
    generation = reader._generation + 1
    for kind in ("base", "log"):
        whole = (tmp_path / f"{kind}-{generation - 1}").read_bytes()
        (tmp_path / f"{kind}-{generation}").write_bytes(whole if kind != name else b"\0" * len(whole))
    writer._state.generation = generation
    assert reader.table() is table
    assert not reader.live
    with pytest.raises(NoTable):
        TableReader(tmp_path).table()
    writer.close()
    (tmp_path / f"{name}-{generation}").write_bytes(b"rubbish")
    started()
    assert reader.table().match("192.0.2.1").sites == ("a", "b")
    assert reader.live


@pytest.mark.parametrize("content", [b"", b"NCSTATE1", b"x" * 64])
def test_a_damaged_state_is_made_anew(tmp_path: Path, started: Start, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    reader = TableReader(tmp_path)
    with pytest.raises(NoTable):
        reader.table()
    started()
    assert reader.table().match("192.0.2.1").sites == ("a", "b")


@pytest.mark.parametrize("whole", [True, False])
def test_files_that_are_removed_under_a_writer_are_published_anew(tmp_path: Path, started: Start, whole: bool) -> None:
    writer = started(geographic=GeographicSettings(blocks={"DE": ("198.51.100.0/24",)}))
    writer.announce([*told(0), *told(1)])
    writer._renew({})
    writer.announce([*told(2), *north("10.0.1.0/24", site="d"), *told(3)])
    writer.withdraw([*told(0), *told(3)])
    reader = TableReader(tmp_path)
    assert reader.table().match("198.51.100.1").sites[0] == "b"
    assert reader.live
    addresses = ("10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1", "198.51.100.1")
    before = [reader.table().match(each) for each in addresses]
    for each in list(tmp_path.iterdir()):
        if whole or each.name in ("state", "lock"):
            each.unlink()
    if whole:
        tmp_path.rmdir()
    until(lambda: reader.table() is not None and (tmp_path / "state").exists() and State(tmp_path).generation > 0)
    writer.announce(told(4))
    until(lambda: reader.table().match("10.0.4.1").sites[0] == "c")
    assert reader.live
    for table in (reader.table(), TableReader(tmp_path).table()):
        assert [table.match(each) for each in addresses] == before
    with pytest.raises(AlreadyRunning):
        TableWriter(tmp_path, SITES).start()


WRITES = """
import sys
from pathlib import Path
from typing import Any
from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.routes.store import TableWriter

writer = TableWriter(Path(sys.argv[1]), [Site(name="a"), Site(name="b")], (), ("north",), overlay_max=40)
writer.start()
for number in range(int(sys.argv[2]), 60_000):
    one = [Announcement(prefix=f"{first}.{number >> 8}.{number & 255}.0/24", site="a", source="north") for first in (10, 11)]
    writer.change(one, [Announcement(prefix=each.prefix, site="b", source="north") for each in one])
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_table(tmp_path: Path) -> None:
    chance, reader, sure = random.Random(7), TableReader(tmp_path), -1
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), str(sure + 1)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline())]
            time.sleep(chance.uniform(0.02, 0.25))
            os.kill(writer.pid, signal.SIGKILL)
            told += [int(each) for each in writer.stdout if each.endswith("\n")]
        for table in (reader.table(), TableReader(tmp_path).table()):
            has = [[bool(table.match(f"{first}.{each >> 8}.{each & 255}.1").sites) for first in (10, 11)] for each in range(told[-1] + 3)]
            assert all(one == other for one, other in has), "a change is seen in whole or not at all"
            assert all(one for one, _ in has[: told[-1] + 1]), "what was told is kept"
        sure = told[-1]
    until(lambda: not reader.live)


def test_a_frozen_writer_is_told_from_one_that_lives(tmp_path: Path) -> None:
    reader = TableReader(tmp_path)
    with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), "0"], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        reader.table()
        assert reader.live
        os.kill(writer.pid, signal.SIGSTOP)
        until(lambda: not reader.live)
        assert reader.table() is reader.table()
        os.kill(writer.pid, signal.SIGCONT)
        until(lambda: reader.table() is not None and reader.live)
        writer.kill()
