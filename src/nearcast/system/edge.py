"""Builds ``edge-<appliance>``: the agent of one appliance and its nginx."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from nearcast.model.services import Discovery, Fill, Insight
from nearcast.policy.capability import edge_purpose
from nearcast.system import folders, peers, places, renewal, tls
from nearcast.system.origin import origin_token
from nearcast.system.part import Part, System
from nearcast.system.table import EDGE_PREFIX

if TYPE_CHECKING:
    from nearcast.base.paths import Home
    from nearcast.delivery.settings import EdgeSettings
    from nearcast.system.settings import Settings


def completed(home: Home, settings: Settings, appliance: EdgeSettings) -> EdgeSettings:
    """The appliance's settings with what it leaves to the system: where to listen, its public address, its certificate."""
    public = tls.current(home, settings)
    changes: dict[str, object] = {"listen": places.edge_listen(settings, appliance)}
    if public and not appliance.tls_certificate:
        changes |= {"tls_certificate": str(public.certificate), "tls_key": str(public.key)}
    if not appliance.address and settings.network.public_name:
        changes["address"] = places.url(settings, appliance.port)
    return msgspec.structs.replace(appliance, **changes)


def with_parent(home: Home, settings: Settings, appliance: EdgeSettings) -> EdgeSettings:
    """The appliance with its parent, which is this system's origin if it names none: past this machine each of the two shows the
    other a certificate of the authority. Raises Unprotected.
    """
    if appliance.parent_url:
        return appliance
    url = places.origin_url(settings)
    if not url.startswith("https:"):
        return msgspec.structs.replace(appliance, parent_url=url)
    certificate = str(peers.need(home))
    return msgspec.structs.replace(
        appliance,
        parent_url=url,
        parent_ca=str(home.secrets / tls.AUTHORITY),
        parent_certificate=certificate,
        parent_key=certificate,
        parent_name=peers.SERVER_NAME,
    )


async def build(system: System, process: str) -> Part:
    """Raises PortTaken, NginxMissing and what else the edge's nginx may object to."""
    from prometheus_client import REGISTRY

    from nearcast.delivery.edge.agent import EdgeAgent

    appliance_id = process.removeprefix(EDGE_PREFIX)
    configured = next(each for each in system.settings.appliances if each.id == appliance_id)
    if await renewal.renew(system):
        await system.channels.close()  # what is dialled from now on shows the new one
    settings = with_parent(system.home, system.settings, completed(system.home, system.settings, configured))
    os.umask(0o022)  # nginx's workers, another user where root starts them, must read what is placed
    folder = folders.edge_folder(system.home, settings)
    agent = EdgeAgent(
        settings,
        folder,
        key=system.key(edge_purpose(settings.id)).hex(),
        origin_token=origin_token(system),
        parent_url=settings.parent_url,
        discovery=system.client(Discovery),
        fill=system.client(Fill),
        insight=system.client_at(Insight, "fleet"),  # where edges of other hosts have their door, too
        peer_ca=str(authority) if (authority := system.home.secrets / tls.AUTHORITY).exists() else "",
        clock=system.clock,
        registry=REGISTRY,
    )
    broken = False

    async def failed() -> None:
        nonlocal broken
        try:
            await agent.wait()
        except Exception:
            broken = True
            raise

    async def close() -> None:
        """A defect of the agent is no reason to end nginx: it serves on, and the next agent takes it over."""
        await (agent.leave() if broken else agent.stop())

    await agent.start()
    renewing = asyncio.create_task(renewal.keep(system, agent.take_certificate), name=f"{settings.id} certificate")

    async def end_renewing() -> None:
        renewing.cancel()
        await asyncio.wait([renewing])

    return Part(closers=[close, end_renewing], failed=failed)
