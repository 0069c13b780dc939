"""Group commit (DeWitt and others, 1984): who arrives while others are being written is written with the next batch.

``put`` returns when its batch is durable, so nothing acknowledged is lost; a short linger gathers more into one disk sync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Writes what is put, in order, by as few calls of ``write`` as the arrivals allow. ``overloaded``: what is raised for how many."""

    def __init__(
        self,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        clock: Clock,
        linger_s: float,
        batch_max: int,
        waiting_max: int,
        overloaded: Callable[[int], NearcastError],
    ) -> None:
        self._write = write
        self._clock = clock
        self._linger_s = linger_s
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._overloaded = overloaded
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: T) -> None:
        """Raises what ``overloaded`` makes when too many wait, and whatever ``write`` raised for the batch."""
        if len(self._waiting) >= self._waiting_max:
            raise self._overloaded(len(self._waiting))
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._task is None:
            self._task = asyncio.create_task(self._flush())
        await written

    async def _flush(self) -> None:
        try:
            while self._waiting:
                if self._linger_s and len(self._waiting) < self._batch_max:
                    await self._clock.sleep(self._linger_s)
                batch, self._waiting = self._waiting[: self._batch_max], self._waiting[self._batch_max :]
                await self._write_batch(batch)
        finally:
            self._task = None

    async def _write_batch(self, batch: list[tuple[T, asyncio.Future[None]]]) -> None:
        error: Exception | None = None
        try:
            await self._write([item for item, _ in batch])
        except Exception as caught:  # handed on to those who wait
            error = caught
        for _, written in batch:
            if written.done():  # its caller has gone; the item was written all the same
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

    async def close(self) -> None:
        """After everything that waits has been written."""
        self._linger_s = 0.0
        if self._task is not None:
            await self._task
