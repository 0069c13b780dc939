"""The Fill service: follows catalog, discovery and demand, works placements out, and tells each appliance what it is to hold.

Any instance may plan: a generation is committed by compare-and-set, and every instance follows what is committed. Where something that
it needs does not answer, assignments stay as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import msgspec
import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill import causes, members, schedule
from nearcast.delivery.fill.knowledge import Knowledge, View, peak_at
from nearcast.delivery.fill.planner import Planning
from nearcast.delivery.fill.store import Notes, PlacementStore
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Assignment, FillStatus, Plan
from nearcast.model.services import (
    AppliancesQuestion,
    Catalog,
    Causes,
    CausesQuestion,
    ChangesQuestion,
    Discovery,
    FillQuestion,
    Insight,
    Nothing,
    PinList,
    PinQuestion,
    PlanQuestion,
)
from nearcast.model.site import Site
from nearcast.policy import holdings
from nearcast.policy.windows import window_at

WAIT_S = 20.0
WAIT_MAX_S = 30.0
RETRY_S = 0.5
POLL_S = 0.5
"""How often discovery is asked, and whether another planner has committed."""
SETTLE_S = 0.3
"""What changes within it is planned once: films come in parts, and appliances start together."""
LOOK_S = 5.0
"""How often the clock is looked at: for launches and pins that come to hurry, and for the day's plan."""
_log = structlog.get_logger("fill")


class Kept(PlacementStore, Notes, Protocol):
    """Where generations, pins and notes are kept."""


