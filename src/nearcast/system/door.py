"""Builds ``door-<id>``: the door of a site on this host."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearcast.system import folders, tls
from nearcast.system.part import Part, System
from nearcast.system.table import DOOR_PREFIX

if TYPE_CHECKING:
    from nearcast.base.paths import Home
    from nearcast.delivery.door.members import Standing
    from nearcast.delivery.door.settings import DoorSettings
    from nearcast.system.settings import Settings


def completed(home: Home, settings: Settings, door: DoorSettings) -> DoorSettings:
    """The door's settings with what it leaves to the system: its certificate."""
    public = tls.current(home, settings)
    if door.tls_certificate or public is None:
        return door
    return msgspec.structs.replace(door, tls_certificate=str(public.certificate), tls_key=str(public.key))


def folder(home: Home, door: DoorSettings) -> Path:
    """Beside the edges', so that a stop finds its nginx, too."""
    return home.edges / (DOOR_PREFIX + door.id)


async def build(system: System, process: str) -> Part:
    """Raises PortTaken, NginxMissing and what else nginx may object to."""
    from nearcast.delivery.door.members import following
    from nearcast.delivery.door.server import Door
    from nearcast.delivery.edge.neighbours import CLOSE, Neighbours
    from nearcast.delivery.fill.source import trusting
    from nearcast.steering.health.published import ViewReader

    configured = next(each for each in system.settings.doors if DOOR_PREFIX + each.id == process)
    settings = completed(system.home, system.settings, configured)
    reader = ViewReader(folders.view_folder(system.home), system.clock)
    last: Standing | None = None
    authority = system.home.secrets / tls.AUTHORITY
    own_ca = str(authority) if authority.exists() else ""
    looks = Neighbours("", trusting(settings.ca or own_ca), lambda: door.notice(), CLOSE)

    def standing() -> Standing:
        nonlocal last
        last = following(settings.site, reader.view().snapshot, last, settings.members, looks.seen)
        return last

    os.umask(0o022)  # nginx's workers, another user where root starts them, must reach its cache
    door = Door(settings, folder(system.home, settings), standing, system.clock, own_ca)
    await door.start()
    looks.look_at({name: f"{address.rstrip('/')}/healthz" for name, address in settings.members.items()})
    watching = asyncio.create_task(door.watch(), name=process)

    async def close() -> None:
        """A defect of ours is no reason to end nginx: it serves on, and the next agent takes it over."""
        broken = watching.done()
        watching.cancel()
        await asyncio.wait([watching])
        await looks.stop()
        await (door.leave() if broken else door.stop())

    async def failed() -> None:
        await asyncio.shield(watching)

    return Part(closers=[close], failed=failed)
