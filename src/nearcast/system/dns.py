"""Builds ``dns-<n>``: one worker of the name server, over the route table and the health view that ``steer`` publishes."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.system import folders
from nearcast.system.part import Part, System

if TYPE_CHECKING:
    from nearcast.base.paths import Home
    from nearcast.system.settings import Settings

PAUSE_S = 1.0


def key_path(home: Home) -> Path:
    """The key that signs the zone. Every host that answers for it has the same."""
    return home.secrets / "dns.pem"


def signs(settings: Settings) -> bool:
    """Whether there is a zone that is answered with signatures."""
    return bool(settings.steering.dns.zone) and settings.steering.dns.dnssec


def lacks_key(home: Home, settings: Settings) -> bool:
    """Whether the zone is signed, and its key is not there."""
    return signs(settings) and not key_path(home).exists()


async def build(system: System, process: str) -> Part:
    """Raises CannotListen, BadKey, NotHere."""
    import structlog
    from prometheus_client import REGISTRY

    from nearcast.base.vital import Sign
    from nearcast.steering.decide import Decider
    from nearcast.steering.dns import keyring
    from nearcast.steering.dns.answer import Answerer
    from nearcast.steering.dns.choose import Chooser
    from nearcast.steering.dns.compose import Composer
    from nearcast.steering.dns.cookies import Cookies
    from nearcast.steering.dns.limit import Limiter
    from nearcast.steering.dns.server.counting import Counting
    from nearcast.steering.dns.server.worker import Worker, or_none
    from nearcast.steering.dns.zone import Zone
    from nearcast.steering.health.published import ViewReader
    from nearcast.steering.routes.reader import TableReader

    settings = system.settings.steering
    if keyring.make(key_path(system.home)) and settings.dns.dnssec:
        log = structlog.get_logger("dns")
        log.warning("a new signing key was made; a parent zone that has a DS needs the key before, or the new DS", key="secrets/dns.pem")
    ring = keyring.load(key_path(system.home))
    zone = Zone(settings.dns, settings.sites)
    answerer = Answerer(
        zone,
        Chooser(Decider(settings.sites), settings.sites),
        Composer(zone, keyring.signers(zone.origin, ring) if settings.dns.dnssec else None),
        limiter=Limiter(settings.dns.rate) if settings.dns.rate.limits else None,
        jar=Cookies(hashlib.sha256(b"cookies" + keyring.packed(keyring.Ring(ring.key))).digest()),
        identity=settings.dns.identity,
    )
    tables = TableReader(folders.routes_folder(system.home), system.clock)
    views = ViewReader(folders.view_folder(system.home), system.clock)
    worker = Worker(settings.dns, answerer, or_none(tables.table), views.view, Sign(system.home.sign(process)).give)
    worker.start(system.home.run / "dns.lock")
    counting = Counting(worker)
    REGISTRY.register(counting)

    async def failed() -> None:
        """Raises what ended the worker, or that it stands still."""
        while not worker.wait(0):
            worker.check()
            await system.clock.sleep(PAUSE_S)

    async def close() -> None:
        REGISTRY.unregister(counting)
        worker.stop()
        await asyncio.to_thread(worker.wait, 5.0)

    return Part(closers=[close], failed=failed)
