"""Builds ``anycast``: this host's announcer of service addresses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
from msgspec import Struct

from nearcast.base import ports
from nearcast.model.site import ApplianceReport
from nearcast.system import folders, places
from nearcast.system.part import Part, System
from nearcast.system.settings import LOOPBACK

if TYPE_CHECKING:
    from nearcast.base.paths import Home
    from nearcast.steering.anycast.announcer import AnycastStatus
    from nearcast.steering.anycast.load import SiteLoad
    from nearcast.steering.anycast.settings import AnycastCheck
    from nearcast.steering.health.published import ViewReader
    from nearcast.system.settings import Settings

STATUS_S = 0.5
EXABGP_LOG = "exabgp-anycast"
"""The collector of routes has an ExaBGP of its own, and its log beside this one."""


class _Status(Struct, frozen=True):
    """What is read of an appliance's own ``/status.json``."""

    report: ApplianceReport


def drain_path(home: Home) -> Path:
    """While this file is there, the host's service addresses are drained; it outlives restarts."""
    return home.data / "anycast.drain"


def status_path(home: Home) -> Path:
    """What the announcer last told of itself (AnycastStatus)."""
    return home.run / "anycast.json"


def status(home: Home) -> AnycastStatus | None:
    """What the announcer of this host says of itself; None where there is none, or it says nothing any more."""
    from nearcast.steering.anycast.announcer import SILENT_S, AnycastStatus

    try:
        found = msgspec.json.decode(status_path(home).read_bytes(), type=AnycastStatus)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if time.time() - found.at < SILENT_S else None


def checks(settings: Settings) -> tuple[AnycastCheck, ...]:
    """What is looked at: what the configuration says, else this host's doors, else its appliances."""
    from nearcast.steering.anycast.settings import AnycastCheck

    if settings.anycast.checks:
        return settings.anycast.checks
    scheme = "https" if places.public(settings) else "http"
    standing: list[tuple[str, int, str]] = [(each.listen[0], each.port, each.tls_certificate) for each in settings.doors]
    standing = standing or [(places.edge_listen(settings, each)[0], each.port, each.tls_certificate) for each in settings.appliances]
    return tuple(
        AnycastCheck(target=f"{'https' if certificate else scheme}://{ports.authority(ports.dialled(host), port)}/healthz")
        for host, port, certificate in standing
    )


def site(settings: Settings) -> str:
    """The site whose load counts; empty where nothing tells which."""
    named = [settings.anycast.site, *(each.site for each in settings.doors), *(each.site for each in settings.appliances)]
    return next(filter(None, named), "")


class LoadReader:
    """The load of ``site`` now: as the host's health view has it, or where none is kept up to date, as its own appliances say."""

    def __init__(self, site: str, view: ViewReader, own_ports: Sequence[int]) -> None:
        self._site, self._view, self._ports = site, view, own_ports
        self._client = httpx.AsyncClient(trust_env=False, timeout=STATUS_S)

    async def __call__(self) -> SiteLoad:
        from nearcast.steering.anycast import load

        snapshot = self._view.view().snapshot
        if snapshot.source == "live":
            return load.of(snapshot.appliances, self._site)
        reports = await asyncio.gather(*(self._report(each) for each in self._ports))
        return load.of((load.health(each) for each in reports if each is not None), self._site)

    async def _report(self, port: int) -> ApplianceReport | None:
        try:
            answer = await self._client.get(f"http://{LOOPBACK}:{port}/status.json")
            return msgspec.json.decode(answer.content, type=_Status).report
        except (httpx.HTTPError, msgspec.MsgspecError):  # an agent that is down knows nothing, and its nginx may serve all the same
            return None

    async def close(self) -> None:
        await self._client.aclose()


async def build(system: System, process: str) -> Part:
    """Raises BirdMissing, AddressNotAdded, BadPath."""
    from prometheus_client import REGISTRY

    from nearcast.steering.anycast import addresses
    from nearcast.steering.anycast.announcer import Announcer
    from nearcast.steering.anycast.bfd import Bfd
    from nearcast.steering.anycast.check import Checker
    from nearcast.steering.anycast.speaker import Speaker
    from nearcast.steering.health.published import ViewReader

    home, settings = system.home, system.settings.anycast
    if settings.add_addresses:
        for each in addresses.missing(addresses.hosts(settings.addresses)):
            await asyncio.to_thread(addresses.add, each)
    bfd = Bfd(settings, home.run / "bfd", home.log("bird"), system.clock) if any(each.bfd for each in settings.routers) else None
    reader = LoadReader(
        site(system.settings), ViewReader(folders.view_folder(home), system.clock), [each.own_port for each in system.settings.appliances]
    )
    announcer = Announcer(
        settings,
        Speaker(settings, home.run, home.log(EXABGP_LOG), system.clock),
        bfd,
        Checker(checks(system.settings), settings.timeout_s, system.clock),
        reader,
        drain_path(home),
        status_path(home),
        system.clock,
        REGISTRY,
    )
    running = asyncio.create_task(announcer.run(), name="anycast")

    async def close() -> None:
        await announcer.stop()
        running.cancel()
        await asyncio.wait([running])
        await announcer.close()
        await reader.close()

    async def failed() -> None:
        await asyncio.shield(running)

    return Part(closers=[close], failed=failed)
