"""Starts and ends a system on this machine: what ``nearcast up`` and ``nearcast down`` do, apart from talking."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from nearcast.base import ports
from nearcast.base.errors import BadInput, Unavailable
from nearcast.base.paths import Home, UnusableHome
from nearcast.base.processes import Identity, Place, family, held, identify, place_of, send, wait_gone, write_atomically
from nearcast.base.supervise import ProcessStatus, SystemStatus, read_status
from nearcast.system import places, secrets
from nearcast.system.settings import LOOPBACK, Settings, remember
from nearcast.system.table import DNS_PREFIX, DOOR_PREFIX, EDGE_PREFIX

RESTARTS_MAX = 3
"""A process that fell so often before it was ready will not get ready by waiting longer."""
POLL_S = 0.02
LAUNCH = ("-m", "nearcast.system.launch")


class NotReady(Unavailable):
    """The system was started, but a process of it does not get ready."""

    code = "NC0205"
    cure = "`nearcast status` and the log named say more; `nearcast doctor` checks what is needed"


class StillRunning(Unavailable):
    """The system was told to end, and has not."""

    code = "NC0206"
    cure = "`nearcast status` shows what is left"


class Plain(BadInput):
    """Something would listen past this machine without TLS."""

    code = "NC0218"
    cure = (
        "give a public name (`nearcast up --public NAME`) or [tls] certificate and key; behind a proxy that brings TLS, "
        "set [network] plain = true"
    )


class Launched(Struct, frozen=True, kw_only=True):
    """What ``starting.json`` holds: who is about to supervise, and the folder for which."""

    supervisor: Identity
    place: Place


def check_protected(settings: Settings) -> None:
    """Raises Plain when something would serve others than this machine without TLS."""
    if found := places.unprotected(settings):
        raise Plain(f"{'; '.join(found)}: past this machine without TLS")


def status(home: Home) -> SystemStatus | None:
    """What the supervisor of this home last wrote; None where none ever ran here (``read_status``)."""
    return read_status(home.run / "status.json")


def running(home: Home) -> SystemStatus | None:
    """The status, when a supervisor is alive."""
    found = status(home)
    return found if found and found.supervisor.alive and held(_lock_path(home)) else None


def _lock_path(home: Home) -> Path:
    return home.run / "supervisor.lock"


def left_over(home: Home) -> list[ProcessStatus]:
    """Processes that run although their supervisor is dead. Those of a living one are its own, in this home or in another."""
    found = status(home)
    if found is None or found.supervisor.alive:
        return []
    return [each for each in found.processes if each.identity and each.identity.alive]


def prepare(home: Home, options: Mapping[str, str] | None = None) -> None:
    """Make folders and secrets, and keep what this start was told (``settings.remember``). Raises UnusableHome."""
    home.make()
    try:
        secrets.make(home.secrets)
        _make_authority(home)
        remember(home, options or {})
    except OSError as error:
        raise UnusableHome(
            f"cannot write in the home folder {home.root}: {error.strerror or error}", hint="see that the disk is not full"
        ) from error


def _make_authority(home: Home) -> None:
    """From the first start on, so that whoever copies the secrets to another host has it too."""
    if not (home.secrets / "authority.key").exists():
        import datetime

        from nearcast.system import tls

        tls.make_or_load_authority(home.secrets, socket.gethostname(), datetime.datetime.now(datetime.UTC))


def check_ports(home: Home, settings: Settings) -> None:
    """Raises PortTaken, which names the holder, for a port that something else holds.

    What an earlier start left running keeps its ports: processes without a supervisor, and an nginx without its agent.
    """
    network, host = settings.network, places.listen_host(settings)
    wanted = [("gateway", host, network.gateway_port), ("fleet", host, network.upload_port)]
    wanted += [("origin", network.internal_host or LOOPBACK, network.origin_port)]
    if network.internal_host:
        wanted += [("fleet", network.internal_host, port) for port in (network.join_port, network.edges_port)]
    wanted += [(EDGE_PREFIX + each.id, at, each.port) for each in settings.appliances for at in places.edge_listen(settings, each)]
    wanted += [(EDGE_PREFIX + each.id, LOOPBACK, each.own_port) for each in settings.appliances]
    name_server = settings.steering.dns
    wanted += [(f"{DNS_PREFIX}1", at, name_server.port) for at in name_server.listen if name_server.zone]
    wanted += [(DOOR_PREFIX + each.id, at, each.port) for each in settings.doors for at in each.listen]
    kept = {each.name for each in left_over(home)}
    for process, host, port in wanted:
        if process in kept or not port:
            continue
        try:
            ports.check_free(host, port)
        except ports.PortTaken:
            holder = ports.holder_of(port)
            if holder is None or not _names(holder.command, home.edges):
                raise


def launch(home: Home, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the supervisor on its own, apart from this terminal."""
    with home.log("supervisor").open("ab") as log:
        child = subprocess.Popen(
            (sys.executable, *LAUNCH),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment, "NEARCAST_HOME": str(home.root)},
            start_new_session=True,
        )
    note_start(home, child.pid)
    return child


