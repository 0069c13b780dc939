"""What an edge of another host may ask: to report itself and its traffic, to be told what to hold, to have its certificate renewed.

It is known by the certificate that it joined with, and may speak for itself alone.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from msgspec import Struct

from nearcast.base import context
from nearcast.base.errors import Denied
from nearcast.model.fill import Assignment
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    Causes,
    CausesQuestion,
    Demand,
    DemandQuestion,
    Discovery,
    DropQuestion,
    Fill,
    FillQuestion,
    Insight,
    InstanceList,
    Nothing,
    OffloadQuestion,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import ApplianceReport, Instance, Order
from nearcast.model.traffic import OffloadReport, TrafficReport
from nearcast.system import dismissal, issue, peers, tls
from nearcast.system.table import EDGE_PREFIX


class NotYours(Denied):
    """An edge asked for what is not its own."""

    code = "NC0219"
    cure = "an edge speaks for itself alone; if it was to be renamed or moved, let it join anew (`nearcast edge invite`)"


class RenewQuestion(Struct, frozen=True, kw_only=True):
    """``request``: a PEM request for a certificate, by the key that it is to be for. The names are those of the old one."""

    request: str


class RenewAnswer(Struct, frozen=True, kw_only=True):
    """``chain``: the certificate and its authority's, PEM."""

    chain: str


class Renewal(Protocol):
    """How an edge of another host has its certificate renewed."""

    async def renew(self, question: RenewQuestion, /) -> RenewAnswer: ...


def caller(folder: Path) -> peers.Appliance:
    """The edge that asks. ``folder``: the authority's. Raises NotYours for whoever is none, Dismissed for one that was shut out."""
    found = next(filter(None, map(peers.appliance_of, context.peer.get())), None)
    if found is None:
        raise NotYours("only an edge that has joined may ask this")
    if dismissal.since_s(folder, found.id) is not None:
        dismissal.check(folder, found.id, issue.issued_at_s(_certificate()))
    return found


def _certificate() -> x509.Certificate:
    return x509.load_pem_x509_certificate(context.peer_certificate.get())


def owned(appliance: peers.Appliance, entry_id: str) -> bool:
    """Whether an entry of discovery is the appliance's own: its report, or its process."""
    return entry_id == appliance.id or entry_id.startswith(f"{EDGE_PREFIX}{appliance.id}/")


def is_edge_process(instance: Instance, me: peers.Appliance) -> bool:
    """Whether what registers is the edge's own process, and not, under its name, a service that others would look for."""
    return owned(me, instance.id) and instance.service == f"{EDGE_PREFIX}{me.id}"


class EdgeDiscovery:
    """Discovery as an edge of another host may use it. ``folder``: the authority's, where it says who was dismissed."""

    def __init__(self, discovery: Discovery, folder: Path) -> None:
        self._discovery = discovery
        self._folder = folder

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        me = caller(self._folder)
        if (question.id, question.site) != (me.id, me.site):
            raise NotYours(f"the edge {me.id} at {me.site} may not report for {question.id[:64]} at {question.site[:64]}")
        return await self._discovery.report(question)

    async def register(self, question: Instance, /) -> ReportAnswer:
        me = caller(self._folder)
        if not is_edge_process(question, me):
            raise NotYours(f"the edge {me.id} may not register {question.id[:64]} as {question.service[:64]}")
        return await self._discovery.register(question)

    async def drop(self, question: DropQuestion, /) -> Nothing:
        _check_owned(caller(self._folder), question.id)
        return await self._discovery.drop(question)

    async def order(self, question: OrderQuestion, /) -> Order:
        raise NotYours("an edge gives no orders")

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        raise NotYours("an edge does not ask for the others")

    async def instances(self, question: Nothing, /) -> InstanceList:
        raise NotYours("an edge does not ask for the others")


class EdgeFill:
    """Fill as an edge of another host may use it."""

    def __init__(self, fill: Fill, folder: Path) -> None:
        self._fill = fill
        self._folder = folder

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        _check_owned(caller(self._folder), question.appliance)
        return await self._fill.assignment(question)

    async def causes(self, question: CausesQuestion, /) -> Causes:
        _check_owned(caller(self._folder), question.appliance)
        return await self._fill.causes(question)


class EdgeInsight:
    """Insight as an edge of another host may use it: it tells what it served, and asks nothing."""

    def __init__(self, insight: Insight, folder: Path) -> None:
        self._insight = insight
        self._folder = folder

    async def record(self, question: TrafficReport, /) -> Nothing:
        me = caller(self._folder)
        if (question.appliance, question.site) != (me.id, me.site):
            raise NotYours(f"the edge {me.id} at {me.site} may not tell of {question.appliance[:64]} at {question.site[:64]}")
        return await self._insight.record(question)

    async def demand(self, question: DemandQuestion, /) -> Demand:
        raise NotYours("an edge does not ask what others serve")

    async def offload(self, question: OffloadQuestion, /) -> OffloadReport:
        raise NotYours("an edge does not ask what others serve")


class EdgeRenewal:
    """Fits ``Renewal``, with the authority in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def renew(self, question: RenewQuestion, /) -> RenewAnswer:
        me = caller(self._folder)
        now = datetime.datetime.now(datetime.UTC)
        if not issue.due(_certificate(), now):
            raise Denied("the certificate is good for a while yet", hint="an edge asks when a third of its time is left")
        authority = tls.load_authority(self._folder)
        if authority is None:
            raise Denied("this host does not hold the authority", hint="copy authority.pem and authority.key from the main host")
        key = issue.read_request(question.request)
        # What its invitation said it is called by viewers stands first; it cannot ask for another name.
        public_name = next((name for name in context.peer.get() if "://" not in name), "")
        return RenewAnswer(chain=issue.sign_edge(key, me.uri, public_name, authority, now))


def _check_owned(me: peers.Appliance, entry_id: str) -> None:
    if not owned(me, entry_id):
        raise NotYours(f"the edge {me.id} may not speak for {entry_id[:64]}")
