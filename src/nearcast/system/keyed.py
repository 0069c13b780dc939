"""Discovery with the keys of appliances: which key an appliance is to have is an order, the key itself comes from the root secret.

A report is believed by its MAC, under a key that only the appliance and this host have, and only once: its ``issued_ms`` must be above
that of the last one. The first after a start must be above the time of that start, so that nothing that was recorded before can be
played again. Nobody is locked out by a wrong clock: who signs too low is told above what, and only who has the key can use that.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

import structlog
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Counter

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Denied
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    Discovery,
    DropQuestion,
    InstanceList,
    Nothing,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import ApplianceReport, Instance, Order
from nearcast.policy import capability

TOLD_S = 10.0
"""So often at most does the log tell of refused reports."""
NAME_SHOWN = 64
_log = structlog.get_logger("discovery")


class Forged(Denied):
    """A report is not signed by the appliance that it names."""

    code = "NC0233"
    cure = (
        "let the edge run the same version as this host; one that joined another system, or before its secrets were made anew, joins again"
    )


class KeyedDiscovery:
    """Fits ``model.services.Discovery``. Who may report for an appliance is given that appliance's key, and no other."""

    def __init__(self, discovery: Discovery, root: bytes, clock: Clock | None = None, *, registry: CollectorRegistry | None = None) -> None:
        self._discovery = discovery
        self._root = root
        self._clock = clock or SystemClock()
        self._key = lru_cache(maxsize=65536)(lambda appliance: capability.report_key(capability.edge_key(root, appliance)))
        self._floor_ms = int(self._clock.now_s() * 1000)
        self._issued_ms: dict[str, int] = {}
        """Of the last report of each appliance. Only who has a key gets in, so that it grows no larger than the system."""
        self._refusals = _Refusals(self._clock, registry)

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        """Raises Forged; what was issued too low is answered, and changes nothing."""
        name = question.id
        if not hmac.compare_digest(capability.report_mac(self._key(name), question).encode(), question.mac.encode()):
            self._refusals.tell("forged", question)
            raise Forged(f"the report of {name[:NAME_SHOWN]!r} is {'signed by somebody else' if question.mac else 'not signed'}")
        last_ms = self._issued_ms.get(name, self._floor_ms)
        if question.issued_ms <= last_ms:
            self._refusals.tell("old", question)
            return ReportAnswer(lease_s=question.lease_s, issued_ms=last_ms)
        self._issued_ms[name] = question.issued_ms
        answer = await self._discovery.report(question)
        if question.key_generation >= answer.key_generation:
            return answer
        return replace(answer, key=capability.edge_key(self._root, name, answer.key_generation))

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        return await self._discovery.appliances(question)

    async def order(self, question: OrderQuestion, /) -> Order:
        return await self._discovery.order(question)

    async def register(self, question: Instance, /) -> ReportAnswer:
        return await self._discovery.register(question)

    async def instances(self, question: Nothing, /) -> InstanceList:
        return await self._discovery.instances(question)

    async def drop(self, question: DropQuestion, /) -> Nothing:
        return await self._discovery.drop(question)


class _Refusals:
    """Counts what was refused, and tells of it now and then: who forges reports shall not fill the log."""

    def __init__(self, clock: Clock, registry: CollectorRegistry | None) -> None:
        self._clock = clock
        self._since = 0
        self._told_s = float("-inf")
        self._counter = (
            Counter("nearcast_discovery_refused_reports", "Reports that were not believed, by reason.", ["reason"], registry=registry)
            if registry is not None
            else None
        )

    def tell(self, reason: str, report: ApplianceReport) -> None:
        if self._counter is not None:
            self._counter.labels(reason).inc()
        self._since += 1
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s < TOLD_S:
            return
        code = Forged.code if reason == "forged" else ""
        _log.warning("a report is not believed", id=report.id[:NAME_SHOWN], reason=reason, code=code, refused=self._since)
        self._told_s, self._since = now_s, 0
