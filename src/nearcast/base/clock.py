"""Time as an argument: real in production, virtual in tests and simulation."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """``now_s`` is Unix time; ``monotonic_s`` only ever grows; both in seconds."""

    def now_s(self) -> float: ...
    def monotonic_s(self) -> float: ...
    async def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    """The clock of the machine."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class VirtualClock:
    """A clock that stands until ``advance`` moves it; sleepers wake in order of their time."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._start_s = now_s
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self._start_s + self._elapsed_s

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, duration_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + duration_s, len(self._sleepers), future))
        await future

    async def advance(self, duration_s: float) -> None:
        """Let ``duration_s`` pass, waking every sleeper on the way at its own time."""
        target_s = self._elapsed_s + duration_s
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= target_s]:
            first = min(due, key=lambda sleeper: sleeper[:2])
            self._sleepers.remove(first)
            self._elapsed_s = max(self._elapsed_s, first[0])
            if not first[2].done():
                first[2].set_result(None)
            await asyncio.sleep(0)
        self._elapsed_s = target_s
        await asyncio.sleep(0)
