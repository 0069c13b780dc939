"""Builds ``steer``: keeps the health view of this host and publishes it for every other process."""

from __future__ import annotations

import ssl

from nearcast.model.services import Discovery, Quality
from nearcast.system import dismissal, folders, tls
from nearcast.system.part import Part, System


def trust(system: System) -> ssl.SSLContext:
    """How appliances that speak TLS are looked at: by the public authorities and this system's own."""
    context = ssl.create_default_context()
    authority = system.home.secrets / tls.AUTHORITY
    if authority.exists():
        context.load_verify_locations(str(authority))
    return context


async def build(system: System, process: str) -> Part:
    """Raises NotPublished."""
    from prometheus_client import REGISTRY

    from nearcast.steering.health.watch import Watcher

    watcher = Watcher(
        system.client(Discovery),
        system.client(Quality),
        system.settings.steering,
        folders.view_folder(system.home),
        system.clock,
        tls=trust(system),
        dismissed=lambda: dismissal.everyone(system.home.secrets),
        registry=REGISTRY,
    )
    await watcher.start()
    return Part(closers=[watcher.stop], failed=watcher.wait)
