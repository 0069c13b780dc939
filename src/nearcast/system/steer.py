"""Builds ``steer``: keeps the route table and the health view of this host, publishes both for every other process, and explains them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.model.services import Discovery, Quality, Routing
from nearcast.system import dismissal, folders, leases, places, tls
from nearcast.system.part import Part, System
from nearcast.system.table import DNS_PREFIX

if TYPE_CHECKING:
    from nearcast.steering.routes.reader import TableReader

LOOK_S = 0.25
"""What changed meanwhile is small, so that no question finds a day's changes to be read first."""


def trust(system: System) -> ssl.SSLContext:
    """How appliances that speak TLS are looked at: by the public authorities and this system's own."""
    context = ssl.create_default_context()
    authority = system.home.secrets / tls.AUTHORITY
    if authority.exists():
        context.load_verify_locations(str(authority))
    return context


def bgp_folder(system: System) -> Path:
    """What the BGP speaker is told, passwords among it, and the pipe by which it answers; ours alone."""
    folder = system.home.run / "bgp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


async def follow(reader: TableReader, clock: Clock) -> None:
    """Keep the table that is explained at what is in force, whether anybody asks or not."""
    while True:
        with contextlib.suppress(NearcastError):  # whoever asks is told
            reader.table()
        await clock.sleep(LOOK_S)


async def build(system: System, process: str) -> Part:
    """Raises NotPublished, AlreadyRunning, WorkFailed."""
    from prometheus_client import REGISTRY

    from nearcast.steering.health.published import ViewReader
    from nearcast.steering.health.watch import Watcher
    from nearcast.steering.routes.collector import Collector
    from nearcast.steering.routes.reader import TableReader
    from nearcast.steering.routes.store import TableWriter
    from nearcast.steering.routing import RoutingService

    settings = system.settings.steering
    isps = [each.name for each in settings.isps]
    routes = folders.routes_folder(system.home)
    writer = TableWriter(routes, settings.sites, settings.routes, isps, settings.geographic, system.clock)
    await asyncio.to_thread(writer.start)
    collector = Collector(settings.bgp, settings.isps, writer, bgp_folder(system), system.home.logs / "exabgp.log", system.clock)
    await collector.start()
    views = folders.view_folder(system.home)
    asked = system.client(Discovery), system.client(Quality)
    shut_out = partial(dismissal.everyone, system.home.secrets)
    watcher = Watcher(*asked, settings, views, system.clock, tls=trust(system), dismissed=shut_out, registry=REGISTRY)
    await watcher.start()
    reader = TableReader(routes, system.clock)  # the writer's own table changes while its threads write
    sight = ViewReader(views, system.clock)
    told = collector.sources, lambda: writer.compiled_at, collector.held, lambda: writer.geography_problem
    routing = RoutingService(settings, reader, sight, *told, clock=system.clock)

    workers = [each for each in places.processes(system.settings) if each.startswith(DNS_PREFIX)]
    held = [asyncio.create_task(leases.keep_for(system, each)) for each in workers]

    async def close_leases() -> None:
        await asyncio.gather(*map(leases.end, held))

    async def close_table() -> None:
        await asyncio.to_thread(writer.close)

    async def failed() -> None:
        """Return, or raise, once a part of it has ended."""
        parts = [asyncio.create_task(watcher.wait()), asyncio.create_task(collector.wait())]
        parts.append(asyncio.create_task(follow(reader, system.clock)))
        done, left = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()
        for each in done:
            each.result()

    return Part(services={Routing: routing}, closers=[close_table, collector.stop, watcher.stop, close_leases], failed=failed)
