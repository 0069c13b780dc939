"""Builds ``fleet``: discovery, insight, fill and ingest, and the listener for uploads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nearcast.base import ports
from nearcast.base.errors import NearcastError
from nearcast.base.web import Tls, serve_asgi
from nearcast.model.services import Catalog, Discovery, Fill, Ingest, Insight, License, Planner, Quality
from nearcast.policy import capability
from nearcast.system import aside, places, tls
from nearcast.system.part import Closer, Part, System
from nearcast.system.secrets import ROOT
from nearcast.system.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nearcast.delivery.fill.service import FillService
    from nearcast.insight.quality import QualityService

DEMAND_TIMEOUT_S = 60.0
"""Weeks of demand of a large library take a while to add up."""


def page_origins(settings: Settings) -> tuple[str, ...]:
    """From where the web page may come that uploads: the gateway under each of its names."""
    network = settings.network
    scheme = "https" if places.public(settings) else "http"
    hosts = dict.fromkeys(("127.0.0.1", "localhost", "::1", network.host, *([network.public_name] if network.public_name else [])))
    found = [f"{scheme}://{ports.authority(host, network.gateway_port)}" for host in hosts]
    return tuple(dict.fromkeys([*found, *([settings.gateway.public_url] if settings.gateway.public_url else [])]))


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] upload_port``. Raises PortTaken, BadOrigin, DiskFailed."""
    from prometheus_client import REGISTRY

    from nearcast.insight.quality import QualityService
    from nearcast.media.ingest import IngestService
    from nearcast.media.upload import application
    from nearcast.system.stores import origin_store

    settings, clock, home = system.settings, system.clock, system.home
    discovery = open_discovery(system, REGISTRY)
    quality = QualityService(clock)
    insight, end_insight = await open_insight(system, quality)
    fill, end_fill = await open_fill(system, discovery, insight)
    ingest = IngestService(
        settings=settings.media,
        clock=clock,
        license=system.client(License),
        catalog=system.client(Catalog),
        store=origin_store(home, settings),
        work=home.work,
        uploads=home.uploads,
        upload_key=system.key("upload"),
        upload_url=places.upload_url(settings),
    )
    await ingest.start()
    app = application(ingest, page_origins(settings))
    server = await serve_asgi(app, places.listen_host(settings), settings.network.upload_port, tls=tls.current(home, settings))
    closers: list[Closer] = [end_insight, end_fill, ingest.stop, server.stop]
    if settings.network.internal_host:
        closers += await open_to_edges(system, discovery, fill, insight)
    services: dict[type[Any], object] = {
        Discovery: discovery,
        Insight: insight,
        Fill: fill,
        Planner: fill,
        Ingest: ingest,
        Quality: quality,
    }

    async def failed() -> None:
        parts = [asyncio.ensure_future(each()) for each in (server.wait, fill.wait)]
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    return Part(services=services, closers=closers, failed=failed)


def open_discovery(system: System, registry: CollectorRegistry | None = None) -> Discovery:
    """Raises OrdersUnusable."""
    from nearcast.control.discovery import DiscoveryService
    from nearcast.control.discovery.orders import OrderFile
    from nearcast.system.keyed import KeyedDiscovery
    from nearcast.system.stores import orders_path

    discovery = DiscoveryService(
        clock=system.clock,
        settings=system.settings.discovery,
        orders=OrderFile(orders_path(system.home)),
        configured=[each.id for each in system.settings.appliances],
        sites=system.settings.steering.sites,
    )
    return KeyedDiscovery(discovery, system.key(ROOT), system.clock, registry=registry)


async def open_insight(system: System, quality: QualityService) -> tuple[Insight, Closer]:
    """``quality`` is told what edges report, and kept in the same file. A damaged one is set aside.

    Raises StoreUnavailable, InsightOutdated, NotSetAside.
    """
    from nearcast.control.store.errors import StoreDamaged
    from nearcast.insight.tables import InsightDamaged
    from nearcast.system.stores import insight_path

    try:
        return await _start_insight(system, quality)
    except (StoreDamaged, InsightDamaged) as error:
        aside.set_aside(insight_path(system.home), error, datetime.now(UTC))
    return await _start_insight(system, quality)


