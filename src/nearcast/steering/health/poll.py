"""Which appliances there are and how they do: asked of discovery again and again, the last answer kept when it fails."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

import structlog
from msgspec.structs import replace

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.model.services import AppliancesQuestion, Discovery
from nearcast.model.site import Appliance
from nearcast.policy import holdings

FAILED_POLLS = 2
"""One answer that fails to come is not yet an outage."""
KEPT_S = 600.0
"""Appliances whose lease ran out are remembered for so long, as a last resort."""
_log = structlog.get_logger("steering")


def aged(appliances: tuple[Appliance, ...], elapsed_s: float) -> tuple[Appliance, ...]:
    """The same view ``elapsed_s`` later: every report is so much older."""
    return tuple(replace(each, age_s=each.age_s + elapsed_s) for each in appliances)


def departed(known: tuple[Appliance, ...], found: tuple[Appliance, ...]) -> tuple[Appliance, ...]:
    """Those of ``known`` that discovery no longer tells of, until they have been silent for ``KEPT_S``."""
    there = {each.report.id for each in found}
    return tuple(each for each in known if each.report.id not in there and each.age_s <= KEPT_S)


class HealthView:
    """The appliances as last heard. ``start`` begins to ask, ``stop`` ends it.

    While discovery answers (``live``), reports age and old ones count as sick. When it does not, nothing more can be learnt of
    anyone, and ageing would only empty the map: the view stands still and says ``last-known``.
    """

    def __init__(self, discovery: Discovery, *, poll_s: float, clock: Clock | None = None) -> None:
        self._discovery = discovery
        self._poll_s = poll_s
        self._clock = clock or SystemClock()
        self._appliances: tuple[Appliance, ...] = ()
        self._departed: tuple[Appliance, ...] = ()
        self._heard_s = 0.0
        self._failures = FAILED_POLLS  # nothing heard yet
        self._task: asyncio.Task[None] | None = None

    @property
    def source(self) -> Literal["live", "last-known"]:
        return "live" if self._failures < FAILED_POLLS else "last-known"

    def appliances(self) -> tuple[Appliance, ...]:
        if self.source == "last-known":
            return self._appliances
        return aged(self._appliances, self._clock.monotonic_s() - self._heard_s)

    def everyone(self) -> tuple[Appliance, ...]:
        """Those that were heard of lately, too. When all fall silent their leases end one by one: without these, the last to go
        would be all that is left to name."""
        return (*self.appliances(), *self._departed)

    async def start(self) -> None:
        """Ask once now, so that the first session has an answer, and then go on asking."""
        await self.poll()
        self._task = asyncio.create_task(self._run(), name="steering asks discovery")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def poll(self) -> None:
        """Ask discovery once. An empty answer right after one with appliances is a discovery that has just begun to learn."""
        try:
            async with asyncio.timeout(max(1.0, 2 * self._poll_s)):
                question = AppliancesQuestion(known=holdings.digests(self._appliances))
                found = holdings.completed((await self._discovery.appliances(question)).appliances, self._appliances)
        except (NearcastError, TimeoutError) as error:
            self._failures += 1
            if self._failures == FAILED_POLLS:
                _log.warning("discovery does not answer; going on with what was last known", error=str(error))
            return
        if not found and self._appliances:
            self._failures += 1
            return
        if self._failures >= FAILED_POLLS:
            _log.info("discovery answers", appliances=len(found))
        now_s = self._clock.monotonic_s()
        self._departed = departed(aged((*self._appliances, *self._departed), now_s - self._heard_s), found)
        self._appliances, self._heard_s, self._failures = found, now_s, 0

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._poll_s)
            await self.poll()
