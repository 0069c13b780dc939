from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.delivery.fill.rate import LATE_S, Limiter, paced


@given(st.lists(st.tuples(st.integers(1, 10_000_000), st.floats(0, 2)), min_size=1, max_size=100), st.floats(1e5, 1e9))
def test_never_more_than_the_rate_and_one_burst(takes: list[tuple[int, float]], rate_bps: float) -> None:
    """Whoever waits as told has taken, at any time, no more than the rate allows since the start, one burst and the last piece."""
    now_s, free_at_s, taken = 100.0, 0.0, 0
    for size_bytes, idle_s in takes:
        now_s += idle_s
        free_at_s, wait_s = paced(free_at_s, size_bytes, now_s, rate_bps)
        taken += size_bytes
        now_s += wait_s
        assert 8 * taken <= rate_bps * (now_s - 100.0 + LATE_S) * (1 + 1e-9) + 1


@given(st.integers(1000, 1_000_000), st.floats(1e6, 1e9), st.lists(st.floats(0, LATE_S / 2), min_size=50, max_size=50))
def test_late_sleepers_lose_nothing(size_bytes: int, rate_bps: float, late_s: list[float]) -> None:
    """Sleeps that take too long by less than a burst are made up for: the pace is kept to within one piece and one burst."""
    now_s, free_at_s = 0.0, 0.0
    free_at_s, _ = paced(0.0, 0, 0.0, rate_bps)
    for late in late_s:
        free_at_s, wait_s = paced(free_at_s, size_bytes, now_s, rate_bps)
        now_s += wait_s + (late if wait_s else 0.0)
    ideal_s = len(late_s) * 8 * size_bytes / rate_bps
    assert now_s <= ideal_s + LATE_S
    assert now_s >= ideal_s - LATE_S - 1e-6


def test_who_was_idle_gains_nothing() -> None:
    assert paced(0.0, 1000, 100.0, 8000.0) == (101.0, 1.0)
    assert paced(100.0 - LATE_S, 1000, 100.0, 8000.0) == (101.0 - LATE_S, 1.0 - LATE_S)


def test_no_rate_is_no_wait() -> None:
    assert paced(999.0, 10**9, 5.0, 0.0) == (5.0, 0.0)


async def test_the_limiter_is_shared_and_takes_a_new_rate_at_once() -> None:
    clock = VirtualClock()
    limiter = Limiter(clock, rate_bps=8e6)
    done: list[int] = []

    async def take(which: int) -> None:
        for _ in range(4):
            await limiter.took(250_000)
            done.append(which)

    tasks = [asyncio.create_task(take(each)) for each in (1, 2)]
    await asyncio.sleep(0)
    await clock.advance(1.0)
    assert len(done) == pytest.approx(4, abs=1), "1 MB in a second, whoever takes it"
    limiter.rate_bps = 800e6
    await clock.advance(1.0)
    await asyncio.gather(*tasks)
    assert len(done) == 8
