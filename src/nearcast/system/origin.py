"""Builds ``origin``: published files for edges."""

from __future__ import annotations

from nearcast.system import peers
from nearcast.system.part import Part, System
from nearcast.system.settings import LOOPBACK


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] origin_port``: of loopback, or for other hosts too, by mutual TLS. Raises PortTaken, BadOrigin."""
    from nearcast.base.web import serve_asgi
    from nearcast.delivery.origin import application
    from nearcast.system.stores import origin_store

    store = origin_store(system.home, system.settings)
    network = system.settings.network
    tls = peers.web_tls(system.home) if network.internal_host else None
    app = application(store, origin_token(system))
    server = await serve_asgi(app, network.internal_host or LOOPBACK, network.origin_port, tls=tls)
    return Part(closers=[server.stop], failed=server.wait)


def origin_token(system: System) -> str:
    """What edges bring to the origin."""
    return system.key("origin").hex()
