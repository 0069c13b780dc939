"""The rollover of the key that signs the zone, on this host: a step is written down, then every worker begins anew with it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nearcast.base.errors import Unavailable
from nearcast.base.paths import Home
from nearcast.base.processes import AlreadyRunning, Lock, send
from nearcast.system import start
from nearcast.system.dns import key_path
from nearcast.system.table import DNS_PREFIX

if TYPE_CHECKING:
    from nearcast.base.supervise import ProcessStatus
    from nearcast.steering.dns.keyring import Ring

RESTART_S = 60.0
POLL_S = 0.05


class NotRestarted(Unavailable):
    """A worker of the name server did not begin anew."""

    code = "NC0234"
    cure = "see `nearcast status` and its log; `nearcast dns reload` goes on with the others"


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


def change(home: Home, step: Callable[[Ring], Ring]) -> Ring:
    """Take a step of a rollover, one at a time. Raises BadKey, NotNow, AlreadyRunning."""
    from nearcast.steering.dns import keyring

    with alone(home):
        ring = step(keyring.load(key_path(home)))
        keyring.save(key_path(home), ring)
    return ring


def restart_workers(home: Home, told: Callable[[str], None]) -> int:
    """One after the other, so that those that are left answer meanwhile. ``told`` hears of each. How many; raises NotRestarted."""
    found, count = start.running(home), 0
    for each in found.processes if found else ():
        if each.name.startswith(DNS_PREFIX) and each.identity is not None:
            send(each.identity, signal.SIGTERM)
            _wait(home, each)
            told(each.name)
            count += 1
    return count


def _wait(home: Home, before: ProcessStatus) -> None:
    until_s = time.monotonic() + RESTART_S
    while time.monotonic() < until_s:
        found = start.status(home)
        now = next((each for each in found.processes if each.name == before.name), None) if found else None
        if now is not None and now.state == "ready" and now.identity != before.identity:
            return
        time.sleep(POLL_S)
    raise NotRestarted(f"{before.name} was not ready again within {RESTART_S:.0f} s")
