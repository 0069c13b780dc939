"""The view as files: read at each decision, by many, whatever happens to the one who writes it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.policy.holdings import digest
from nearcast.steering.health.published import (
    AGAIN_S,
    LOOK_S,
    STALE_S,
    UNUSED_KEPT_S,
    NotPublished,
    Pulse,
    ViewReader,
    ViewWriter,
    boot_of,
    digest_of,
    file_name,
    packed,
    unpacked,
)
from nearcast.steering.health.settings import HealthSettings
from nearcast.steering.view import NO_VIEW


def snapshot(*names: str, holds: dict[str, int] | None = None, **changes: object) -> HealthSnapshot:
    named = digest(holds or {})
    each = [ApplianceHealth(id=name, site=f"s-{name}", address=f"http://{name}", holdings_digest=named) for name in names]
    return msgspec.structs.replace(HealthSnapshot(version=0, published_s=0.0, appliances=tuple(each)), **changes)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def writer(tmp_path: Path, clock: VirtualClock) -> ViewWriter:
    writer = ViewWriter(tmp_path / "steering", clock)
    writer.open()
    return writer


@pytest.fixture
def reader(writer: ViewWriter, tmp_path: Path, clock: VirtualClock) -> ViewReader:
    return ViewReader(tmp_path / "steering", clock)


def ids(reader: ViewReader) -> list[str]:
    return sorted(reader.view().by_id)


def source(reader: ViewReader) -> str:
    return reader.view().snapshot.source


async def test_what_is_published_is_read(writer: ViewWriter, reader: ViewReader, clock: VirtualClock) -> None:
    assert reader.view() is NO_VIEW
    writer.publish(snapshot("a", "b", holds={"t": 5}, demoted={"s-a": 0.1}), {"a": {"t": 5}, "b": {"t": 5}})
    await clock.advance(LOOK_S)
    view = reader.view()
    assert (view.snapshot.version, view.snapshot.source, view.snapshot.demoted) == (1, "live", {"s-a": 0.1})
    assert view.holdings == {"a": {"t": 5}, "b": {"t": 5}}
    assert {site: [each.id for each in found] for site, found in view.by_site.items()} == {"s-a": ["a"], "s-b": ["b"]}
    await clock.advance(LOOK_S)
    writer.beat()
    assert reader.view() is view, "nothing changed"


async def test_it_is_looked_at_only_so_often(writer: ViewWriter, reader: ViewReader, clock: VirtualClock) -> None:
    writer.publish(snapshot("a"), {})
    assert ids(reader) == ["a"]
    writer.publish(snapshot("b"), {})
    assert ids(reader) == ["a"]
    await clock.advance(LOOK_S)
    assert ids(reader) == ["b"]


async def test_an_old_beat_is_last_known_and_a_new_one_live(writer: ViewWriter, reader: ViewReader, clock: VirtualClock) -> None:
    writer.publish(snapshot("a"), {})
    assert source(reader) == "live"
    await clock.advance(STALE_S + 0.01)
    assert (source(reader), ids(reader)) == ("last-known", ["a"])
    old = reader.view()
    await clock.advance(LOOK_S)
    assert reader.view() is old
    writer.beat()
    await clock.advance(LOOK_S)
    assert source(reader) == "live"


async def test_a_view_that_says_it_itself_is_last_known(writer: ViewWriter, reader: ViewReader) -> None:
    writer.publish(snapshot("a", source="last-known"), {})
    assert source(reader) == "last-known"


async def test_the_next_writer_counts_on(writer: ViewWriter, reader: ViewReader, clock: VirtualClock, tmp_path: Path) -> None:
    writer.publish(snapshot("a"), {})
    writer.publish(snapshot("a", "b"), {})
    assert ids(reader) == ["a", "b"]
    second = ViewWriter(tmp_path / "steering", clock)
    second.open()
    assert second.publish(snapshot("c"), {}).version == 3
    await clock.advance(LOOK_S)
    assert ids(reader) == ["c"], "over the file that the reader has open"


async def test_a_folder_that_was_emptied(writer: ViewWriter, reader: ViewReader, clock: VirtualClock, tmp_path: Path) -> None:
    writer.publish(snapshot("a", holds={"t": 1}), {"a": {"t": 1}})
    assert ids(reader) == ["a"]
    for each in sorted((tmp_path / "steering").rglob("*"), reverse=True):
        each.unlink() if each.is_file() else each.rmdir()
    await clock.advance(STALE_S + 1)
    assert (source(reader), ids(reader)) == ("last-known", ["a"])
    second = ViewWriter(tmp_path / "steering", clock)
    second.open()
    second.publish(snapshot("b", holds={"t": 1}), {"b": {"t": 1}})
    await clock.advance(AGAIN_S)
    assert (source(reader), ids(reader)) == ("live", ["b"])


async def test_holdings_are_written_once_and_go_when_unused(writer: ViewWriter, clock: VirtualClock, tmp_path: Path) -> None:
    folder = tmp_path / "steering" / "holdings"
    writer.publish(snapshot("a", holds={"t": 1}), {"a": {"t": 1}})
    (first,) = folder.iterdir()
    written = first.stat().st_mtime_ns
    await clock.advance(UNUSED_KEPT_S + 1)
    writer.publish(snapshot("a", holds={"t": 1}), {"a": {"t": 1}})
    assert first.stat().st_mtime_ns == written
    writer.publish(snapshot("a", holds={"t": 2}), {"a": {"t": 2}})
    assert len(list(folder.iterdir())) == 2, "somebody may be about to open them"
    await clock.advance(UNUSED_KEPT_S + 1)
    writer.publish(snapshot("a", holds={"t": 2}), {"a": {"t": 2}})
    assert [each.name for each in folder.iterdir()] == [file_name("a", digest({"t": 2}))]


async def test_holdings_that_are_missing_stay_as_they_were_until_they_come(
    writer: ViewWriter, reader: ViewReader, clock: VirtualClock, tmp_path: Path
) -> None:
    writer.publish(snapshot("a", holds={"t": 1}), {"a": {"t": 1}})
    assert reader.view().holdings == {"a": {"t": 1}}
    writer.publish(snapshot("a", holds={"t": 2}), {"a": {"t": 2}})
    there = tmp_path / "steering" / "holdings" / file_name("a", digest({"t": 2}))
    content = there.read_bytes()
    for damage in (b"", b"\xc1", content[:-1], b"\x81\xa1t\xa1x"):
        there.write_bytes(damage)
        await clock.advance(AGAIN_S)
        writer.beat()
        assert reader.view().holdings == {"a": {"t": 1}}
    there.write_bytes(content)
    await clock.advance(AGAIN_S)
    assert reader.view().holdings == {"a": {"t": 2}}


async def test_an_appliance_that_holds_nothing_any_more(writer: ViewWriter, reader: ViewReader, clock: VirtualClock) -> None:
    writer.publish(snapshot("a", holds={"t": 1}), {"a": {"t": 1}})
    assert reader.view().holdings == {"a": {"t": 1}}
    writer.publish(snapshot("a"), {"a": {}})
    await clock.advance(LOOK_S)
    emptied = reader.view()
    assert emptied.holdings == {}
    await clock.advance(AGAIN_S)
    writer.beat()
    assert reader.view() is emptied, "nothing is missing, so nothing is read again"


async def test_a_writer_that_was_closed_makes_nothing_again(writer: ViewWriter, tmp_path: Path) -> None:
    writer.close()
    shutil.rmtree(tmp_path / "steering")
    with pytest.raises(NotPublished):
        writer.publish(snapshot("a"), {})
    assert not (tmp_path / "steering").exists()


def test_no_interval_of_beats_makes_a_live_view_look_old() -> None:
    for publish_s in (0.05, STALE_S / 4):
        msgspec.convert({"publish_s": publish_s}, HealthSettings)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"publish_s": STALE_S / 4 + 0.01}, HealthSettings)


@given(raw=st.binary(max_size=60))
def test_no_pulse_but_a_whole_one(raw: bytes) -> None:
    assert unpacked(raw) is None
    whole = packed(Pulse(3, 1.5, bytes(16), bytes(8)))
    assert unpacked(whole) == Pulse(3, 1.5, bytes(16), bytes(8))
    for cut in range(len(whole)):
        assert unpacked(whole[:cut]) is None
        assert unpacked(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :]) is None


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 40, b"x" * 5000])
async def test_a_damaged_view_or_pulse_is_no_crash(
    writer: ViewWriter, reader: ViewReader, clock: VirtualClock, tmp_path: Path, damage: bytes
) -> None:
    folder = tmp_path / "steering"
    writer.publish(snapshot("a"), {})
    assert ids(reader) == ["a"]
    (folder / "view").write_bytes(damage)
    os.truncate(folder / "pulse", 0)
    (folder / "pulse").write_bytes(damage)
    for _ in range(3):
        await clock.advance(STALE_S)
        assert ids(reader) == ["a"]
    assert source(reader) == "last-known"
    assert ViewReader(folder, clock).view() is NO_VIEW
    second = ViewWriter(folder, clock)
    second.open()
    second.publish(snapshot("b"), {})
    await clock.advance(LOOK_S)
    assert (ids(reader), source(reader)) == (["b"], "live")


async def test_a_beat_of_before_the_machine_started_anew(writer: ViewWriter, clock: VirtualClock, tmp_path: Path) -> None:
    await clock.advance(1000)
    writer.publish(snapshot("a"), {})
    after_boot = ViewReader(tmp_path / "steering", VirtualClock())
    assert (ids(after_boot), source(after_boot)) == (["a"], "last-known"), "its clock says that it is of the future"
    (tmp_path / "steering" / "pulse").write_bytes(packed(Pulse(1, 1000.0, b"another run.....", bytes(8))))
    assert source(ViewReader(tmp_path / "steering", clock)) == "last-known"


def test_names_lead_nowhere_else() -> None:
    for name in ("../../etc/passwd", "/etc", "a/b", "..", "", "ü" * 200, "x" * 500, "a\0b", "%2e%2e"):
        made = file_name(name, "00")
        assert "/" not in made
        assert "\0" not in made
        assert len(made) < 200
        assert made not in (".", "..")
    assert len({file_name(name, "0") for name in ("a/b", "a%2Fb", "a.b", "a")}) == 4
    assert digest_of({"t": 1}, "../x") == digest({"t": 1})
    assert digest_of({}, "") == ""


def test_the_view_may_be_read_by_every_user_of_the_host(tmp_path: Path, clock: VirtualClock) -> None:
    """Whatever the umask, and also what an earlier start under a stricter one has left."""
    folder = tmp_path / "steering" / "view"
    before = os.umask(0o077)
    try:
        for _ in range(2):
            writer = ViewWriter(folder, clock)
            writer.open()
            writer.publish(snapshot("a", holds={"t": 5}), {"a": {"t": 5}})
            writer.close()
            found = {str(each.relative_to(folder)): stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}
            assert found == {"view": 0o644, "pulse": 0o644, "holdings": 0o755, f"holdings/{file_name('a', digest({'t': 5}))}": 0o644}
            assert stat.S_IMODE(folder.stat().st_mode) == 0o755
            for each in folder.rglob("*"):
                each.chmod(0o700 if each.is_dir() else 0o600)
            folder.chmod(0o700)
    finally:
        os.umask(before)


def test_a_folder_that_cannot_be_written(tmp_path: Path, clock: VirtualClock) -> None:
    (tmp_path / "steering").write_bytes(b"a file")
    with pytest.raises(NotPublished):
        ViewWriter(tmp_path / "steering", clock).open()


def test_runs_of_the_machine(tmp_path: Path) -> None:
    assert boot_of(tmp_path) == bytes(16)
    assert len(boot_of()) == 16
    assert boot_of() == boot_of()


WRITER = """
import sys
from pathlib import Path
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.policy.holdings import digest
from nearcast.steering.health.published import ViewWriter
writer = ViewWriter(Path(sys.argv[1]))
writer.open()
print("open", flush=True)
number = writer.version
while True:
    number += 1
    held = {f"t{number}": number}
    each = [ApplianceHealth(id=f"e{i}", site="s", address=str(number), holdings_digest=digest(held)) for i in range(50)]
    writer.publish(HealthSnapshot(version=0, published_s=0.0, appliances=tuple(each)), {one.id: held for one in each})
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_view(tmp_path: Path) -> None:
    reader = ViewReader(tmp_path)
    last = 0
    for round_ in range(3):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        until_s = time.monotonic() + 0.15 + 0.03 * round_
        while time.monotonic() < until_s or reader.view().snapshot.version <= last:
            view = reader.view()
            assert len({each.address for each in view.snapshot.appliances}) <= 1, "never a part of the old and a part of the new"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        view = ViewReader(tmp_path).view()
        assert view.snapshot.version > last
        last = view.snapshot.version
        assert len(view.by_id) == 50
        assert all(held == {f"t{each.address}": int(each.address)} for each in view.by_id.values() for held in [view.holdings[each.id]])
    reader.close()