def note_start(home: Home, pid: int) -> None:
    """Keep which process is about to supervise, so that a ``stop`` finds it before it has written a status."""
    if identity := identify(pid):
        write_atomically(_starting_path(home), msgspec.json.encode(Launched(supervisor=identity, place=place_of(home.run))))


def _starting_path(home: Home) -> Path:
    return home.run / "starting.json"


def _starting(home: Home) -> Identity | None:
    """The supervisor that was last launched for this home, if it lives: for a while it has not written a status yet.

    One that has, and does not hold the lock, works in another folder: both files came from there.
    """
    try:
        launched = msgspec.json.decode(_starting_path(home).read_bytes(), type=Launched)
        if not launched.place.same(place_of(home.run)) or not launched.supervisor.alive:
            return None
    except (OSError, msgspec.MsgspecError):
        return None
    found = status(home)
    elsewhere = found is not None and found.supervisor == launched.supervisor and not held(_lock_path(home))
    return None if elsewhere else launched.supervisor


def wait_ready(
    home: Home, timeout_s: float, child: subprocess.Popen[bytes] | None = None, told: Callable[[SystemStatus], None] | None = None
) -> SystemStatus:
    """Wait until every process is ready. ``told`` hears of each change. Raises NotReady with the words of the one that is not."""
    until_s = time.monotonic() + timeout_s
    last: SystemStatus | None = None
    while time.monotonic() < until_s:
        if child is not None and child.poll() is not None and running(home) is None:  # else another start was quicker
            raise NotReady(f"the supervisor has ended: {last_words(home.log('supervisor'))}", hint=f"see {home.log('supervisor')}")
        found = status(home)
        if found is not None and found.supervisor.alive:
            if told and found != last:
                told(found)
            last = found
            if found.ready:
                return found
            for each in found.processes:
                if each.state != "ready" and each.restarts >= RESTARTS_MAX:
                    raise _not_ready(each)
        time.sleep(POLL_S)
    slow = next((each for each in last.processes if each.state != "ready"), None) if last else None
    raise _not_ready(slow) if slow else NotReady(f"nothing was ready within {timeout_s:.0f} s")


def _not_ready(process: ProcessStatus) -> NotReady:
    why = last_words(Path(process.log)) or process.last_exit or process.state
    return NotReady(f"{process.name} does not get ready: {why}", hint=f"see {process.log}")


def last_words(path: Path) -> str:
    """The last error in a log, as one sentence; empty where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 65536))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("level") in ("error", "critical"):
            found = event.get("exception") or [{}]
            raised = f"{found[0].get('exc_type', '')}: {found[0].get('exc_value', '')}".strip(": ") if isinstance(found, list) else ""
            return str(event.get("error") or raised or event.get("event", ""))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def stop(home: Home, timeout_s: float = 40.0) -> int:
    """End the supervisor and all it runs, or what a dead one left. Answers with how many processes ended. Raises StillRunning."""
    found, starting = running(home), _starting(home)
    if found:
        _end_supervisor(found.supervisor, timeout_s)
        return sum(1 for each in found.processes if each.identity)
    if starting:
        _end_supervisor(starting, timeout_s)
    left = [each.identity for each in left_over(home) if each.identity] + _servers_left(home)
    for each in left:
        send(each, signal.SIGTERM)
        send(each, signal.SIGCONT)
    for each in left:
        if not wait_gone(each, 8.0):
            send(each, signal.SIGKILL, group=True)
            if not wait_gone(each, 5.0):
                raise StillRunning(f"process {each.pid} does not end")
    return len(left) + (1 if starting else 0)


def _end_supervisor(supervisor: Identity, timeout_s: float) -> None:
    """End a supervisor and all it runs. Raises StillRunning."""
    below = [each for pid in family(supervisor.pid)[1:] if (each := identify(pid))]
    send(supervisor, signal.SIGTERM)
    send(supervisor, signal.SIGCONT)
    if not wait_gone(supervisor, timeout_s):
        raise StillRunning(f"the supervisor (process {supervisor.pid}) does not end")
    for each in below:  # one that had only begun to start may leave its nursery behind for a moment, which ends by itself
        if not wait_gone(each, 8.0):
            send(each, signal.SIGKILL, group=True)


def _servers_left(home: Home) -> list[Identity]:
    """The masters of those nginx that serve on although their agents are gone."""
    found: list[Identity] = []
    for path in home.edges.glob("*/run/nginx.pid"):
        try:
            pid = int(path.read_text())
            command = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        except (OSError, ValueError):
            continue
        identity = identify(pid)
        if identity and _names(command, path.parents[1]):
            found.append(identity)
    return found


def _names(command: str, folder: Path) -> bool:
    """Whether a command line has a path in ``folder``, and not in one whose own path ends so: `/data/edges` and `/mnt/data/edges`."""
    return any(f"{before}{folder}/" in command for before in "\0 ")


def fits(found: SystemStatus, fingerprints: Mapping[str, str]) -> bool:
    """Whether the running system is the one that the configuration describes now."""
    return {each.name: each.fingerprint for each in found.processes} == dict(fingerprints)
