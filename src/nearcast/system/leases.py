"""The leases of this host's processes at discovery, by which `nearcast status` of every host knows them.

Each process holds its own, but for the name server's workers: where root started them, they gave up the right to go to discovery's socket,
which is nothing for who reads what strangers send. Their leases are held by ``steer``, which publishes to them.
"""

from __future__ import annotations

import asyncio
import contextlib

from nearcast.base import vital
from nearcast.base.errors import NearcastError
from nearcast.base.ids import new_id
from nearcast.base.processes import identify
from nearcast.model.services import Discovery, DropQuestion
from nearcast.model.site import Instance
from nearcast.system import part

LOOK_S = 1.0
SILENT_LOOKS = 5
"""As long as a lease lasts that nobody renews."""


async def keep(system: part.System, name: str, started_at: float) -> None:
    """Tell discovery of the process ``name`` well within its lease, and that it goes when this ends."""
    host, address = part.host_name(), system.address(name)
    instance = Instance(id=f"{name}/{new_id('i')}", service=name, address=address, host=host, started_at=started_at)
    discovery = system.client(Discovery, timeout_s=1.0)
    try:
        while True:
            pause_s = 1.0
            with contextlib.suppress(NearcastError):  # discovery may be down; it is told as soon as it is back
                pause_s = (await discovery.register(instance)).lease_s / 3
            await system.clock.sleep(pause_s)
    finally:
        with contextlib.suppress(NearcastError, asyncio.CancelledError):
            await discovery.drop(DropQuestion(id=instance.id))


async def keep_for(system: part.System, name: str) -> None:
    """``keep`` the lease of another process of this host while that gives signs of life (``base.vital``)."""
    pid, lease = 0, None
    with contextlib.closing(vital.Watch(system.home.sign(name))) as watch:
        watch.moved()  # what is there already, its process may have left
        try:
            while True:
                await system.clock.sleep(LOOK_S)
                before, pid = pid, watch.pid if watch.moved() else pid if watch.silent_looks < SILENT_LOOKS else 0
                if pid == before:
                    continue
                if lease is not None:
                    await end(lease)
                identity = identify(pid) if pid else None
                started_at = identity.started_at if identity else system.clock.now_s()
                lease = asyncio.create_task(keep(system, name, started_at)) if pid else None
        finally:
            if lease is not None:
                await end(lease)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
