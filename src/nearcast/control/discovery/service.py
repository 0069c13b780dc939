"""The Discovery service of ``model.services``: the registry with a clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import structlog
from msgspec.structs import replace

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NotFound, Unavailable
from nearcast.control.discovery.addresses import ADDRESSES_MAX, reachable
from nearcast.control.discovery.observers import Circle, votes
from nearcast.control.discovery.orders import OrderMemory, OrderStore, changed
from nearcast.control.discovery.registry import ENTRIES_MAX, Registry
from nearcast.control.discovery.settings import DiscoverySettings
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    DropQuestion,
    InstanceList,
    Nothing,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import Appliance, ApplianceReport, Instance, Order, Site
from nearcast.policy import holdings

E = TypeVar("E", ApplianceReport, Instance)

NAME_MAX = 200
TOLD_MAX = 64
"""So many addresses of one report are looked at."""
HOLDINGS_MAX = 200_000
"""Titles held that one answer tells of, all appliances together: about 8 MB. The rest is told to who asks again."""

_log = structlog.get_logger("discovery")


class BadReport(BadInput):
    """A report or registration without an id, a site, a service or an address."""

    code = "NC4504"
    cure = "name all of them, each at most 200 characters long"


class RegistryFull(Unavailable):
    """More has registered than the registry takes."""

    code = "NC4505"
    cure = "drop what is not needed; look for a client that registers under ever new names"


class UnknownAppliance(NotFound):
    """An order names an appliance that is not in the configuration and was not heard of."""

    code = "NC4507"
    cure = "`nearcast edges` lists those that are there"


def given_lease_s(asked_s: float, settings: DiscoverySettings) -> float:
    """Within the limits; what is no number gets the shortest."""
    return settings.lease_min_s if math.isnan(asked_s) else min(max(asked_s, settings.lease_min_s), settings.lease_max_s)


def taken_in(report: ApplianceReport, before: ApplianceReport | None) -> tuple[ApplianceReport, bool]:
    """The report with its holdings in whole, and whether they could be told: what it builds on must be what was known.

    Where they could not, those known before stay until the appliance has told all of them. Where none are known, as after a restart of
    ours, they are left out under their digest, as those that an asker has: who knew them goes on with them.
    """
    known_digest = before.holdings_digest if before and not before.holdings_base else holdings.EMPTY
    known = before.holdings if before and known_digest else {}
    if report.holdings_base == holdings.EMPTY:
        return replace(report, holdings_digest=holdings.digest(report.holdings)), True
    if report.holdings_base == known_digest and not report.holdings and report.holdings_digest == known_digest:
        return replace(report, holdings=known, holdings_base=holdings.EMPTY), True
    if report.holdings_base == known_digest:
        whole = holdings.merged(known, report.holdings)
        if holdings.digest(whole) == report.holdings_digest:
            return replace(report, holdings=whole, holdings_base=holdings.EMPTY), True
    if known_digest == holdings.EMPTY:
        return replace(report, holdings={}, holdings_base=report.holdings_digest), False
    return replace(report, holdings=known, holdings_digest=known_digest, holdings_base=holdings.EMPTY), False


def left_out(appliances: Iterable[Appliance], known: Mapping[str, str], titles_max: int = HOLDINGS_MAX) -> tuple[Appliance, ...]:
    """The appliances without the holdings that the asker has, and without those that no longer fit into the answer."""
    told, found = 0, []
    for each in appliances:
        report = each.report
        fits = told == 0 or told + len(report.holdings) <= titles_max
        if report.holdings and (known.get(report.id) == report.holdings_digest or not fits):
            each = replace(each, report=replace(report, holdings={}, holdings_base=report.holdings_digest))
        else:
            told += len(report.holdings)
        found.append(each)
    return tuple(found)


class DiscoveryService:
    """Fits ``model.services.Discovery``. Ages are counted on the monotonic clock: setting the wall clock drops nobody.

    ``configured``: appliances that may be given orders before they were heard of; ``sites``: in which they stand. Raises OrdersUnusable.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        settings: DiscoverySettings | None = None,
        orders: OrderStore | None = None,
        configured: Collection[str] = (),
        sites: Iterable[Site] = (),
    ) -> None:
        self._clock = clock
        self._settings = settings or DiscoverySettings()
        self._appliances: Registry[ApplianceReport] = Registry()
        self._instances: Registry[Instance] = Registry()
        self._store = orders or OrderMemory()
        self._orders = self._store.load()
        self._configured = frozenset(configured)
        self._heard: set[str] = set()
        """Who reported since the start: an appliance that has fallen silent can be told to drain, too."""
        self._left_out: dict[str, tuple[str, ...]] = {}
        """Addresses that were told of last as being none."""
        self._writing = asyncio.Lock()
        self._circle = Circle(sites)

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        _check(id=question.id, site=question.site, address=question.address)
        now_s = self._clock.monotonic_s()
        if self._circle.due(now_s):
            self._circle.choose([report for report, _ in self._appliances.alive(now_s)], now_s)
        report, told = taken_in(self._bounded(question), self._appliances.get(question.id))
        answer = self._renew(self._appliances, question.id, report, question.lease_s)
        if len(self._heard) < ENTRIES_MAX:
            self._heard.add(question.id)
        order = self._orders.get(question.id) or Order(appliance=question.id)
        return replace(
            answer,
            holdings_wanted=not told,
            draining=order.draining,
            key_generation=order.key_generation,
            probe=self._circle.asked(question.id),
        )

    def _bounded(self, report: ApplianceReport) -> ApplianceReport:
        """Without votes that nobody asked for, and with no more addresses than one appliance has."""
        asked = self._circle.asked(report.id)
        seen = {name: reached for name, reached in report.seen.items() if name in asked}
        return replace(report, seen=seen, addresses=self._reachable(report))

    def _reachable(self, report: ApplianceReport) -> tuple[str, ...]:
        kept, left_out = reachable(report.addresses[:TOLD_MAX], report.address)
        said = tuple(each[:NAME_MAX] for each in left_out[:ADDRESSES_MAX])
        if said and said != self._left_out.get(report.id) and len(self._left_out) < ENTRIES_MAX:
            self._left_out[report.id] = said
            _log.warning("viewers cannot be sent to what an appliance calls its addresses", id=report.id, left_out=said, kept=kept)
        return kept

    async def order(self, question: OrderQuestion, /) -> Order:
        """Keep what is wanted of the appliance, and answer with all of it. Raises UnknownAppliance, OrdersUnusable."""
        name = question.appliance
        if name not in self._configured and name not in self._orders and name not in self._heard:
            raise UnknownAppliance(f"there is no appliance {name[:NAME_MAX]!r}")
        async with self._writing:
            before = self._orders.get(name) or Order(appliance=name)
            after = changed(before, question)
            if after != before:
                orders = {**self._orders, name: after}
                await asyncio.to_thread(self._store.save, orders)
                self._orders = orders
                _log.info("ordered", id=name, draining=after.draining, key_generation=after.key_generation)
        return after

    async def register(self, question: Instance, /) -> ReportAnswer:
        _check(id=question.id, service=question.service, address=question.address)
        return self._renew(self._instances, question.id, question, question.lease_s)

    def _renew(self, registry: Registry[E], entry_id: str, entry: E, lease_s: float) -> ReportAnswer:
        given_s = given_lease_s(lease_s, self._settings)
        try:
            fresh = registry.renew(entry_id, entry, lease_s=given_s, now_s=self._clock.monotonic_s())
        except OverflowError as error:
            raise RegistryFull(str(error)) from error
        if fresh:
            _log.info("registered", id=entry_id, kind=type(entry).__name__)
        return ReportAnswer(lease_s=given_s)

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        self._expire()
        alive = self._appliances.alive(self._clock.monotonic_s())
        told = votes(alive)
        found = (Appliance(report=report, age_s=age_s, votes=told.get(report.id, {})) for report, age_s in alive)
        silent = {name: told[name] for name in self._circle.silent if name in told}
        return ApplianceList(appliances=left_out(found, question.known), silent=silent)

    async def instances(self, question: Nothing, /) -> InstanceList:
        self._expire()
        return InstanceList(instances=tuple(instance for instance, _ in self._instances.alive(self._clock.monotonic_s())))

    async def drop(self, question: DropQuestion, /) -> Nothing:
        """An id that is not there is dropped already."""
        for registry in (self._appliances, self._instances):
            if registry.drop(question.id):
                _log.info("dropped", id=question.id)
        self._circle.left(question.id)
        return Nothing()

    def _expire(self) -> None:
        now_s = self._clock.monotonic_s()
        for gone in (*self._appliances.expire(now_s), *self._instances.expire(now_s)):
            _log.warning("lease over", id=gone)


def _check(**fields: str) -> None:
    for name, value in fields.items():
        if not value or len(value) > NAME_MAX:
            raise BadReport(f"the report's {name} is {'empty' if not value else 'too long'}")
