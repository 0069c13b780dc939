"""What heartbeats say of edges, added up by appliance and session and told to insight every few seconds.

It is of interest for minutes: nothing of it is written, and what cannot be told for a while is forgotten first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import structlog
from msgspec.structs import replace

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NearcastError
from nearcast.model.quality import Measured, QualityReport
from nearcast.model.services import Quality
from nearcast.model.session import Heartbeat, SessionCapability
from nearcast.policy import sessions

TELL_S = 5.0
WAITING_MAX = 50_000
"""Appliances and sessions between two reports; of what comes past that only those already known are added to."""
SPAN_MAX_S = 3600.0
FAILURES_MAX = 10_000
_log = structlog.get_logger("history")


def measures(session_id: str, session: SessionCapability, heartbeat: Heartbeat) -> list[Measured]:
    """One for each edge that the heartbeat tells of, within bounds."""
    tag, network = sessions.tag(sessions.sid(session_id)), sessions.network(session.client_address)
    return [
        Measured(
            each.edge,
            tag,
            session.account_id,
            min(each.watched_s, SPAN_MAX_S),
            min(each.stalled_s, SPAN_MAX_S),
            min(each.failures, FAILURES_MAX),
            float(each.throughput_bps),
            network,
        )
        for each in heartbeat.edges
        if each.edge and (each.watched_s > 0 or each.stalled_s > 0 or each.failures > 0)
    ]


def plus(one: Measured, other: Measured) -> Measured:
    """The sum, within bounds. The throughput is weighted by time watched."""
    watched_s = one.watched_s + other.watched_s
    weighted = one.throughput_bps * one.watched_s + other.throughput_bps * other.watched_s
    return replace(
        other,
        watched_s=min(watched_s, SPAN_MAX_S),
        stalled_s=min(one.stalled_s + other.stalled_s, SPAN_MAX_S),
        failures=min(one.failures + other.failures, FAILURES_MAX),
        throughput_bps=weighted / watched_s if watched_s > 0 else other.throughput_bps,
    )


class Telling:
    """Adds up what is to be told, and tells it. ``start`` begins, ``stop`` ends; what was not told then is lost."""

    def __init__(self, quality: Quality, clock: Clock) -> None:
        self._quality = quality
        self._clock = clock
        self._waiting: dict[tuple[str, str], Measured] = {}
        self._answered = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="history tells what players measured")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def add(self, found: Iterable[Measured]) -> None:
        for each in found:
            key = (each.appliance, each.session)
            before = self._waiting.get(key)
            if before is not None:
                self._waiting[key] = plus(before, each)
            elif len(self._waiting) < WAITING_MAX:
                self._waiting[key] = each

    async def tell(self) -> None:
        """Tell what waits now. Where nobody answers it waits on, in front of what came meanwhile."""
        if not self._waiting:
            return
        told, self._waiting = self._waiting, {}
        try:
            await self._quality.measured(QualityReport(measured=tuple(told.values())))
        except NearcastError as error:
            if error.status == BadInput.status:
                _log.error("insight refuses what players measured; it is given up", error=error.message, code=error.code, hint=error.hint)
                return
            if self._answered:
                _log.warning("insight does not answer; what players measured waits", error=error.message, code=error.code)
            self._answered = False
            newer, self._waiting = self._waiting, told
            self.add(newer.values())
            return
        self._answered = True

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(TELL_S)
            await self.tell()
