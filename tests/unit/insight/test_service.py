"""Insight over its real store: what was answered is kept, and counts once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.insight.service import DAYS_KEPT, GENERATIONS_KEPT, BadDays, BadTraffic, InsightService
from nearcast.insight.sums import DAY_S, day_of
from nearcast.insight.tables import InsightOutdated
from nearcast.model.services import DemandQuestion, OffloadQuestion
from nearcast.model.traffic import SESSIONS_MAX, Delivered, DemandDay, OffloadReport, Served, TrafficReport
from tests.unit.delivery.fill.library import Library
from tests.unit.delivery.fill.test_plan import publication, rendition
from tests.unit.delivery.making import until

from .making import fetched, open_insight, report

NAME = "a" * 64 + ".mp4"


async def test_a_day_of_two_regions(tmp_path: Path) -> None:
    clock, library = VirtualClock(), Library(publication("t_1", "complete", rendition("a", 1)))
    insight, store = open_insight(tmp_path / "insight.db", clock, library)
    await insight.start()
    await asyncio.sleep(0.05)
    for site, title_id in (("frankfurt", "t_1"), ("paris", "t_1"), ("mumbai", "t_2")):
        await during(insight.record(report(0, Served(title_id, NAME, 3, 1, 10, 20, 30, "content"), site=site)), clock)
    found = await insight.demand(DemandQuestion(since_day=0))
    today = day_of(clock.now_s())
    assert found.days == (DemandDay(today, "ap-south", "t_2", 60, 1), DemandDay(today, "europe", "t_1", 120, 2))
    assert (found.today, found.today_share) == (today, clock.now_s() % DAY_S / DAY_S)
    assert found.rungs == {"europe": {"0p": 1.0}, "ap-south": {"0p": 1.0}, "": {"0p": 1.0}}, "the catalog says which rendition it is"
    assert (await insight.demand(DemandQuestion(since_day=today + 1))).days == ()
    await insight.close()
    store.close()


async def during(work: Coroutine[Any, Any, object], clock: VirtualClock) -> None:
    """Let the linger of the group commit pass."""
    task = asyncio.create_task(work)
    while not task.done():
        await clock.advance(0.1)
        await asyncio.sleep(0.002)
    await task


async def recorded(insight: InsightService, *reports: TrafficReport) -> OffloadReport:
    await asyncio.gather(*(insight.record(each) for each in reports))
    return await insight.offload(OffloadQuestion(days=1))


async def test_a_report_counts_once_over_restarts_too(tmp_path: Path) -> None:
    first = report(0, Served("t_1", NAME, 1, 1, 100), fetched=(fetched(50),), parent_bytes={"origin": 7, "cix-1": 3})
    second = report(1, Served("t_1", NAME, 1, 1, 1000))
    for attempt in range(3):
        insight, store = open_insight(tmp_path / "insight.db", SystemClock())
        await insight.start()
        found = await recorded(insight, first, first, second, report(0, Served("t_1", NAME, 1, 1, 10_000), run=f"r{attempt + 2}"))
        assert (found.sent_bytes, found.origin_bytes) == (1100 + 10_000 * (attempt + 1), 57)
        assert (found.sites[0].parent_bytes, found.sites[0].filled_bytes) == (10, 50)
        await insight.close()
        store.close()


def _records(path: str, acknowledged: object) -> None:
    """Counts in a process of its own until it is killed, and says what was answered."""

    async def body() -> None:
        insight, _ = open_insight(Path(path), SystemClock())
        await insight.start()
        for sequence in range(100_000):
            await insight.record(report(sequence, Served("t_1", NAME, 1, 0, 1)))
            acknowledged.value = sequence + 1  # type: ignore[attr-defined]

    asyncio.run(body())


async def test_what_was_answered_outlives_kill_9(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    acknowledged = context.Value("q", 0)
    process = context.Process(target=_records, args=(str(tmp_path / "insight.db"), acknowledged))
    process.start()
    await until(lambda: acknowledged.value >= 5)
    os.kill(process.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(process.join)
    answered = acknowledged.value
    insight, store = open_insight(tmp_path / "insight.db", SystemClock())
    await insight.start()
    kept = (await insight.offload(OffloadQuestion(days=2))).sent_bytes
    assert answered <= kept <= answered + 1
    await recorded(insight, report(answered - 1, Served("t_1", NAME, 1, 0, 1)))
    assert (await insight.offload(OffloadQuestion(days=2))).sent_bytes == kept, "who was cut off repeats the last one, which counts once"
    await insight.close()
    store.close()


async def test_old_days_and_generations_go(tmp_path: Path) -> None:
    clock = VirtualClock()
    insight, store = open_insight(tmp_path / "insight.db", clock)
    await insight.start()
    for number in range(GENERATIONS_KEPT + 3):
        await during(insight.record(report(number, Served("t_1", NAME, 1, 1, 1), fetched=(fetched(9, generation=number),))), clock)
    await clock.advance((DAYS_KEPT - 1) * DAY_S)
    assert (await insight.offload(OffloadQuestion(days=DAYS_KEPT))).sent_bytes == GENERATIONS_KEPT + 3, "the last day that is kept"
    await clock.advance(DAY_S)
    await during(insight.record(report(99)), clock)
    found = await insight.offload(OffloadQuestion(days=DAYS_KEPT))
    assert found.sent_bytes == 0
    assert sorted(each.generation for each in found.flows) == list(range(3, GENERATIONS_KEPT + 3))
    await insight.close()
    store.close()


@pytest.mark.parametrize(
    "bad",
    [
        report(-1),
        report(0, Served("t_1", NAME, 1, 1, -5)),
        report(0, fetched=(fetched(-1),)),
        report(0, parent_bytes={"origin": -1}),
        report(0, Served("t_1", NAME, 1, 1, 2**60)),
        report(2**63),
        report(0, fetched=(fetched(1, generation=2**60),)),
        report(0, Served("t" * 97, NAME, 1, 1, 5)),
        report(0, fetched=(fetched(1, file="f" * 97),)),
        report(0, run=""),
        report(0, run="x" * 65),
        report(0, site=""),
        report(0, sessions=(Delivered("s", -1, 0.0, 0),)),
        report(0, sessions=(Delivered("s", 1, -0.5, 0),)),
        report(0, sessions=(Delivered("s", 1, float("nan"), 0),)),
        report(0, sessions=(Delivered("s" * 65, 1, 0.0, 0),)),
        report(0, sessions=(Delivered("s", 1, 0.0, 0),) * (SESSIONS_MAX + 1)),
    ],
)
async def test_what_makes_no_sense_is_not_counted(tmp_path: Path, bad: TrafficReport) -> None:
    insight, store = open_insight(tmp_path / "insight.db", SystemClock())
    await insight.start()
    with pytest.raises(BadTraffic):
        await recorded(insight, bad)
    assert (await insight.offload(OffloadQuestion())).sites == ()
    for days in (0, -1, DAYS_KEPT + 1):
        with pytest.raises(BadDays):
            await insight.offload(OffloadQuestion(days=days))
    await insight.close()
    store.close()


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "insight.db") as connection:
        connection.execute("PRAGMA user_version=99")
    insight, store = open_insight(tmp_path / "insight.db", SystemClock())
    with pytest.raises(InsightOutdated):
        await insight.start()
    store.close()
