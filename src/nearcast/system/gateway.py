"""Builds ``gateway``: the front door."""

from __future__ import annotations

from pathlib import Path

import msgspec

import nearcast
from nearcast.base import paths
from nearcast.model.services import Accounts, Catalog, Discovery, History, Home, Ingest, License, Playback, Routing, Search
from nearcast.system import edge, places, tls
from nearcast.system.part import Part, System
from nearcast.system.settings import Settings

WEB_ROOT = Path(nearcast.__file__).parents[2] / "web" / "dist"
"""The built web app of a clone."""


def own_origins(settings: Settings) -> tuple[str, ...]:
    """Where manifests and licences come from, and where films are uploaded to, as browsers reach them."""
    return settings.gateway.public_url or places.gateway_url(settings), places.upload_url(settings)


def edge_origins(home: paths.Home, settings: Settings) -> tuple[str, ...]:
    """The edges of this machine, as players reach them."""
    return tuple(edge.completed(home, settings, each).public_address for each in settings.appliances)


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] gateway_port``. Raises PortTaken, BadOrigin."""
    from prometheus_client import REGISTRY

    from nearcast.base.metrics import Metrics, ProcessMetrics, Scraper
    from nearcast.base.web import serve_asgi
    from nearcast.control.gateway.api.routes import REHEARSE_S
    from nearcast.control.gateway.application import GatewayKeys, application
    from nearcast.control.gateway.call import GatewayClients
    from nearcast.control.gateway.origins import Origins
    from nearcast.system.stores import origin_store

    settings = system.settings
    clients = GatewayClients(
        accounts=system.client(Accounts),
        catalog=system.client(Catalog),
        search=system.client(Search),
        home=system.client(Home),
        playback=system.client(Playback),
        license=system.client(License),
        history=system.client(History),
        discovery=system.client(Discovery),
        ingest=system.client(Ingest),
        routing=system.client(Routing, timeout_s=REHEARSE_S),  # the least of this and what a request has
    )
    scraped = {name: system.client_at(Metrics, name) for name in places.processes(settings) if name != process}
    scraper = Scraper({**scraped, process: ProcessMetrics(process)})
    own = settings.gateway
    if not own.public_url and settings.network.public_name:
        own = msgspec.structs.replace(own, public_url=places.gateway_url(settings))
    origins = Origins(clients.discovery, own_origins(settings), edge_origins(system.home, settings), system.clock)
    app = application(
        own,
        clients,
        origin_store(system.home, settings),
        GatewayKeys(token=system.key("token")),
        system.clock,
        WEB_ROOT if WEB_ROOT.is_dir() else None,
        exposition=scraper.text,
        registry=REGISTRY,
        origins=origins,
    )
    if not own.content_origins:
        await origins.start()
    server = await serve_asgi(app, places.listen_host(settings), settings.network.gateway_port, tls=tls.current(system.home, settings))
    return Part(closers=[origins.stop, server.stop], failed=server.wait)