async def _start_insight(system: System, quality: QualityService) -> tuple[Insight, Closer]:
    from nearcast.control.store.engine import Store, sqlite_url
    from nearcast.insight.service import InsightService
    from nearcast.system.stores import insight_path

    path = insight_path(system.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Store(sqlite_url(path), system.settings.store)
    insight = InsightService(store, system.client(Catalog), system.settings.steering.sites, system.clock, quality.delivered)
    try:
        await insight.start()
        path.chmod(0o600)
        await quality.start(store)
    except NearcastError as error:
        await insight.close()
        await asyncio.to_thread(store.close)
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error

    async def close() -> None:
        await insight.close()
        await quality.close()
        await asyncio.to_thread(store.close)

    return insight, close


async def open_fill(system: System, discovery: Discovery, insight: Insight) -> tuple[FillService, Closer]:
    """A damaged file is set aside: numbers of generations go on above what appliances tell. Raises PlanStoreBroken, NotSetAside."""
    from nearcast.delivery.fill.store import PlanStoreDamaged
    from nearcast.system.stores import placement_path

    try:
        return await _start_fill(system, discovery, insight)
    except PlanStoreDamaged as error:
        aside.set_aside(placement_path(system.home), error, datetime.now(UTC))
    return await _start_fill(system, discovery, insight)


async def _start_fill(system: System, discovery: Discovery, insight: Insight) -> tuple[FillService, Closer]:
    from nearcast.base import rpc
    from nearcast.delivery.fill.service import FillService
    from nearcast.delivery.fill.store import SqlitePlacements
    from nearcast.system import dismissal
    from nearcast.system.stores import placement_path

    settings, root = system.settings, system.key(ROOT)
    store = await asyncio.to_thread(SqlitePlacements, placement_path(system.home))
    fill = FillService(
        catalog=system.client(Catalog),
        discovery=discovery,
        insight=rpc.local(Insight, insight, timeout_s=DEMAND_TIMEOUT_S),
        store=store,
        settings=settings.fill,
        sites=settings.steering.sites,
        token=lambda appliance: capability.fill_token(capability.edge_key(root, appliance)),
        configured=[each.id for each in settings.appliances],
        dismissed=lambda: dismissal.everyone(system.home.secrets),
        clock=system.clock,
    )
    try:
        await fill.start()
    except NearcastError:
        await asyncio.to_thread(store.close)
        raise

    async def close() -> None:
        await fill.stop()
        await asyncio.to_thread(store.close)

    return fill, close


async def open_to_edges(system: System, discovery: Discovery, fill: Fill, insight: Insight) -> list[Closer]:
    """Let edges of other hosts join, report and ask what to hold. Answers with what ends that. Raises Unprotected, PortTaken."""
    from nearcast.base import rpc
    from nearcast.system import admission, join, peers

    home, network = system.home, system.settings.network
    redeemed = join.Redeemed(home.data / "invitations")
    joining = join.Joining(system.key(ROOT), home.secrets, redeemed, (network.edges_port, network.origin_port), network.origin_url)
    # Who joins has no certificate yet: this one listener asks for none, and is told by the invitation.
    certificate = Tls(certificate=peers.need(home), key=peers.path(home))
    app = join.application(joining, await asyncio.to_thread((home.secrets / tls.AUTHORITY).read_bytes))
    door = await serve_asgi(app, network.internal_host, network.join_port, tls=certificate)
    services: dict[type[Any], object] = {
        Discovery: admission.EdgeDiscovery(discovery, home.secrets),
        Fill: admission.EdgeFill(fill, home.secrets),
        Insight: admission.EdgeInsight(insight, home.secrets),
        admission.Renewal: admission.EdgeRenewal(home.secrets),
    }
    calls = await rpc.serve(services, ports.authority(network.internal_host, network.edges_port), mutual=system.mutual())
    return [door.stop, lambda: calls.stop(2.0)]
