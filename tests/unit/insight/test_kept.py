"""What players measured outlives the process, in insight's store, for as long as it counts and no longer."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from nearcast.base.clock import Clock, SystemClock, VirtualClock
from nearcast.control.store.engine import Store, sqlite_url
from nearcast.insight import kept
from nearcast.insight.quality import BUCKET_S, BUCKETS, FRESH_S, SAVE_S, SESSIONS_PER_ACCOUNT, QualityService
from nearcast.insight.tables import prepare
from tests.unit.delivery.making import until

from .test_quality import answer, delivered, measured, report, tell

T = TypeVar("T")


async def opened(path: Path, clock: Clock, **more: int) -> tuple[QualityService, Store]:
    store = Store(sqlite_url(path))
    await store.write(prepare)
    quality = QualityService(clock, **more)
    await quality.start(store)
    await asyncio.sleep(0)  # so that it waits for the clock before that goes on
    return quality, store


async def closed(quality: QualityService, store: Store) -> None:
    await quality.close()
    await asyncio.to_thread(store.close)


def _measures(path: str, saved: object) -> None:
    """In a process of its own until it is killed: what is saved, then more that is not."""

    async def body() -> None:
        quality, _ = await opened(Path(path), SystemClock())
        await tell(quality, measured("s1"), measured("s2", "b"))
        quality.delivered(report(7, delivered("s1"), delivered("s2")))
        await quality.save()
        await tell(quality, measured("s3", "c"))
        quality.delivered(report(8, delivered("s3")))
        saved.value = 1  # type: ignore[attr-defined]
        await asyncio.sleep(3600)

    asyncio.run(body())


async def test_what_was_saved_outlives_kill_9_and_an_old_report_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "insight.db"
    context = multiprocessing.get_context("spawn")
    saved = context.Value("q", 0)
    process = context.Process(target=_measures, args=(str(path), saved))
    process.start()
    await until(lambda: saved.value == 1)
    os.kill(process.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(process.join)
    quality, store = await opened(path, SystemClock())
    quality.delivered(report(7, delivered("s1", 3600.0), delivered("s2", 3600.0)))
    (found,) = await answer(quality)
    assert (found.appliance, found.site, found.accounts) == ("fra-1", "fra", 2)
    assert found.stalled_share == pytest.approx(10 / 60)
    await closed(quality, store)


async def test_a_restart_changes_nothing_and_what_was_measured_fades_by_its_own_age(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "insight.db"
    quality, store = await opened(path, clock)
    await tell(quality, measured("s1"))
    quality.delivered(report(0, delivered("s1")))
    await clock.advance(BUCKET_S)
    await tell(quality, measured("s1"), *(measured(f"many-{number}", "b") for number in range(SESSIONS_PER_ACCOUNT + 9)))
    quality.delivered(report(1, delivered("s1"), *(delivered(f"many-{number}") for number in range(SESSIONS_PER_ACCOUNT + 9))))
    before = await answer(quality)
    await closed(quality, store)

    quality, store = await opened(path, clock)
    assert await answer(quality) == before
    await tell(quality, measured("one-more", "b"))
    quality.delivered(report(2, delivered("one-more")))
    await clock.advance(FRESH_S)
    assert await answer(quality) == before, "an account that told of as many sessions as count is not heard the louder for a restart"
    await closed(quality, store)

    await clock.advance(BUCKET_S * (BUCKETS - 1) - FRESH_S)  # while nobody runs
    quality, store = await opened(path, clock)
    (found,) = await answer(quality)
    assert found.stalled_share == pytest.approx((10 / 60 + 1.0 * 320 / 1920) / 2), "of the first minute nothing counts any more"
    await clock.advance(BUCKET_S)
    assert await answer(quality) == ()
    await closed(quality, store)


async def test_it_is_written_again_and_again_and_old_minutes_go(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "insight.db"
    quality, store = await opened(path, clock)
    for turn in range(BUCKETS + 3):
        await tell(quality, measured(f"s{turn}"))
        for _ in range(int(BUCKET_S // SAVE_S)):
            await clock.advance(SAVE_S)
        await quality.save()

    def began() -> list[float]:
        with closing(sqlite3.connect(path)) as found:
            return [row[0] for row in found.execute("SELECT began_at FROM measures WHERE part = 'minute' ORDER BY 1")]

    now = clock.now_s()
    await until(lambda: began()[:1] >= [now - BUCKET_S * BUCKETS])
    assert 1 <= len(began()) <= BUCKETS
    await closed(quality, store)


async def test_minutes_of_the_future_and_of_other_versions_are_left_out(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "insight.db"
    quality, store = await opened(path, clock)
    await tell(quality, measured("s1"))
    quality.delivered(report(0, delivered("s1")))
    await closed(quality, store)
    with closing(sqlite3.connect(path)) as found, found:
        (body,) = found.execute("SELECT body FROM measures WHERE part = 'minute'").fetchone()
        found.executemany(
            "INSERT INTO measures VALUES (?, ?, ?)",
            [(kept.MINUTE, clock.now_s() + 100, body), (kept.MINUTE, clock.now_s() - 1, msgspec.msgpack.encode("nonsense"))],
        )
    with capture_logs() as said:
        quality, store = await opened(path, clock)
    assert [each["event"] for each in said if each["log_level"] == "warning"] == [
        "a part of what players measured is left out: it was written by another version"
    ]
    (found_now,) = await answer(quality)
    assert found_now.accounts == 1
    assert found_now.stalled_share == pytest.approx(10 / 60), "the minute of the future would have counted as a second beat"
    await closed(quality, store)


class Counting:
    """A store, and how many writes have ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ended = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._store.write(work)
        finally:
            self.ended += 1


async def test_a_store_that_fails_loses_nothing_while_the_process_lives_and_is_told_once(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "insight.db"
    store = Store(sqlite_url(path))
    await store.write(prepare)
    quality, counting = QualityService(clock), Counting(store)
    await quality.start(counting)
    await asyncio.sleep(0)
    with closing(sqlite3.connect(path)) as found, found:
        found.execute("ALTER TABLE measures RENAME TO elsewhere")
    await tell(quality, measured("s1"))
    quality.delivered(report(0, delivered("s1")))
    with capture_logs() as said:
        for attempt in (1, 2, 3):
            await clock.advance(SAVE_S)
            await until(lambda attempt=attempt: counting.ended == attempt)  # type: ignore[misc]
    assert [each["event"] for each in said] == ["what players measured is in memory alone"]
    assert len(await answer(quality)) == 1
    with closing(sqlite3.connect(path)) as found, found:
        found.execute("ALTER TABLE elsewhere RENAME TO measures")
    await closed(quality, store)
    quality, store = await opened(path, clock)
    assert len(await answer(quality)) == 1
    await closed(quality, store)
