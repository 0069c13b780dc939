from __future__ import annotations

import ipaddress
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.base.processes import AlreadyRunning
from nearcast.model.route import Announcement, Route
from nearcast.steering.routes import Table, store, worker
from nearcast.steering.routes import reader as reading
from nearcast.steering.routes.overlay import BadAnnouncement
from nearcast.steering.routes.reader import NoTable, TableReader
from nearcast.steering.routes.settings import GeographicSettings
from nearcast.steering.routes.store import TableWriter
from tests.unit.steering.routes.reference import SITES, Reference, announcements
from tests.unit.steering.routes.writing import DEFAULT, Start, north, told, until


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


def test_a_large_change_is_compiled_and_seen_in_whole_or_not_at_all(tmp_path: Path, started: Start) -> None:
    writer, reader = started(batch_max=20, inline_max=0), TableReader(tmp_path)
    writer.replace("north", [each for number in range(20) for each in told(number)])
    base = reader.table().base
    many = threading.Thread(
        target=writer.change,
        args=([each for number in range(20, 120) for each in told(number)], [each for number in range(20) for each in told(number)]),
    )
    many.start()
    while many.is_alive():
        table = reader.table()
        assert (table.match("10.0.0.1").sites[0], table.match("10.0.119.1").sites[0]) in {("c", "a"), ("a", "c")}
    many.join()
    assert reader.table().base is not base
    assert [reader.table().match(f"10.0.{number}.1").sites[0] for number in (0, 19, 20, 119)] == ["a", "a", "c", "c"]


def test_the_last_word_counts_though_a_large_change_is_still_being_compiled(
    tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = started(batch_max=5, inline_max=0), TableReader(tmp_path)
    writer.announce(told(0))
    runs, compiles, goes_on = worker.run, threading.Event(), threading.Event()

    def waits(*arguments: str, ending: threading.Event) -> str:
        compiles.set()
        assert goes_on.wait(30)
        return runs(*arguments, ending=ending)

    monkeypatch.setattr(worker, "run", waits)
    change = ([each for number in range(10, 20) for each in told(number)], told(0))
    many = threading.Thread(target=writer.change, args=change)
    many.start()
    assert compiles.wait(30)
    writer.change(told(0), told(10))  # both are so in the table that is in force
    goes_on.set()
    many.join()
    assert [reader.table().match(f"10.0.{number}.1").sites[0] for number in (0, 10, 11)] == ["c", "a", "c"]


def test_while_a_compiled_table_is_checked_changes_go_on(tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = started(batch_max=5), TableReader(tmp_path)
    writer.announce(told(0))
    opened, checks, goes_on = reading.opened, threading.Event(), threading.Event()

    def waits(folder: Path, generation: int, version: int) -> Table:
        checks.set()
        assert goes_on.wait(30)
        return opened(folder, generation, version)

    monkeypatch.setattr(store, "opened", waits)
    flood = threading.Thread(target=writer.announce, args=([each for number in range(10, 20) for each in told(number)],))
    flood.start()
    assert checks.wait(30)
    writer.withdraw(told(0))
    assert reader.table().match("10.0.0.1").sites[0] == "a"
    goes_on.set()
    flood.join()
    assert [reader.table().match(f"10.0.{number}.1").sites[0] for number in (0, 10)] == ["a", "c"]


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


def test_a_writer_that_ends_waits_for_no_program(tmp_path: Path) -> None:
    ending = threading.Event()
    os.mkfifo(tmp_path / "order")  # it is read for ever
    threading.Timer(0.5, ending.set).start()
    with pytest.raises(worker.WorkFailed, match="was ended"):
        worker.run("compile", str(tmp_path / "order"), ending=ending)


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


def test_the_table_may_be_read_by_every_user_of_the_host(tmp_path: Path) -> None:
    """Whatever the umask, and also what an earlier start under a stricter one has left. The lock is the writer's own."""
    blocks = GeographicSettings(blocks={"DE": ("198.51.100.0/24",)})
    before = os.umask(0o077)
    try:
        for _ in range(2):
            writer = TableWriter(tmp_path / "t", SITES, (DEFAULT,), ("north",), blocks, batch_max=1)
            writer.start()
            try:
                writer.announce((*north("198.51.100.0/24"), *north("203.0.113.0/24")))
            finally:
                writer.close()
            found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "t").iterdir()}
            assert {each.partition("-")[0] for each in found} == {"state", "base", "log", "places", "lock"}
            assert found.pop("lock") == 0o600
            assert {*found.values()} == {0o644}, found
            assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o755
            for each in (tmp_path / "t").iterdir():
                each.chmod(0o600)
            (tmp_path / "t").chmod(0o700)
    finally:
        os.umask(before)
