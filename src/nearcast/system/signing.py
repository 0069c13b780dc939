"""The rollover of the key that signs the zone, on this host: a step is written down, then every worker begins anew with it.

Each notes as it begins which keys it has. So it is known which have not begun with what is written, however that came: a command that was
killed, a worker that does not start, a file that was copied from another host or restored.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.errors import Unavailable
from nearcast.base.paths import Home
from nearcast.base.processes import AlreadyRunning, Lock, send, write_atomically
from nearcast.system import places, start
from nearcast.system.dns import key_path
from nearcast.system.table import DNS_PREFIX

if TYPE_CHECKING:
    from nearcast.base.supervise import ProcessStatus
    from nearcast.steering.dns.keyring import Ring, Stage
    from nearcast.system.settings import Settings

RESTART_S = 60.0
POLL_S = 0.05
Step = Callable[["Ring", Sequence[str]], "Ring"]
"""Of what is written and the workers that have not begun with it, what comes next."""
Told = Callable[[str], object]
_log = structlog.get_logger("signing")


class Began(Struct, frozen=True, kw_only=True):
    """What a worker keeps of its keys (``keyring.fingerprint``): ``at_s`` is the Unix time at which it first began with them."""

    keys: str
    at_s: float


class Standing(NamedTuple):
    """``ring`` as it is written, but ``since_s`` not before the last worker began with it; ``late``: those that have not yet."""

    ring: Ring
    late: tuple[str, ...]


class NotRestarted(Unavailable):
    """A worker of the name server did not begin anew."""

    code = "NC0234"
    cure = "see `nearcast status` and its log; then run the command again, which goes on with this one and the others"


@contextlib.contextmanager
def alone(home: Home) -> Iterator[None]:
    """Nobody else changes the keys meanwhile, and no copy of them is left by who was killed. Raises AlreadyRunning."""
    from nearcast.steering.dns import keyring

    lock = Lock(home.run / "dns-keys.lock")
    try:
        lock.take()
    except AlreadyRunning as error:
        raise AlreadyRunning("another command changes the keys", hint="wait until it has ended") from error
    try:
        keyring.tidy(key_path(home))
        yield
    finally:
        lock.free()


def make(home: Home) -> bool:
    """``keyring.make``; of two starts at once, the quicker one's stands for both."""
    from nearcast.steering.dns import keyring

    while not key_path(home).exists():
        try:
            with alone(home):
                return keyring.make(key_path(home))
        except AlreadyRunning:
            time.sleep(POLL_S)
    return False


def workers_of(settings: Settings) -> tuple[str, ...]:
    return tuple(name for name in places.processes(settings) if name.startswith(DNS_PREFIX))


def note(home: Home, worker: str, ring: Ring, now_s: float) -> None:
    """A worker begins with ``ring``, and holds the lock of its name: who had it before answers no more. Started again, it began before."""
    from nearcast.steering.dns import keyring

    path, keys = _note_path(home, worker), keyring.fingerprint(ring)
    found = _noted(path)
    if found is not None and found.keys == keys:
        return
    try:
        path.unlink(missing_ok=True)  # should the disk be full: late rather than wrong
        write_atomically(path, msgspec.json.encode(Began(keys=keys, at_s=now_s)))
    except OSError as error:
        _log.error("it cannot be noted which keys this worker has", path=str(path), error=error.strerror)


def standing(home: Home, workers: Sequence[str]) -> Standing:
    """How the key is, and how far ``workers`` are with it. Raises BadKey."""
    from nearcast.steering.dns import keyring

    ring = keyring.load(key_path(home))
    keys, noted = keyring.fingerprint(ring), {each: _noted(_note_path(home, each)) for each in workers}
    last_s = max((found.at_s for found in noted.values() if found), default=0.0)
    # Without a rollover there may be none: they began before this was noted, or never did.
    late = tuple(name for name, found in noted.items() if (found.keys != keys if found else ring.following is not None))
    return Standing(ring._replace(since_s=max(ring.since_s, int(last_s))), late)


def take(home: Home, workers: Sequence[str], step: Step, leads_to: Sequence[Stage], told: Told) -> Standing:
    """Take a step of a rollover: write it down, then have every worker begin with it. ``told`` hears what happens.

    One that was killed in between is brought to its end first; if it led to one of ``leads_to``, that is all: the same command was
    given again. Raises BadKey, NotNow, AlreadyRunning, NotRestarted.
    """
    from nearcast.steering.dns import keyring

    with alone(home):
        if late := standing(home, workers).late:
            restart_workers(home, late, told)
            found = standing(home, workers)
            if found.ring.stage in leads_to and not found.late:
                return found
        keyring.save(key_path(home), step(*standing(home, workers)))
        restart_workers(home, workers, told)
        return standing(home, workers)


def restart_workers(home: Home, workers: Sequence[str], told: Told) -> int:
    """One after the other, so that those that are left answer meanwhile. How many; raises NotRestarted."""
    found, count = start.running(home), 0
    for each in found.processes if found else ():
        if each.name in workers and each.identity is not None:
            send(each.identity, signal.SIGTERM)
            _wait(home, each)
            told(f"{each.name} has begun anew")
            count += 1
    return count


def _note_path(home: Home, worker: str) -> Path:
    return home.run / f"{worker}.keys"


def _noted(path: Path) -> Began | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Began)
    except (OSError, msgspec.MsgspecError):
        return None


def _wait(home: Home, before: ProcessStatus) -> None:
    until_s = time.monotonic() + RESTART_S
    while time.monotonic() < until_s:
        found = start.status(home)
        now = next((each for each in found.processes if each.name == before.name), None) if found else None
        if now is not None and now.state == "ready" and now.identity != before.identity:
            return
        time.sleep(POLL_S)
    raise NotRestarted(f"{before.name} was not ready again within {RESTART_S:.0f} s")
