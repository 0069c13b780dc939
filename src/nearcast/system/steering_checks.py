"""What ``nearcast doctor`` looks at of steering: geography, BGP, the name server, anycast, and whether table and view are kept."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import pwd
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.base import ports
from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.model.services import Nothing, Routing
from nearcast.system import anycast, folders, places, signing, start, unprivileged
from nearcast.system.checking import Check, attempt, version
from nearcast.system.dns import key_path, signs
from nearcast.system.settings import Settings
from nearcast.system.table import DNS_PREFIX

if TYPE_CHECKING:
    from nearcast.model.services import SourceStatus

ANSWER_S = 2.0
SETTLED_S = 1.0
"""So long is waited for a sign that somebody keeps table or view; a beat comes each second at least."""
LOOK_S = 0.05
_NET_ADMIN = 12


def run(home: Home, whole: Settings) -> Iterator[Check]:
    """Only what the configuration asks for."""
    running = start.running(home) is not None or bool(start.left_over(home))
    yield from geography(whole)
    if running and "steer" in places.processes(whole):
        yield from kept(home)
    yield from _bgp(home, whole, running)
    yield from _name_server(whole, running)
    yield from name_server_user(home, whole)
    yield from signing_key(home, whole)
    yield from anycast_checks(home, whole)


def geography(whole: Settings) -> Iterator[Check]:
    import maxminddb

    path = whole.steering.geographic.mmdb
    if not path:
        return
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a named pipe would be waited for
            raise OSError("it is no regular file")
        with maxminddb.open_database(path) as reader:
            found = reader.metadata()
        yield Check(name="geography", state="good", found=f"{path}: {found.database_type}, {found.node_count:,} nodes")
    except (OSError, ValueError, RuntimeError, maxminddb.InvalidDatabaseError) as error:
        cure = "set mmdb in [steering.geographic] to a MaxMind DB file that may be read; until then its blocks alone tell where viewers are"
        yield Check(name="geography", state="bad", found=f"{path}: {getattr(error, 'strerror', None) or error}", cure=cure)


def kept(home: Home) -> Iterator[Check]:
    """Whether somebody keeps the route table and the health view that all of this host decide by."""
    from nearcast.base.clock import SystemClock
    from nearcast.steering.health.published import ViewReader
    from nearcast.steering.routes.reader import TableReader

    clock = SystemClock()
    table, view = TableReader(folders.routes_folder(home), clock), ViewReader(folders.view_folder(home), clock)
    until_s = clock.monotonic_s() + SETTLED_S
    known = {"route table": False, "health view": False}
    while not all(known.values()) and clock.monotonic_s() < until_s:
        with contextlib.suppress(NearcastError):
            table.table()
        known = {"route table": table.live, "health view": view.view().snapshot.source == "live"}
        if not all(known.values()):
            time.sleep(LOOK_S)
    view.close()
    for name, live in known.items():
        cure = "" if live else f"decisions go on by the last known; see {home.log('steer')}"
        yield Check(name=name, state="good" if live else "bad", found="kept by steer" if live else "nobody keeps it up to date", cure=cure)


def _bgp(home: Home, whole: Settings, running: bool) -> Iterator[Check]:
    """The collector's sessions, or before a start whether its port can be taken."""
    settings, isps = whole.steering.bgp, [each for each in whole.steering.isps if each.routers]
    if not settings.asn or not isps:
        return
    if not running:
        for each in settings.listen:
            yield _free("BGP", each, settings.port)
        return
    try:
        found = asyncio.run(_sources(home))
    except NearcastError as error:
        yield Check(name="BGP", state="bad", found=error.message, cure=f"see {home.log('steer')}")
        return
    yield from (session(each, home) for each in found if each.kind == "bgp")


def session(told: SourceStatus, home: Home) -> Check:
    """How an ISP's sessions stand."""
    name, up = f"ISP {told.name}", told.state == "up"
    if up:
        return Check(name=name, state="good", found=f"BGP up, {told.prefixes} prefixes")
    cure = f"see `nearcast routes`, {home.log('exabgp')}, and what its routers say of us"
    return Check(name=name, state="bad", found=f"BGP down: {told.problem or 'no session'}", cure=cure)


async def _sources(home: Home) -> Sequence[SourceStatus]:
    from nearcast.system.serve import open_system

    system = open_system(home)
    try:
        return (await system.client(Routing).status(Nothing())).sources
    finally:
        await system.channels.close()


def _name_server(whole: Settings, running: bool) -> Iterator[Check]:
    settings = whole.steering.dns
    for each in settings.listen if settings.zone else ():
        yield answers(each, settings.port, settings.zone) if running else _free("name server", each, settings.port)


def name_server_user(home: Home, whole: Settings) -> Iterator[Check]:
    """As whom the workers that run read queries; before a start of root's, as whom they would."""
    name = "name server's user"
    if not whole.steering.dns.zone:
        return
    found = start.status(home)
    uids = {
        uid
        for each in (found.processes if found else ())
        if each.name.startswith(DNS_PREFIX) and each.identity and each.identity.alive and (uid := uid_of(each.identity.pid)) is not None
    }
    if not uids and os.geteuid() == 0:
        try:
            user = unprivileged.choose(whole.steering.dns.user)
        except NearcastError as error:
            yield Check(name=name, state="bad", found=error.message, cure=error.hint)
            return
        uids = {user.uid if user else 0}
    if 0 in uids:
        cure = "see the log of dns-1, and `user` in [steering.dns]: a user who can do little is enough once the port is taken"
        yield Check(name=name, state="note", found="queries are read as root", cure=cure)
    elif uids:
        yield Check(name=name, state="good", found=f"queries are read as {', '.join(map(user_name, sorted(uids)))}")


