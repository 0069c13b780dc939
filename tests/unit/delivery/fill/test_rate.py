from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.delivery.fill.copying import Copier, Running
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.rate import LATE_S, Limiter, paced
from nearcast.delivery.fill.sources import Book
from nearcast.model.fill import Assignment, FillItem
from nearcast.model.rendition import File


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


async def test_what_is_given_back_is_as_if_it_had_not_been_taken() -> None:
    clock = VirtualClock()
    limiter = Limiter(clock, rate_bps=8e6)
    limiter.charge(500_000)
    limiter.give_back(500_000)
    assert limiter.charge(1_000_000) == pytest.approx(1.0)
    assert limiter.taken_bytes == 1_000_000


RATE_BPS = 200e3


async def copied(folder: Path, sizes: list[int], workers: int, chunk_bytes: int, *, ahead_bytes: int = 0) -> list[tuple[float, int]]:
    """Files fetched by ``workers`` at RATE_BPS from a source that gives at once: when how many bytes had come."""
    clock = VirtualClock()
    book = Book(clock)
    began_s = clock.monotonic_s()
    limiter, left, came = Limiter(clock, RATE_BPS), list(sizes), [(0.0, 0)]
    copier = Copier(Disk(folder), lambda each: pytest.fail(str(each)), book, limiter, clock, lambda *_: None)

    async def reading(size_bytes: int) -> AsyncGenerator[bytes, None]:
        for start in range(0, size_bytes, chunk_bytes):
            yield bytes(min(chunk_bytes, size_bytes - start))

    async def work() -> None:
        while left:
            size_bytes = left.pop()
            item = FillItem(title_id="t", file=File(root="a" * 64, extension="mp4", size_bytes=size_bytes))
            book.take(Assignment(version=1, items=(item,)))
            async for chunk in copier._watched(Running(item, ahead_bytes=ahead_bytes), reading(size_bytes), size_bytes):
                came.append((clock.monotonic_s() - began_s, came[-1][1] + len(chunk)))

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    while not all(each.done() for each in tasks):
        await asyncio.sleep(0)
        await clock.advance(0.05)
    await asyncio.gather(*tasks)
    assert came[-1][1] == limiter.taken_bytes == sum(sizes)
    return came


@pytest.mark.parametrize("workers", [1, 2, 6])
@pytest.mark.parametrize("chunk_bytes", [64 << 10, 100_000, 256 << 10])
@pytest.mark.parametrize("sizes", [[41_000] * 14 + [8000], [3000, 900_000, 120_000], [582_000]])
async def test_a_small_cap_holds_for_small_files_too(tmp_path: Path, workers: int, chunk_bytes: int, sizes: list[int]) -> None:
    came = await copied(tmp_path, sizes, workers, chunk_bytes)
    ideal_s = 8 * sum(sizes) / RATE_BPS
    assert came[-1][0] == pytest.approx(ideal_s, rel=0.05 if chunk_bytes == 64 << 10 or max(sizes) < chunk_bytes else 0.25)
    for at_s, total in came:
        if at_s >= 10.0 and chunk_bytes == 64 << 10:
            assert 8 * total <= 1.05 * RATE_BPS * at_s
    if chunk_bytes == 64 << 10:
        assert all(8 * total <= RATE_BPS * (at_s + LATE_S) for at_s, total in came), "not even in the first second"


async def test_a_damaged_block_does_not_wait_and_is_made_up_for(tmp_path: Path) -> None:
    came = await copied(tmp_path, [1 << 20], 1, 64 << 10, ahead_bytes=4 << 20)
    assert came[-1][0] < 1.0