class FillService:
    """Implements the Fill and Planner protocols. ``start`` begins to follow the others, ``stop`` ends it.

    ``token``: what an appliance takes from others that copy from it, by its id. ``configured``: the appliances of this host;
    ``dismissed``: asks who was shut out, and when (Unix seconds).
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        discovery: Discovery,
        insight: Insight,
        store: Kept,
        settings: FillSettings | None = None,
        sites: Iterable[Site] = (),
        token: Callable[[str], str] = lambda appliance: "",
        configured: Collection[str] = (),
        dismissed: Callable[[], Mapping[str, float]] = dict,
        clock: Clock | None = None,
    ) -> None:
        self._catalog = catalog
        self._discovery = discovery
        self._store = store
        self._settings = settings or FillSettings()
        self._dismissed = dismissed
        self._clock = clock or SystemClock()
        self._knowledge = Knowledge(self._settings, sites, lru_cache(maxsize=65536)(token), configured)
        self._planning = Planning(self._knowledge, store, insight, self._settings, self._clock, self._refresh)
        self._changed = asyncio.Condition()
        self._view: View | None = None
        self._mark: object = None
        self._made: dict[str, tuple[object, Assignment]] = {}
        self._dirty = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def version(self) -> int:
        """The catalog's version that assignments stand on; -1: none yet."""
        return self._knowledge.titles_version

    @property
    def generation(self) -> int:
        """The placement in force; 0: none yet."""
        return self._knowledge.placement.generation if self._knowledge.placement else 0

    async def start(self) -> None:
        """Raises PlanStoreBroken."""
        await self._planning.load()
        works = (self._follow_catalog, self._follow_discovery, self._follow_store, self._plan_changes, self._plan_by_clock)
        self._tasks = [asyncio.create_task(each(), name=f"fill: {each.__name__.strip('_')}") for each in works]

    async def wait(self) -> None:
        """Until a part of it has ended, which it does by a defect alone. Raises that."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if not each.cancelled():
                each.result()

    async def stop(self) -> None:
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # what went wrong, `wait` has told

    # --- what appliances ask ------------------------------------------------------------------------------------------

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        """The assignment when its version is not ``after``; else ``items`` None once ``wait_s`` has passed.

        Until catalog and placement are known, nothing is known, and nothing is said: an empty assignment would have the appliances
        throw their films away.
        """
        until_s = asyncio.get_running_loop().time() + min(max(0.0, question.wait_s), WAIT_MAX_S)
        while True:
            async with self._changed:
                made, turns_s = await self._assigned(question.appliance)
                if made is not None and made.version != question.after:
                    return made
                left_s = until_s - asyncio.get_running_loop().time()
                if left_s <= 0:
                    return Assignment(version=question.after, items=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, turns_s + 0.05)):
                        await self._changed.wait()

    async def _assigned(self, appliance: str) -> tuple[Assignment | None, float]:
        """With the seconds until the clock changes it. Worked out anew only where something of it has changed; None where nothing is to
        be said yet."""
        view = self._view
        around = view.around(appliance) if view else ()
        if view is None or appliance not in view.placement.holdings or not around:
            return None, float("inf")
        now = datetime.fromtimestamp(self._clock.now_s(), UTC)
        own = next(each for each in around if each.id == appliance)
        window, peak = window_at(self._settings.window, own.timezone, now), peak_at(self._settings, own.timezone, now)
        urgent, generation = view.urgent(peak=peak.open), view.placement.generation
        mark = (generation, view.titles_version, urgent, view.order, members.signature(around, generation), window.open)
        found = self._made.get(appliance)
        if found is None or found[0] != mark:
            made = await asyncio.to_thread(
                schedule.assignment, appliance, view.placement, view.files, around, self._settings, now, urgent=urgent, order=view.order
            )
            self._made[appliance] = found = (mark, made)
        made = msgspec.structs.replace(found[1], window_turns_s=window.turns_in_s)
        return made, min(window.turns_in_s, peak.turns_in_s if view.surprises else float("inf"))

    async def causes(self, question: CausesQuestion, /) -> Causes:
        """Nothing where nothing is known: these count as ``other``."""
        placement, known = self._knowledge.placement, self._knowledge
        own = known.members.get(question.appliance)
        if placement is None or own is None:
            return Causes(causes={})
        site = {each.id: known.reports.get(each.id) for each in known.members.values() if each.site == own.site}
        return Causes(causes=causes.causes(question.appliance, question.title_ids, placement, site))

    # --- what operators ask -------------------------------------------------------------------------------------------

    async def plan(self, question: PlanQuestion, /) -> Plan:
        return await self._planning.plan(question)

    async def status(self, question: Nothing, /) -> FillStatus:
        return self._planning.status()

    async def pin(self, question: PinQuestion, /) -> PinList:
        pins = await self._planning.pin(question)
        self._dirty.set()
        return PinList(pins=pins)

    # --- following ----------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Something is known anew: those who wait look whether it concerns them."""
        view = self._knowledge.view(self._clock.now_s())
        if view is None:
            return
        generation = view.placement.generation
        peers = {site: members.signature(found, generation) for site, found in view.by_site.items()}
        mark = (generation, view.titles_version, view.hurry, view.surprises, view.order, peers)
        async with self._changed:
            self._view = view
            if mark != self._mark:
                self._mark = mark
                self._changed.notify_all()

    async def _follow_catalog(self) -> None:
        after, failed, known = 0, False, self._knowledge
        while True:
            try:
                wait_s = 0.0 if known.titles_version == -1 else WAIT_S
                changes = await self._catalog.changes(ChangesQuestion(after=after, wait_s=wait_s, delta=True))
            except NearcastError as error:
                if not failed:
                    _log.warning("the catalog does not answer; assignments stay as they are", error=error.message, code=error.code)
                failed = True
                await self._clock.sleep(RETRY_S)
                continue
            failed = False
            if changes.version < after:  # the catalog was restored from a backup: begin again
                known.forget_titles()
                after = 0
                continue
            known.take_titles(changes.publications)
            fresh = changes.version != after or known.titles_version == -1
            after = changes.version
            # The first reading may come in several parts; only when it is whole may appliances act on it.
            if fresh and (known.titles_version != -1 or not changes.publications):
                known.take_version(after)
                self._dirty.set()
                await self._refresh()

    async def _follow_discovery(self) -> None:
        failed, shape, known = False, members.shape(self._knowledge.members), self._knowledge
        while True:
            try:
                question = AppliancesQuestion(known=holdings.digests(known.appliances or ()))
                found = (await self._discovery.appliances(question)).appliances
                known.take_appliances(found, self._dismissed(), self._clock.monotonic_s(), self._clock.now_s())
                if (now := members.shape(known.members)) != shape:
                    shape = now
                    await self._planning.keep_members()
                    self._dirty.set()
                failed = False
                await self._refresh()
            except NearcastError as error:
                if not failed:
                    _log.warning("who is there cannot be told; assignments stay as they are", error=error.message, code=error.code)
                failed = True
                known.miss_discovery()
            await self._clock.sleep(POLL_S)

    async def _follow_store(self) -> None:
        """What other planners commit."""
        while True:
            await self._clock.sleep(POLL_S)
            with contextlib.suppress(NearcastError):  # told where something is to be written
                if await self._planning.follow():
                    await self._refresh()

    async def _plan_changes(self) -> None:
        while True:
            await self._dirty.wait()
            await self._clock.sleep(SETTLE_S)
            self._dirty.clear()
            if self._knowledge.known and not await self._done(self._planning.plan(PlanQuestion(commit=True))):
                await self._clock.sleep(LOOK_S)
                self._dirty.set()

    async def _plan_by_clock(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            await self._refresh()
            if self._knowledge.known:
                await self._done(self._planning.look())

    async def _done(self, work: Coroutine[object, object, object]) -> bool:
        """A plan that cannot be made now is tried again soon; meanwhile the last one stays."""
        try:
            await work
        except NearcastError as error:
            _log.warning("no placement could be worked out; the last one stays", error=error.message, code=error.code)
            return False
        return True
