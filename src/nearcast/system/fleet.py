"""Builds ``fleet``: discovery, fill and ingest, and the listener for uploads."""

from __future__ import annotations

import asyncio
from typing import Any

from nearcast.base import ports
from nearcast.base.web import Tls, serve_asgi
from nearcast.model.services import Catalog, Discovery, Fill, Ingest, License
from nearcast.system import places, tls
from nearcast.system.part import Closer, Part, System
from nearcast.system.secrets import ROOT
from nearcast.system.settings import Settings


def page_origins(settings: Settings) -> tuple[str, ...]:
    """From where the web page may come that uploads: the gateway under each of its names."""
    network = settings.network
    scheme = "https" if places.public(settings) else "http"
    hosts = dict.fromkeys(("127.0.0.1", "localhost", "::1", network.host, *([network.public_name] if network.public_name else [])))
    found = [f"{scheme}://{ports.authority(host, network.gateway_port)}" for host in hosts]
    return tuple(dict.fromkeys([*found, *([settings.gateway.public_url] if settings.gateway.public_url else [])]))


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] upload_port``. Raises PortTaken, BadOrigin, DiskFailed."""
    from nearcast.control.discovery import DiscoveryService
    from nearcast.delivery.fill.service import FillService
    from nearcast.media.ingest import IngestService
    from nearcast.media.upload import application
    from nearcast.system.stores import origin_store

    settings, clock, home = system.settings, system.clock, system.home
    discovery = DiscoveryService(clock=clock, settings=settings.discovery)
    fill = FillService(system.client(Catalog), clock)
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
    await fill.start()
    app = application(ingest, page_origins(settings))
    server = await serve_asgi(app, places.listen_host(settings), settings.network.upload_port, tls=tls.current(home, settings))
    closers: list[Closer] = [fill.stop, ingest.stop, server.stop]
    if settings.network.internal_host:
        closers += await open_to_edges(system, discovery, fill)
    return Part(services={Discovery: discovery, Fill: fill, Ingest: ingest}, closers=closers, failed=server.wait)


async def open_to_edges(system: System, discovery: Discovery, fill: Fill) -> list[Closer]:
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
        admission.Renewal: admission.EdgeRenewal(home.secrets),
    }
    calls = await rpc.serve(services, ports.authority(network.internal_host, network.edges_port), mutual=system.mutual())
    return [door.stop, lambda: calls.stop(2.0)]
