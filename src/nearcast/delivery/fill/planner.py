"""Makes placement generations: at its hour, when titles or appliances come and go, when something surprises, and when an operator asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec
import structlog

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Conflict, NearcastError, NotFound, Unavailable
from nearcast.delivery.fill import members, moves
from nearcast.delivery.fill import plan as planning
from nearcast.delivery.fill.knowledge import EVERYTHING, Knowledge, peak_at
from nearcast.delivery.fill.members import Member
from nearcast.delivery.fill.schedule import FillPeer
from nearcast.delivery.fill.store import Notes, PlacementStore
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import ApplianceFill, FillStatus, Pin, Placement, Plan
from nearcast.model.services import Demand, DemandQuestion, Insight, PinQuestion, PlanQuestion
from nearcast.model.site import ApplianceReport
from nearcast.policy.windows import WindowState, window_at

T = TypeVar("T")

ATTEMPTS = 5
HURRY_S = 24 * 3600.0
"""For so long what was ordered at once, or surprised, does not wait for the window."""
SURPRISE_S = 180.0
"""How often it is looked whether something surprises."""
FRESH_S = 60.0
"""Demand that was asked for so lately is good enough for a plan that a launch asks for."""
GENERATION_MAX = 2**53
"""What an appliance claims beyond it is not believed: numbers would run out."""
PACE_SHARE_MIN = 0.01
"""Of its cap: an appliance that fetches less has just begun, or is about to end."""
LEFT_MAX_S = 30 * 86_400.0
"""What would take longer is not moving."""
NONE_YET = Placement(generation=0, made_at=0.0, holdings={})
_log = structlog.get_logger("fill")


class Raced(Conflict):
    """Other planners were quicker, again and again."""

    code = "NC2050"
    cure = "the placement in force is as fresh as yours would be: `nearcast fill status`"


class TooEarly(Unavailable):
    """Too little is known for a placement: no appliance has told its room, or the catalog has not been read yet."""

    code = "NC2051"
    cure = "see `nearcast status`: catalog and at least one edge must be up; then try again"


class UnknownTitle(NotFound):
    """A title that is to be pinned is not published."""

    code = "NC2052"
    cure = "`nearcast titles` lists the ids of those that are"


class NotPinned(NotFound):
    """A title that is to be pinned no longer was not pinned."""

    code = "NC2054"
    cure = "a pin binds until two days after its release; from then on the title is placed by its popularity"


class BadPin(BadInput):
    """A release hour is over, or is none."""

    code = "NC2053"
    cure = "name a time within a year from now; what is out already is filled at once by `nearcast fill run --now`"


class Store(PlacementStore, Notes, Protocol):
    """Where generations, pins and notes are kept."""


def _lasting(until_s: dict[str, float], now_s: float) -> dict[str, float]:
    return {title_id: at for title_id, at in until_s.items() if at > now_s}


def filling(
    peer: FillPeer,
    report: ApplianceReport | None,
    *,
    assigned_bytes: int,
    lacks: Mapping[str, int],
    missing_bytes: int | None,
    urgent: Collection[str],
    pace_bps: float,
    window: WindowState,
    cap_bps: float,
) -> ApplianceFill:
    """How far an appliance is. ``lacks``: bytes by title, worked out from what it told last; ``missing_bytes``: as it counts them itself,
    None where it is silent or speaks of another generation."""
    missing_bytes = sum(lacks.values()) if missing_bytes is None else missing_bytes
    urgent_bytes = min(missing_bytes, sum(size_bytes for title_id, size_bytes in lacks.items() if title_id in urgent))
    moving = missing_bytes > 0 and report is not None and (window.open or urgent_bytes >= missing_bytes)
    left_s = missing_bytes * 8 / pace_bps if moving and pace_bps > PACE_SHARE_MIN * cap_bps else float("inf")
    return ApplianceFill(
        appliance=peer.id,
        site=peer.site,
        state=peer.state,
        assigned_bytes=assigned_bytes,
        missing_bytes=missing_bytes,
        fill_bps=report.fill_bps if report else 0.0,
        window_open=window.open,
        opens_in_s=0.0 if window.open else window.turns_in_s,
        eta_s=left_s if left_s <= LEFT_MAX_S else None,
        problem=report.problem if report else "is silent",
        urgent_bytes=urgent_bytes,
    )


class Planning:
    """Works placements out of ``knowledge`` and commits them. ``refresh``: to be called when a new one is in force."""

    def __init__(
        self,
        knowledge: Knowledge,
        store: Store,
        insight: Insight,
        settings: FillSettings,
        clock: Clock,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._known = knowledge
        self._store = store
        self._insight = insight
        self._settings = settings
        self._clock = clock
        self._refresh = refresh
        self._demand: Demand | None = None
        self._demand_s = float("-inf")
        self._surprised_s = float("-inf")
        self._planned_at = 0.0
        self._one = asyncio.Lock()
        """One plan at a time in one process; between processes the store decides."""

    # --- what is kept -------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """What an earlier process knew. Raises PlanStoreBroken, PlanStoreDamaged."""
        self._known.members = {each.id: each for each in await self._recall("members", list[Member], [])}
        self._planned_at = await self._recall("planned_at", float, 0.0)
        await self.follow()
        if self._known.placement is not None:
            self._known.order = tuple(await self._recall("order", list[str], []))

    async def follow(self) -> bool:
        """Whether another planner has committed a generation, or changed what hurries. Raises PlanStoreBroken."""
        known, before = self._known, (self._known.pins, self._known.hurry, self._known.surprised)
        known.pins, known.hurry = await self._store.pins(), await self._recall("hurry", dict[str, float], {})
        known.surprised = await self._recall("surprised", dict[str, float], {})
        found = await self._store.latest(known.placement.generation if known.placement else 0)
        if found is not None:
            known.placement = found
            known.order = tuple(await self._recall("order", list[str], []))
        return found is not None or before != (known.pins, known.hurry, known.surprised)

    async def keep_members(self) -> None:
        await self._remember("members", list(self._known.members.values()))

    async def _remember(self, name: str, content: object) -> None:
        await self._store.remember(name, msgspec.msgpack.encode(content))

    async def _recall(self, name: str, kind: type[T], default: T) -> T:
        raw = await self._store.recall(name)
        try:
            return msgspec.msgpack.decode(raw, type=kind) if raw else default
        except msgspec.MsgspecError as error:  # of another version; all of it is learned again
            _log.warning("a note of an earlier process cannot be read", note=name, error=str(error))
            return default

    # --- plans --------------------------------------------------------------------------------------------------------

    async def plan(self, question: PlanQuestion) -> Plan:
        """Raises TooEarly, Raced, PlanStoreBroken."""
        if not self._known.known:
            raise TooEarly("too little is known yet to place anything")
        async with self._one:
            if question.commit and question.at_once:
                await self._hurry({EVERYTHING: self._clock.now_s() + HURRY_S})
            before, after, _ = await self._commit({}) if question.commit else await self._try({})
            told = self._told(before, after, committed=question.commit, changes=question.changes)
        if question.commit:
            await self._refresh()
        return told

    async def look(self) -> None:
        """What the clock asks for: the day's plan at its hour, and what surprises meanwhile."""
        now_s = self._clock.now_s()
        if self._planned_at < planning.last_due(self._settings.plan_at, now_s):
            await self._ask_demand(0.0)
            await self.plan(PlanQuestion(commit=True))
            self._planned_at = now_s
            await self._remember("planned_at", now_s)
        if self._clock.monotonic_s() - self._surprised_s >= SURPRISE_S:
            self._surprised_s = self._clock.monotonic_s()
            await self._look_for_surprises(now_s)

    async def _look_for_surprises(self, now_s: float) -> None:
        await self._ask_demand(0.0)
        if self._demand is None:
            return
        known = self._known
        sites = {each.site: members.site_of(each.site, known.sites) for each in known.members.values()}
        regions = {each.taste for each in sites.values()}
        found = await asyncio.to_thread(planning.surprising, self._demand, dict(known.catalog), regions, self._settings.surprise_factor)
        # Where all sites of a region are in their peak nothing could be fetched for it now, only be given up.
        now = datetime.fromtimestamp(now_s, UTC)
        quiet = {each.taste for each in sites.values() if not peak_at(self._settings, each.timezone, now).open}
        beyond = {region: each for region, each in found.items() if region in quiet}
        titles = {title_id for each in beyond.values() for title_id in each}
        if any(known.surprised.get(each, 0.0) <= now_s for each in titles):
            _log.info("asked for beyond all expectation", titles=sorted(titles))
            async with self._one:
                known.surprised = _lasting({**known.surprised, **dict.fromkeys(titles, now_s + HURRY_S)}, now_s)
                await self._remember("surprised", known.surprised)
                await self._commit(beyond)
            await self._refresh()

    async def _hurry(self, more: dict[str, float]) -> None:
        now_s = self._clock.now_s()
        self._known.hurry = _lasting({**self._known.hurry, **more}, now_s)
        await self._remember("hurry", self._known.hurry)

    async def _commit(self, beyond: planning.ByRegion) -> tuple[Placement, Placement, planning.Wanted]:
        """The placement before and the one in force now: the same where nothing is to be changed. Raises Raced."""
        for _ in range(ATTEMPTS):
            before, after, wanted = await self._try(beyond)
            if before.generation and after.holdings == before.holdings:
                await self._keep_order(wanted)
                return before, before, wanted
            if await self._store.commit(after, before.generation):
                self._known.placement = after
                await self._keep_order(wanted)
                _log.info("a placement is in force", generation=after.generation, appliances=len(after.holdings))
                return before, after, wanted
            await self.follow()
        raise Raced(f"other planners committed {ATTEMPTS} generations meanwhile")

    async def _keep_order(self, wanted: planning.Wanted) -> None:
        if wanted.order != self._known.order:
            self._known.order = wanted.order
            await self._remember("order", list(wanted.order))

    async def _try(self, beyond: planning.ByRegion) -> tuple[Placement, Placement, planning.Wanted]:
        await self._ask_demand(FRESH_S)
        known, now_s = self._known, self._clock.now_s()
        before = known.placement or NONE_YET
        wanted = await asyncio.to_thread(
            planning.decide,
            dict(known.catalog),
            dict(known.members),
            known.sites,
            self._demand,
            known.pins,
            before,
            self._settings,
            now_s,
            beyond,
        )
        # What appliances were told before a backup was restored must not be told again under the same number.
        told = max((each.generation for each in known.reports.values() if each.generation < GENERATION_MAX), default=0)
        return before, Placement(generation=max(before.generation, told) + 1, made_at=now_s, holdings=wanted.holdings), wanted

    async def _ask_demand(self, fresh_s: float) -> None:
        """Unless it was asked less than ``fresh_s`` ago. Where insight does not answer, what it said last stays."""
        if self._clock.monotonic_s() - self._demand_s < fresh_s:
            return
        try:
            since_day = int(self._clock.now_s() // planning.DAY_S) - self._settings.days
            self._demand = await self._insight.demand(DemandQuestion(since_day=since_day))
            self._demand_s = self._clock.monotonic_s()
        except NearcastError as error:
            _log.warning("demand cannot be told; plans go by what was known", error=error.message, code=error.code)

    # --- what operators are told --------------------------------------------------------------------------------------

    def _fleet(self) -> tuple[FillPeer, ...]:
        known = self._known
        return members.peers(known.members, known.reports, known.sites, dict.fromkeys(known.members, ""), known.held)

    def _told(self, before: Placement, after: Placement, *, committed: bool, changes: bool) -> Plan:
        known, fleet = self._known, self._fleet()
        now = datetime.fromtimestamp(self._clock.now_s(), UTC)
        urgent = self._urgent(fleet, now)
        capacity_bytes = {each.id: each.capacity_bytes for each in known.members.values()}
        names = {title_id: each.metadata.name for title_id, each in known.catalog.items()}
        return Plan(
            generation=after.generation,
            committed=committed,
            sites=moves.site_moves(
                before,
                after,
                known.files,
                fleet,
                capacity_bytes,
                self._settings,
                now,
                missing_bytes={each.id: self._filling(each, before, now, urgent[each.timezone]).missing_bytes for each in fleet},
                urgent={each.site: urgent[each.timezone] for each in fleet},
            ),
            origin_bytes=moves.origin_bytes(before, after, known.files, fleet),
            changes=moves.changes(before, after, known.files, fleet, names) if changes else (),
        )

    def status(self) -> FillStatus:
        placement = self._known.placement or NONE_YET
        now = datetime.fromtimestamp(self._clock.now_s(), UTC)
        fleet = self._fleet()
        urgent = self._urgent(fleet, now)
        return FillStatus(
            generation=placement.generation,
            made_at=placement.made_at,
            appliances=tuple(self._filling(each, placement, now, urgent[each.timezone]) for each in fleet),
        )

    def _urgent(self, fleet: Iterable[FillPeer], now: datetime) -> dict[str, frozenset[str]]:
        """By time zone: there are few of them, and many appliances."""
        return {timezone: self._known.urgent(timezone, now) for timezone in {each.timezone for each in fleet}}

    def _filling(self, peer: FillPeer, placement: Placement, now: datetime, urgent: Collection[str]) -> ApplianceFill:
        known = self._known
        report = known.reports.get(peer.id)
        return filling(
            peer,
            report,
            assigned_bytes=moves.size_of(known.files, moves.names_at(placement, [peer.id])),
            lacks=moves.missing_by_title(placement, peer.id, known.files, known.held.get(peer.id, {})),
            # Who has not heard of this generation yet tells of another's.
            missing_bytes=report.missing_bytes if report is not None and report.generation >= placement.generation else None,
            urgent=urgent,
            pace_bps=known.pace_bps.get(peer.id, 0.0),
            window=window_at(self._settings.window, peer.timezone, now),
            cap_bps=self._settings.appliance_max_bps,
        )

    async def pin(self, question: PinQuestion) -> tuple[Pin, ...]:
        """Pin a title, or pin it no longer; all pins that bind. Raises UnknownTitle, NotPinned, BadPin, PlanStoreBroken."""
        now_s = self._clock.now_s()
        if question.release_at is None:
            if question.title_id not in [each.title_id for each in await self._store.pins()]:
                raise NotPinned(f"the title {question.title_id!r} is not pinned")
            await self._store.unpin(question.title_id)
        elif not now_s <= question.release_at < now_s + 366 * planning.DAY_S:
            raise BadPin("the release hour is over, or more than a year away")
        elif question.title_id not in self._known.catalog:
            raise UnknownTitle(f"no title {question.title_id!r} is published")
        else:
            await self._store.pin(Pin(title_id=question.title_id, release_at=question.release_at))
        self._known.pins = await self._store.pins()
        return planning.pinned(self._known.pins, now_s)
