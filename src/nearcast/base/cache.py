"""Answers kept for seconds, near the one who asks: bounded, expiring, and asked once for all who wait for the same one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nearcast.base.clock import Clock
from nearcast.base.errors import Unavailable

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most ``entries_max`` answers, each fresh for ``fresh_s``; the one unused for longest goes first.

    ``stale_s``: for so long after its answer an old one still serves when a new one cannot be had (Unavailable), so that a
    dead service is not noticed at once. Errors are never kept.
    """

    def __init__(self, clock: Clock, *, fresh_s: float, entries_max: int, stale_s: float = 0.0) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._entries_max = entries_max
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer for ``key``: kept, being asked for by another, or from ``ask``, whose errors are passed on."""
        entry = self._entries.get(key)
        if entry and self._clock.monotonic_s() - entry[0] < self._fresh_s:
            self._entries.move_to_end(key)
            return entry[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, ask))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        try:
            return await asyncio.shield(task)  # one who gives up does not take the answer from the others
        except Unavailable:
            if entry and self._clock.monotonic_s() - entry[0] < self._stale_s:
                return entry[1]
            raise

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        answer = await ask()
        self._entries[key] = (self._clock.monotonic_s(), answer)
        self._entries.move_to_end(key)
        while len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
        return answer

    def _done(self, key: K, task: asyncio.Task[V]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen here, should nobody wait any more

    def forget(self, key: K) -> None:
        """The next ``get`` for ``key`` asks anew."""
        self._entries.pop(key, None)
