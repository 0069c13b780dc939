"""Answers that are kept."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base import context
from nearcast.base.cache import Cache
from nearcast.base.clock import VirtualClock
from nearcast.base.errors import DeadlineExceeded, NotFound, Unavailable


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def ask(self) -> int:
        self.asked += 1
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        return self.asked


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def source() -> Source:
    return Source()


async def test_an_answer_is_kept_as_long_as_it_is_fresh(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10)
    assert [await cache.get("a", source.ask), await cache.get("a", source.ask)] == [1, 1]
    await clock.advance(2.9)
    assert await cache.get("a", source.ask) == 1
    await clock.advance(0.2)
    assert await cache.get("a", source.ask) == 2
    cache.forget("a")
    assert await cache.get("a", source.ask) == 3


async def test_those_who_wait_for_one_thing_ask_once(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10)
    source.gate = asyncio.Event()
    waiting = [asyncio.create_task(cache.get("a", source.ask)) for _ in range(5)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert source.asked == 1


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10)
    source.gate = asyncio.Event()
    first = asyncio.create_task(cache.get("a", source.ask))
    second = asyncio.create_task(cache.get("a", source.ask))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await second == 1
    assert first.cancelled()


async def test_errors_are_passed_on_and_not_kept(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10, stale_s=100)
    source.error = NotFound("no")
    with pytest.raises(NotFound):
        await cache.get("a", source.ask)
    source.error = None
    assert await cache.get("a", source.ask) == 2


async def test_an_old_answer_serves_while_no_new_one_can_be_had(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10, stale_s=60)
    assert await cache.get("a", source.ask) == 1
    source.error = Unavailable("down")
    await clock.advance(59)
    assert await cache.get("a", source.ask) == 1
    await clock.advance(2)
    with pytest.raises(Unavailable):
        await cache.get("a", source.ask)


async def test_an_old_answer_does_not_serve_against_a_refusal(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10, stale_s=60)
    await cache.get("a", source.ask)
    await clock.advance(4)
    source.error = NotFound("gone")
    with pytest.raises(NotFound):
        await cache.get("a", source.ask)


async def test_one_who_is_short_of_time_does_not_fail_those_who_have_some(clock: VirtualClock, source: Source) -> None:
    """What is fetched for all has a deadline of its own, not that of the one who happened to ask first."""
    cache: Cache[str, float] = Cache(clock, fresh_s=3, entries_max=10, ask_s=7)
    source.gate = asyncio.Event()

    async def ask() -> float:
        await source.ask()
        deadline_s = context.deadline_s.get()
        assert deadline_s is not None
        return deadline_s - time.monotonic()

    async def get(within_s: float) -> float:
        context.deadline_s.set(time.monotonic() + within_s)
        return await cache.get("a", ask)

    hasty, calm = asyncio.create_task(get(0.05)), asyncio.create_task(get(30))
    with pytest.raises(DeadlineExceeded):
        await hasty
    source.gate.set()
    assert 0 < await calm < 7
    assert source.asked == 1


async def test_one_who_is_short_of_time_is_given_the_old_answer(clock: VirtualClock, source: Source) -> None:
    cache: Cache[str, int] = Cache(clock, fresh_s=3, entries_max=10, stale_s=60)
    await cache.get("a", source.ask)
    await clock.advance(4)
    source.gate = asyncio.Event()
    token = context.deadline_s.set(time.monotonic() + 0.05)
    try:
        assert await cache.get("a", source.ask) == 1
    finally:
        context.deadline_s.reset(token)
    source.gate.set()


@given(st.lists(st.integers(0, 30), max_size=80), st.integers(1, 10))
def test_it_never_grows_past_its_bound_and_keeps_the_latest(keys: list[int], entries_max: int) -> None:
    async def run() -> None:
        cache: Cache[int, int] = Cache(VirtualClock(), fresh_s=3, entries_max=entries_max)

        async def ask() -> int:
            return 1

        for key in keys:
            await cache.get(key, ask)
            assert len(cache) <= entries_max
        assert len(cache) == min(len(set(keys)), entries_max)

    asyncio.run(run())
