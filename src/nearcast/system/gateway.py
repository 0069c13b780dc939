"""Builds ``gateway``: the front door."""

from __future__ import annotations

from pathlib import Path

import msgspec

import nearcast
from nearcast.model.services import Accounts, Catalog, Discovery, History, Home, Ingest, License, Playback, Search
from nearcast.system import places, tls
from nearcast.system.part import Part, System

WEB_ROOT = Path(nearcast.__file__).parents[2] / "web" / "dist"
"""The built web app of a clone."""


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] gateway_port``. Raises PortTaken, BadOrigin."""
    from prometheus_client import REGISTRY

    from nearcast.base.metrics import Metrics, ProcessMetrics, Scraper
    from nearcast.base.web import serve_asgi
    from nearcast.control.gateway.application import GatewayKeys, application
    from nearcast.control.gateway.call import GatewayClients
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
    )
    scraped = {name: system.client_at(Metrics, name) for name in places.processes(settings) if name != process}
    scraper = Scraper({**scraped, process: ProcessMetrics(process)})
    own = settings.gateway
    if not own.public_url and settings.network.public_name:
        own = msgspec.structs.replace(own, public_url=places.gateway_url(settings))
    app = application(
        own,
        clients,
        origin_store(system.home, settings),
        GatewayKeys(token=system.key("token")),
        system.clock,
        WEB_ROOT if WEB_ROOT.is_dir() else None,
        exposition=scraper.text,
        registry=REGISTRY,
    )
    server = await serve_asgi(app, places.listen_host(settings), settings.network.gateway_port, tls=tls.current(system.home, settings))
    return Part(closers=[server.stop], addresses=[server.url], failed=server.wait)
