"""Builds ``origin``: published files for edges."""

from __future__ import annotations

from nearcast.system.part import Part, System


async def build(system: System, process: str) -> Part:
    """Listens at ``[network] origin_port`` of the loopback interface. Raises PortTaken, BadOrigin."""
    from nearcast.base.web import serve_asgi
    from nearcast.delivery.origin import application
    from nearcast.system.stores import origin_store

    store = origin_store(system.home, system.settings)
    server = await serve_asgi(application(store, origin_token(system)), "127.0.0.1", system.settings.network.origin_port)
    return Part(closers=[server.stop], addresses=[server.url], failed=server.wait)


def origin_token(system: System) -> str:
    """What edges bring to the origin."""
    return system.key("origin").hex()
