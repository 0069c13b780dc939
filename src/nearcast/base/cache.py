"""Answers kept for seconds, near the one who asks: bounded, expiring, and asked once for all who wait for the same one."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nearcast.base import context
from nearcast.base.clock import Clock
from nearcast.base.errors import DeadlineExceeded, Unavailable

K = TypeVar("K")
V = TypeVar("V")

ASK_S = 5.0


class Cache(Generic[K, V]):
    """At most ``entries_max`` answers, each fresh for ``fresh_s``; the one unused for longest goes first.

    ``stale_s``: for so long after its answer an old one still serves when a new one cannot be had (Unavailable), so that a
    dead service is not noticed at once. Errors are never kept. ``ask_s``: how long an answer may take to come, however little
    time the first who asked had left; each who waits is held to a deadline of their own.
    """

    def __init__(self, clock: Clock, *, fresh_s: float, entries_max: int, stale_s: float = 0.0, ask_s: float = ASK_S) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._entries_max = entries_max
        self._ask_s = ask_s
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer for ``key``: kept, being asked for by another, or from ``ask``, whose errors are passed on.

        Raises DeadlineExceeded when the caller's own deadline passes first.
        """
        entry = self._entries.get(key)
        if entry and self._clock.monotonic_s() - entry[0] < self._fresh_s:
            self._entries.move_to_end(key)
            return entry[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, ask), context=self._own_context())
            self._asking[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        try:
            return await _in_time(task)
        except Unavailable:
            if entry and self._clock.monotonic_s() - entry[0] < self._stale_s:
                return entry[1]
            raise

    def _own_context(self) -> contextvars.Context:
        """The first one's, so that what is logged is told under the request that caused it, but with time for all who wait."""
        found = contextvars.copy_context()
        found.run(context.deadline_s.set, time.monotonic() + self._ask_s)
        return found

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


async def _in_time(task: asyncio.Task[V]) -> V:
    """Wait for ``task`` until the caller's deadline. One who gives up does not take the answer from the others."""
    deadline_s = context.deadline_s.get()
    if deadline_s is None:
        return await asyncio.shield(task)
    done, _ = await asyncio.wait([task], timeout=max(0.0, deadline_s - time.monotonic()))
    if not done:
        raise DeadlineExceeded("the answer did not come in time")
    return task.result()
