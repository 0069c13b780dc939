"""Builds ``dns-<n>``: one worker of the name server, over the route table and the health view that ``steer`` publishes."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nearcast.base import shared
from nearcast.base.errors import Internal
from nearcast.base.processes import user_name
from nearcast.system import folders, unprivileged
from nearcast.system.part import Part, System

if TYPE_CHECKING:
    from nearcast.base.paths import Home
    from nearcast.delivery.edge.worker import Worker
    from nearcast.steering.dns.keyring import Ring
    from nearcast.steering.routes import Table
    from nearcast.steering.view import View
    from nearcast.system.settings import Settings

PAUSE_S = 1.0
_log = structlog.get_logger("dns")


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
    """Raises CannotListen, BadKey, NotHere, NoSuchUser; its ``settled`` Refused."""
    from prometheus_client import REGISTRY

    from nearcast.base.vital import Sign
    from nearcast.steering.decide import Decider
    from nearcast.steering.dns import keyring
    from nearcast.steering.dns.answer import Answerer
    from nearcast.steering.dns.choose import Chooser
    from nearcast.steering.dns.compose import Composer
    from nearcast.steering.dns.cookies import Cookies
    from nearcast.steering.dns.limit import Limiter
    from nearcast.steering.dns.server import worker as server
    from nearcast.steering.dns.server.counting import Counting
    from nearcast.steering.dns.zone import Zone

    settings = system.settings.steering
    ring = ring_for(system, process)
    zone = Zone(settings.dns, settings.sites)
    answerer = Answerer(
        zone,
        Chooser(Decider(settings.sites), settings.sites),
        Composer(zone, keyring.signers(zone.origin, ring) if settings.dns.dnssec else None),
        limiter=Limiter(settings.dns.rate) if settings.dns.rate.limits else None,
        jar=Cookies(hashlib.sha256(b"cookies" + keyring.packed(keyring.Ring(ring.key))).digest()),
        identity=settings.dns.identity,
    )
    published = Published(system)
    sign = Sign(system.home.sign(process))
    worker = server.Worker(settings.dns, answerer, server.or_none(published.table), published.view, sign.give)
    user = lower_user(system.home, settings.dns.user)
    worker.bind(system.home.run / "dns.lock")
    counting = Counting(worker)
    REGISTRY.register(counting)

    def settled(alone: bool) -> None:
        """Queries are read by who may do little: they are what strangers send."""
        if user is not None and alone:
            published.lies_in(Path(), Path("view"))
            unprivileged.become(user, folders.routes_folder(system.home))
        elif user is not None:
            _log.warning("queries are read as root: other parts run in the same process")
        worker.begin()
        published.check()

    async def failed() -> None:
        """Raises what ended the worker, that it stands still, or that nothing can be published to it any more."""
        while not worker.wait(0):
            worker.check()
            published.check()
            await system.clock.sleep(PAUSE_S)

    async def close() -> None:
        REGISTRY.unregister(counting)
        worker.stop()
        await asyncio.to_thread(worker.wait, 5.0)

    return Part(closers=[close], failed=failed, settled=settled, leases=False)


def ring_for(system: System, worker: str) -> Ring:
    """The keys that a worker begins with. Raises BadKey."""
    from nearcast.steering.dns import keyring
    from nearcast.system import signing

    signed = system.settings.steering.dns.dnssec
    if signing.make(system.home) and signed:
        _log.warning("a new signing key was made; a parent zone that has a DS needs the key before, or the new DS", key="secrets/dns.pem")
    ring = keyring.load(key_path(system.home))
    if signed:
        signing.note(system.home, worker, ring, system.clock.now_s())
    return ring


class FolderGone(Internal):
    """The folder that a worker of the name server reads in was removed."""

    code = "NC0237"
    cure = "the process is started again, and finds the one that was made anew"


class Refused(Internal):
    """A worker of the name server may not read what is published to it: it would name dead appliances for ever."""

    code = "NC0238"
    cure = "let the worker's user (`user` of [steering.dns]) read data/steering/ and all below it but `lock`; `steer` does so as it starts"


class Published:
    """Table and view of this host; by ``lies_in`` from now on elsewhere, as seen from the working directory."""

    def __init__(self, system: System) -> None:
        self._clock = system.clock
        self._here = False
        self._refused: Path | None = None
        self._open(folders.routes_folder(system.home), folders.view_folder(system.home))

    def lies_in(self, routes: Path, view: Path) -> None:
        self._here = True
        self._open(routes, view)

    def check(self) -> None:
        """Raises FolderGone, and Refused for what cannot be read now either: it may have been just about to be made."""
        refused = self._refused or self._views.refused
        self._refused = self._views.refused = None
        try:
            if self._here and not Path().stat().st_nlink:
                raise FolderGone("the folder of the route table is not there any more")
            if refused is not None:
                refused.open("rb").close()
        except PermissionError as error:
            raise Refused(f"{error.filename} may not be read by {user_name()}") from error
        except OSError:  # gone by now, or no descriptors: neither is a refusal
            return

    def table(self) -> Table:
        """Raises NoTable (Unavailable), and OSError for what cannot be read."""
        try:
            return self._tables.table()
        except PermissionError as error:
            self._refused = Path(error.filename)
            raise

    def view(self) -> View:
        return self._views.view()

    def _open(self, routes: Path, view: Path) -> None:
        from nearcast.steering.health.published import ViewReader
        from nearcast.steering.routes.reader import TableReader

        self._tables, self._views = TableReader(routes, self._clock), ViewReader(view, self._clock)


def lower_user(home: Home, wanted: str) -> Worker | None:
    """Whom root's worker is to become once it has its port; None: it stays who it is. Programs get no more rights from here on.

    Raises NoSuchUser.
    """
    found = unprivileged.choose(wanted)
    if found is None:
        if os.geteuid() == 0:
            _log.warning("queries are read as root: it is set so, or there is no other user that it can become")
        return None
    shared.make_folder(folders.routes_folder(home))
    unprivileged.forbid_gain()
    return found