def uid_of(pid: int) -> int | None:
    """The effective user of a process; None where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[2]) for line in text.splitlines() if line.startswith("Uid:")), None)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def signing_key(home: Home, whole: Settings) -> Iterator[Check]:
    """Whether the key of the zone can be used, where a rollover stands, and which workers have not begun with it."""
    from nearcast.steering.dns import keyring

    if not signs(whole) or not key_path(home).exists():
        return
    try:
        ring, late = signing.standing(home, signing.workers_of(whole))
    except NearcastError as error:
        yield Check(name="signing key", state="bad", found=error.message, cure=error.hint)
        return
    if ring.following is None and not late:
        yield Check(name="signing key", state="good", found=f"{key_path(home)}")
        return
    found = keyring.behind(ring, late) if late else f"a rollover is {ring.stage}"
    cure = keyring.CATCH_UP if late else keyring.advice(ring, time.time())
    yield Check(name="signing key", state="note", found=found, cure=cure)


def answers(host: str, port: int, zone: str) -> Check:
    """Whether a name server answers for its zone at an address of this machine."""
    from nearcast.steering.anycast import check

    at, asked = ports.authority(host, port), ports.dialled(host)
    family = socket.AF_INET6 if ipaddress.ip_address(asked).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(ANSWER_S)
            client.connect((asked, port))
            client.send(check.question(1, zone))
            why = check.fault(1, client.recv(4096))
    except OSError as error:
        why = f"does not answer: {error}"
    if not why:
        return Check(name="name server", state="good", found=f"{at} answers for {zone}")
    return Check(name="name server", state="bad", found=f"{at} {why}", cure="see `nearcast status` and the log of dns-1")


def _free(name: str, host: str, port: int) -> Check:
    """Whether we could listen there: nobody else does, and ports below 1024 are ours to take."""

    def look() -> str:
        ports.check_free(host, port)
        return f"{ports.authority(host, port)} is free"

    return attempt(name, look)


def anycast_checks(home: Home, whole: Settings) -> Iterator[Check]:
    """What announcing service addresses needs: they are here, BGP may reach the routers, and BIRD is there for BFD."""
    from nearcast.steering.anycast import addresses, bfd

    settings = whole.anycast
    if not settings.asn:
        return
    hosts = addresses.hosts(settings.addresses)
    lacking = addresses.missing(hosts)
    add = "; ".join(f"ip addr add {each}/{128 if ':' in each else 32} dev lo" for each in lacking)
    if lacking and settings.add_addresses and os.geteuid() == 0:
        yield Check(name="anycast", state="good", found=f"{', '.join(lacking)} is put on lo at the start")
    elif lacking:
        yield Check(name="anycast", state="bad", found=f"{', '.join(lacking)}: no address of this machine", cure=f"as root: {add}")
    else:
        yield Check(name="anycast", state="good", found=f"{', '.join(hosts)} on this machine")
    told = anycast.status(home)
    for router in settings.routers:
        if told is None:
            yield _router_check(router.address, router.port, router.local)
        else:
            up = told.sessions.get(router.address, False)
            cure = "" if up else f"see {home.log(anycast.EXABGP_LOG)}, and what the router says of {router.local}"
            yield Check(name="router", state="good" if up else "bad", found=f"{router.address}: BGP {'up' if up else 'down'}", cure=cure)
    if any(each.bfd for each in settings.routers):
        found = attempt("bird", lambda: version([bfd.find_program(), "--version"]))
        if found.state == "good" and os.geteuid() != 0 and not _capable(_NET_ADMIN):
            cure = "run as root, or with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit"
            found = Check(name="bird", state="bad", found="BFD needs CAP_NET_ADMIN", cure=cure)
        yield found


def _router_check(address: str, port: int, local: str) -> Check:
    """Whether a router takes TCP at its BGP port from our address. It is not spoken to."""
    try:
        socket.create_connection((address, port), timeout=2.0, source_address=(local, 0)).close()
    except ConnectionRefusedError:
        cure = f"see that the router runs BGP with {local} as a neighbour, and that its firewall allows it"
        return Check(name="router", state="note", found=f"{address} takes no connection at port {port}", cure=cure)
    except OSError as error:
        cure = f"see that {local} is an address of this machine, and that TCP port {port} is allowed between the two"
        return Check(name="router", state="bad", found=f"{address} port {port} cannot be reached from {local}: {error}", cure=cure)
    return Check(name="router", state="good", found=f"{address} takes connections at port {port}")


def _capable(capability: int) -> bool:
    """Whether what we start could have this capability (capabilities(7), CapAmb)."""
    text = Path("/proc/self/status").read_text()
    ambient = next((line.split()[1] for line in text.splitlines() if line.startswith("CapAmb:")), "0")
    return bool(int(ambient, 16) >> capability & 1)
