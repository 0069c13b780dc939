from __future__ import annotations

import ipaddress
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.base.processes import AlreadyRunning
from nearcast.model.route import Announcement, Route
from nearcast.steering.routes import Table, worker
from nearcast.steering.routes import reader as reading
from nearcast.steering.routes.overlay import BadAnnouncement
from nearcast.steering.routes.reader import NoTable, TableReader
from nearcast.steering.routes.store import TableWriter
from tests.unit.steering.routes.reference import SITES, Reference, announcements

DEFAULT = Route(prefix="0.0.0.0/0", sites=("a", "b"))


def north(*prefixes: str, site: str = "c", med: int = 0) -> list[Announcement]:
    return [Announcement(prefix=each, site=site, source="north", as_path=(65001,), med=med) for each in prefixes]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., TableWriter]]:
    writers: list[TableWriter] = []

    def start(routes: tuple[Route, ...] = (DEFAULT,), isps: tuple[str, ...] = ("north", "south"), **options: Any) -> TableWriter:
        writers.append(TableWriter(tmp_path, SITES, routes, isps, **options))
        writers[-1].start()
        return writers[-1]

    yield start
    for each in writers:
        each.close()


Start = Callable[..., TableWriter]


def until(so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 30
    while not so():
        assert time.monotonic() < ends_s, "this did not come"
        time.sleep(0.01)


def test_before_the_first_table_there_is_none_and_it_is_said(tmp_path: Path, started: Start) -> None:
    reader = TableReader(tmp_path)
    with pytest.raises(NoTable):
        reader.table()
    assert not reader.live
    started()
    assert reader.table().match("192.0.2.1").sites == ("a", "b")
    assert reader.live


def test_each_change_is_seen_at_once_and_counts_up(tmp_path: Path, started: Start) -> None:
    writer, reader = started(), TableReader(tmp_path)
    first = reader.table()
    assert reader.table() is first
    writer.announce(north("198.51.100.0/24"))
    second = reader.table()
    assert second.version == first.version + 1
    assert second.match("198.51.100.9").sites == ("c", "a", "b")
    assert second.match("198.51.100.9").announced == {"a", "b", "c"}
    writer.withdraw(north("198.51.100.0/24"))
    assert reader.table().match("198.51.100.9").sites == ("a", "b")
    assert reader.table().version == writer.table().version == first.version + 2


def test_what_is_so_already_is_no_change(started: Start) -> None:
    writer = started()
    writer.announce(north("198.51.100.0/24"))
    version = writer.table().version
    writer.change(north("198.51.100.0/24"), north("203.0.113.0/24"))
    assert writer.table().version == version


@pytest.mark.parametrize(
    "bad",
    [
        Announcement(prefix="198.51.100.0/24", site="nowhere", source="north"),
        Announcement(prefix="198.51.100.1/24", site="c", source="north"),
        Announcement(prefix="198.51.100.0/24", site="c", source="north", med=1 << 32),
        Announcement(prefix="198.51.100.0/24", site="c", source="north", as_path=(0,)),
        Announcement(prefix="198.51.100.0/24", site="c", source="nobody"),
    ],
)
def test_an_announcement_that_makes_no_sense_changes_nothing(started: Start, bad: Announcement) -> None:
    writer = started()
    version = writer.table().version
    with pytest.raises(BadAnnouncement):
        writer.announce([*north("203.0.113.0/24"), bad])
    with pytest.raises(BadAnnouncement):
        writer.replace("north", [*north("203.0.113.0/24"), bad])
    assert writer.table().version == version
    assert writer.table().match("203.0.113.1").sites == ("a", "b")


def test_two_writers_exclude_each_other(tmp_path: Path, started: Start) -> None:
    first = started()
    with pytest.raises(AlreadyRunning):
        started()
    first.announce(north("198.51.100.0/24"))
    assert TableReader(tmp_path).table().match("198.51.100.1").sites[0] == "c"


def test_what_isps_told_survives_the_writer_and_what_was_configured_does_not(tmp_path: Path, started: Start) -> None:
    first = started((DEFAULT, Route(prefix="10.0.0.0/8", sites=("b",))))
    reader = TableReader(tmp_path)
    first.announce(north("198.51.100.0/24"))
    first.announce([Announcement(prefix="203.0.113.0/24", site="d", source="south", as_path=(1,))])
    version = reader.table().version
    first.close()
    assert not reader.live
    assert reader.table().match("10.1.1.1").sites == ("b", "a")
    started((DEFAULT,), ("north",))
    assert reader.table().version > version
    assert reader.table().match("10.1.1.1").sites == ("a", "b")
    assert reader.table().match("198.51.100.1").sites == ("c", "a", "b")
    assert reader.table().match("203.0.113.1").sites == ("a", "b"), "the ISP south is no longer configured"
    assert reader.live


def test_a_source_is_replaced_by_few_changes_or_by_compiling(tmp_path: Path, started: Start) -> None:
    writer, reader = started(batch_max=5, inline_max=0), TableReader(tmp_path)
    writer.replace("north", north("198.51.100.0/24", "203.0.113.0/24"))
    generation = reader.table().base
    writer.replace("north", north("203.0.113.0/24", "192.0.2.0/24"))
    assert reader.table().base is generation
    assert [reader.table().match(each).sites[0] for each in ("198.51.100.1", "203.0.113.1", "192.0.2.1")] == ["a", "c", "c"]
    writer.replace("north", north(*(f"10.{number}.0.0/16" for number in range(20))))
    assert reader.table().base is not generation
    assert [reader.table().match(each).sites[0] for each in ("203.0.113.1", "10.19.0.1", "10.20.0.1")] == ["a", "c", "a"]


def test_many_changes_are_compiled_in_the_background_and_none_is_lost(tmp_path: Path, started: Start) -> None:
    writer, reader = started(overlay_max=10, inline_max=0), TableReader(tmp_path)
    base = reader.table().base
    sent = 0
    while reader.table().base is base or sent < 40:  # announcements go on while a process compiles
        writer.announce(north(f"10.{sent >> 8}.{sent & 255}.0/24"))
        sent += 1
        time.sleep(0.005)
    for number in range(sent):
        assert reader.table().match(f"10.{number >> 8}.{number & 255}.7").sites[0] == "c"
    assert len([each for each in tmp_path.iterdir() if each.name.startswith("base-")]) <= 2


def test_a_large_table_is_opened_beside_the_decisions(tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE_BYTES", 0)
    may_load, opened = threading.Event(), reading.opened

    def waits(folder: Path, generation: int, version: int) -> Table:
        assert threading.current_thread().name != "routes-load" or may_load.wait(30)
        return opened(folder, generation, version)

    writer, reader = started(batch_max=0), TableReader(tmp_path)
    before = reader.table()
    monkeypatch.setattr(reading, "opened", waits)
    writer.replace("north", north("198.51.100.0/24"))
    assert reader.table() is before
    assert reader.live
    may_load.set()
    until(lambda: reader.table() is not before)
    assert reader.table().match("198.51.100.1").sites[0] == "c"


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


def test_a_writer_that_ends_waits_for_no_program(tmp_path: Path) -> None:
    ending = threading.Event()
    os.mkfifo(tmp_path / "order")  # it is read for ever
    threading.Timer(0.5, ending.set).start()
    with pytest.raises(worker.WorkFailed, match="was ended"):
        worker.run("compile", str(tmp_path / "order"), ending=ending)


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


def test_a_writer_that_no_longer_gives_a_sign_is_dead(tmp_path: Path) -> None:
    clock = VirtualClock()
    clock._elapsed_s = 100.0
    writer = TableWriter(tmp_path, SITES, (DEFAULT,), clock=clock)
    writer.start()
    later = VirtualClock()
    later._elapsed_s = 100.0 + reading.LIVE_S + 1
    soon, late = TableReader(tmp_path, clock), TableReader(tmp_path, later)
    soon.table(), late.table()
    assert soon.live
    assert not late.live
    writer.close()
    assert not soon.live
    assert soon.table().match("192.0.2.1").sites == ("a", "b")


@settings(max_examples=8)
@given(st.lists(st.tuples(st.booleans(), st.lists(announcements.filter(lambda each: each.source != "config"), max_size=6)), max_size=12))
def test_readers_have_what_was_told_however_often_it_is_compiled(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, list[Announcement]]]
) -> None:
    folder = tmp_path_factory.mktemp("table")
    writer, reader = TableWriter(folder, SITES, (), ("north", "south"), overlay_max=10**6), TableReader(folder)
    writer.start()
    reference, addresses = Reference(), set[ipaddress.IPv4Address | ipaddress.IPv6Address]()
    try:
        for number, (announce, batch) in enumerate(steps):
            (writer.announce if announce else writer.withdraw)(batch)
            (reference.announce if announce else reference.withdraw)(batch)
            addresses |= {ipaddress.ip_network(each.prefix)[0] for each in batch}
            if number % 3 == 2:
                writer._renew({})
            compiled = Table.of((), SITES, reference.everything())
            for each in addresses:
                assert reader.table().match(str(each)) == reference.match(each)
                assert reader.table().match(str(each)) == compiled.match(str(each))
                assert reader.table().block(each.version, int(each)) == reference.block(each)
    finally:
        writer.close()


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
