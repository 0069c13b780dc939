"""Databases that the fleet can begin anew without: damaged, they are set aside, and discovery, fill and ingest come up."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.delivery.fill.service import FillService
from nearcast.insight.quality import QualityService
from nearcast.insight.tables import InsightOutdated
from nearcast.model.fill import Pin
from nearcast.model.services import Insight, OffloadQuestion
from nearcast.system import aside, checks, fleet, start, stores
from nearcast.system.part import Closer, System
from nearcast.system.serve import open_system


@pytest.fixture
def system(tmp_path: Path) -> System:
    home = Home(tmp_path / "h")
    start.prepare(home)
    return open_system(home, ["fleet"])


def rubbish(path: Path) -> None:
    path.write_bytes(b"no database at all, and long enough to be told from an empty one " * 100)
    path.with_name(path.name + "-wal").write_bytes(b"nor its log")


def holes(path: Path) -> None:
    """A real database with pages written over."""
    path.unlink()
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE sites (day INTEGER, bytes BLOB)")
    made.executemany("INSERT INTO sites VALUES (?, ?)", [(day, b"x" * 900) for day in range(500)])
    made.commit()
    made.close()
    with path.open("r+b") as out:
        out.seek(4096)
        out.write(b"\xa5" * 65536)


async def opened(system: System) -> tuple[FillService, Insight, list[Closer]]:
    discovery = fleet.open_discovery(system)
    insight, end_insight = await fleet.open_insight(system, QualityService(system.clock))
    fill, end_fill = await fleet.open_fill(system, discovery, insight)
    return fill, insight, [end_fill, end_insight]


@pytest.mark.parametrize("damage", [rubbish, holes])
async def test_what_is_damaged_is_set_aside_and_the_fleet_goes_on(system: System, damage: Callable[[Path], None]) -> None:
    paths = [stores.placement_path(system.home), stores.insight_path(system.home)]
    _, _, closers = await opened(system)
    for close in closers:
        await close()
    for each in paths:
        damage(each)
    before = [each.read_bytes() for each in paths]
    with capture_logs() as said:
        fill, insight, closers = await opened(system)
    assert (await insight.offload(OffloadQuestion())).sent_bytes == 0
    assert fill.generation == 0
    for close in closers:
        await close()
    found = aside.lying(system.home.data)
    assert [each.name.partition(aside.MARK)[0] for each in found] == ["fill.db", "insight.db"]
    assert [each.read_bytes()[4096:] for each in found] == [each[4096:] for each in before]
    errors = [each for each in said if each["log_level"] == "error"]
    assert {each["code"] for each in errors} <= {"NC2055", "NC4604", "NC4624"}
    assert sorted(each["file"] for each in errors) == [str(each) for each in found]
    assert all("lost: " in each["hint"] for each in errors)
    told = [each for each in checks.run(system.home) if each.name == "data"]
    assert [each.state for each in told] == ["note", "note"]
    assert "pins" in told[0].cure


async def test_what_is_good_stays(system: System) -> None:
    fill, _, closers = await opened(system)
    await fill._store.pin(Pin(title_id="t_one", release_at=1e10))
    for close in closers:
        await close()
    fill, _, closers = await opened(system)
    assert [each.title_id for each in await fill._store.pins()] == ["t_one"]
    assert aside.lying(system.home.data) == []
    for close in closers:
        await close()


async def test_a_newer_version_is_not_thrown_away(system: System) -> None:
    path = stores.insight_path(system.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(InsightOutdated, match=r"insight\.db"):
        await fleet.open_insight(system, QualityService(system.clock))
    assert aside.lying(system.home.data) == []


async def test_what_cannot_be_moved_is_told(system: System) -> None:
    path = stores.placement_path(system.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rubbish")
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    path.with_name(f"fill.db{aside.MARK}20260102T000000Z").mkdir()
    with pytest.raises(aside.NotSetAside, match=r"fill\.db"):
        aside.set_aside(path, NearcastError("damaged"), now)
    assert path.read_bytes() == b"rubbish"
