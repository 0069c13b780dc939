"""Our name server as a process of its own for bench.dns: `python -m bench.dns_server PORT SEED PREFIXES TITLES CHANGES`.

As in a running system its routes lie in the compiled table, and the health view is renewed twice a second with other loads. CHANGES a
second of the prefixes get another ranking. Says ``ready``, and ends when its standard input does.
"""

from __future__ import annotations

import random
import sys
import time

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from bench import dns_world
from nearcast.model.route import Announcement
from nearcast.steering.decide import Decider
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.choose import Chooser
from nearcast.steering.dns.compose import Composer
from nearcast.steering.dns.dnssec import Signer
from nearcast.steering.dns.keyring import Signers
from nearcast.steering.dns.server.worker import Worker
from nearcast.steering.dns.settings import DnsSettings, RateSettings
from nearcast.steering.dns.zone import Zone
from nearcast.steering.routes import Table
from nearcast.steering.view import View

RENEWED_S = 0.5


class Views:
    """The view with other loads each time it is renewed."""

    def __init__(self, first: View, seed: int) -> None:
        self._chance = random.Random(seed)
        self._view = first
        self._made_s = float("-inf")

    def view(self) -> View:
        now_s = time.monotonic()
        if now_s - self._made_s >= RENEWED_S:
            self._made_s = now_s
            found = self._view.snapshot
            shares = (replace(each, share=self._chance.uniform(0.1, 0.8)) for each in found.appliances)
            fresh = replace(found, version=found.version + 1, published_s=now_s, appliances=tuple(shares))
            self._view = View(fresh, self._view.holdings)
        return self._view


class Tables:
    """The table with ``changes_per_s`` announcements applied since it was asked for first: some prefix's best site becomes its last, or
    its best again.
    """

    def __init__(self, world: dns_world.World, changes_per_s: int, seed: int) -> None:
        self._world, self._per_s = world, changes_per_s
        self._chance = random.Random(seed)
        self._table = dns_world.table(world)
        self._began_s = 0.0
        self._last: set[int] = set()
        self.applied = 0

    def table(self) -> Table:
        now_s = time.monotonic()
        self._began_s = self._began_s or now_s
        while self.applied < (now_s - self._began_s) * self._per_s:
            self._table = self._table.changed([self._announcement()], [], self._table.version + 1)
            self.applied += 1
        return self._table

    def _announcement(self) -> Announcement:
        index = self._chance.randrange(len(self._world.networks))
        self._last ^= {index}
        order = dns_world.SITES_RANKED if index in self._last else 0
        return Announcement(prefix=str(self._world.networks[index]), site=f"s{self._world.rankings[index][0]}", order=order)


def main(port: int, seed: int, prefixes: int, titles: int, changes_per_s: int) -> None:
    world = dns_world.make(seed, prefixes, titles)
    tables = Tables(world, changes_per_s, seed)
    settings = DnsSettings(
        zone=dns_world.ZONE, listen=("127.0.0.1",), port=port, rate=RateSettings(identical_per_s=0, failing_per_s=0, total_per_s=0)
    )
    zone = Zone(settings, world.sites)
    signers = Signers(Signer(zone.origin, ec.generate_private_key(ec.SECP256R1())))
    chooser = Chooser(Decider(world.sites), world.sites)
    worker = Worker(settings, Answerer(zone, chooser, Composer(zone, signers)), tables.table, Views(world.view, seed).view)
    worker.start()
    print("ready", flush=True)
    sys.stdin.read()
    worker.stop()
    worker.wait(5.0)
    print(
        f"{worker.queries_udp} queries, {worker.unsent} unsent, {worker.defects} defects, {tables.applied} changes of routes",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:6]))
