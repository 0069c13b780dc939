"""Group commit: few writes, nothing acknowledged before it is written, nothing lost."""

from __future__ import annotations

import asyncio

import pytest

from nearcast.base.batch import GroupCommit
from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.base.errors import TooLarge, Unavailable


class Overloaded(Unavailable):
    """Too much waits."""


def overloaded(waiting: int) -> Overloaded:
    return Overloaded(f"{waiting} wait")


class Disk:
    """Writes when it is let to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.error: Exception | None = None

    async def write(self, items: list[int]) -> None:
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(items)


def commit(disk: Disk, *, linger_s: float = 0.0, batch_max: int = 100, waiting_max: int = 1000) -> GroupCommit[int]:
    return GroupCommit(
        disk.write, clock=SystemClock(), linger_s=linger_s, batch_max=batch_max, waiting_max=waiting_max, overloaded=overloaded
    )


async def test_who_comes_during_a_write_is_written_with_the_next() -> None:
    disk = Disk()
    disk.ready.clear()
    batches = commit(disk)
    first = asyncio.create_task(batches.put(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(batches.put(number)) for number in range(1, 50)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    disk.ready.set()
    await asyncio.gather(first, *others)
    assert disk.batches == [[0], list(range(1, 50))]


async def test_a_linger_gathers_more_and_a_batch_has_its_most() -> None:
    disk = Disk()
    clock = VirtualClock()
    batches: GroupCommit[int] = GroupCommit(disk.write, clock=clock, linger_s=0.5, batch_max=4, waiting_max=100, overloaded=overloaded)
    tasks = [asyncio.create_task(batches.put(number)) for number in range(3)]
    await asyncio.sleep(0)
    await clock.advance(0.4)
    tasks += [asyncio.create_task(batches.put(number)) for number in range(3, 6)]
    await asyncio.sleep(0)
    assert disk.batches == []
    while not all(task.done() for task in tasks):
        await clock.advance(0.1)
    assert disk.batches == [[0, 1, 2, 3], [4, 5]]


async def test_a_failed_write_fails_its_own_and_the_next_goes_on() -> None:
    disk = Disk()
    batches = commit(disk)
    disk.error = TooLarge("full")
    answers = await asyncio.gather(batches.put(1), batches.put(2), return_exceptions=True)
    assert [type(each) for each in answers] == [TooLarge, TooLarge]
    disk.error = None
    await batches.put(3)
    assert disk.batches == [[3]]


async def test_who_does_not_wait_is_written_all_the_same() -> None:
    disk = Disk()
    disk.ready.clear()
    batches = commit(disk)
    gone = asyncio.create_task(batches.put(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    disk.ready.set()
    await batches.put(2)
    assert [number for batch in disk.batches for number in batch] == [1, 2]


async def test_too_many_waiting_are_refused_and_closing_writes_the_rest() -> None:
    disk = Disk()
    disk.ready.clear()
    batches = commit(disk, waiting_max=3)
    tasks = [asyncio.create_task(batches.put(number)) for number in range(3)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(batches.put(number)) for number in range(3, 8)]
    await asyncio.sleep(0.01)
    refused = [task for task in tasks if task.done()]
    assert refused
    assert all(isinstance(task.exception(), Overloaded) for task in refused)
    disk.ready.set()
    await batches.close()
    written = [number for batch in disk.batches for number in batch]
    assert len(written) == len(tasks) - len(refused)
    with pytest.raises(Overloaded):
        refused[0].result()
