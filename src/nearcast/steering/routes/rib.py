"""What the routers of one ISP tell (its Adj-RIB-In), and what of it the route table is to know. Pure.

A prefix that several routers announce has one way in the table: the shortest AS path, then the lowest MED, then the lowest router.
Beyond the ISP's maximum prefixes wait, and come in as others go; a router is remembered up to twice the maximum, so that a flood
costs no more memory than that. What was refused is remembered, too, as far as it is little: a rehearsal asks whether it would be taken.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Literal, NamedTuple

from nearcast.model.route import Announcement
from nearcast.steering.routes.bgp import Filter, Network, Reason, Update
from nearcast.steering.routes.settings import Isp

REFUSED_MAX = 1_000
"""So many refused announcements are remembered of an ISP: the last."""


class Way(NamedTuple):
    """One router's way to a prefix. Compared, the better is the less."""

    length: int
    med: int
    router: str
    as_path: tuple[int, ...]


class Changes(NamedTuple):
    """What the table is to be told: what is gone, and what is new or other than before."""

    withdraw: tuple[Announcement, ...]
    announce: tuple[Announcement, ...]


class Rib:
    """One ISP's. ``refused`` counts refusals since the start, by reason; ``prefixes`` are those that the table knows."""

    def __init__(self, isp: Isp, own_asn: int) -> None:
        self.isp = isp
        self.refused: Counter[Reason] = Counter()
        self._filter = Filter(isp, own_asn)
        self._routers: dict[str, dict[str, Way]] = {}
        self._stale: dict[str, set[str]] = {}
        self._told: dict[str, Way] = {}
        self._waiting: dict[str, None] = {}
        self._refused: dict[tuple[str, str], Way] = {}
        self._gone: dict[str, None] = {}
        self._fresh: dict[str, None] = {}

    @property
    def prefixes(self) -> int:
        return len(self._told)

    @property
    def waiting(self) -> int:
        """Prefixes held back by the maximum."""
        return len(self._waiting)

    @property
    def pending(self) -> int:
        """How many announcements and withdrawals ``changes`` would tell, at most."""
        room = self.isp.prefixes_max - len(self._told)
        return (len(self._gone) + len(self._fresh) + min(len(self._waiting), room)) * max(1, len(self.isp.sites))

    def apply(self, update: Update) -> list[tuple[str, Reason]]:
        """Take an update in; answers with what was refused of it, and why."""
        self._forget(update.router, map(str, update.withdrawn))
        bad_path = self._filter.path(update.as_path, update.plain) if update.announced else None
        way = Way(len(update.as_path), update.med, update.router, update.as_path)
        refused: list[tuple[str, Reason]] = []
        for network in update.announced:
            reason = self._filter.prefix(network) or bad_path or self._learn(network, way)
            if reason is not None:
                refused.append((str(network), reason))
                self._forget(update.router, (str(network),))
                if update.plain:
                    self._remember(str(network), way)
        self.refused.update(reason for _, reason in refused)
        return refused

    def _learn(self, network: Network, way: Way) -> Reason | None:
        prefix, known = str(network), self._routers.setdefault(way.router, {})
        if prefix not in known and len(known) >= 2 * self.isp.prefixes_max:
            return Reason.MAXIMUM
        known[prefix] = way
        self._refused.pop((way.router, prefix), None)
        self._stale.get(way.router, set()).discard(prefix)
        self._gone.pop(prefix, None)
        self._fresh[prefix] = None
        return None

    def _remember(self, prefix: str, way: Way) -> None:
        """The oldest goes for it."""
        if len(self._refused) >= REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[way.router, prefix] = way

    def _forget(self, router: str, prefixes: Iterable[str]) -> None:
        known, stale = self._routers.get(router, {}), self._stale.get(router, set())
        for prefix in prefixes:
            stale.discard(prefix)
            self._refused.pop((router, prefix), None)
            if known.pop(prefix, None) is not None:
                self._fresh.pop(prefix, None)
                self._gone[prefix] = None

    def begin(self, router: str) -> None:
        """A session began: what the router does not tell again until ``sweep`` is gone."""
        self._stale[router] = set(self._routers.get(router, {}))
        self._forget_refused(router)

    def sweep(self, router: str, version: Literal[4, 6] | None = None) -> None:
        """Drop what the router has not told again, of one IP version or of both."""
        stale = self._stale.get(router, set())
        self._forget(router, [each for each in stale if version is None or (":" in each) == (version == 6)])

    def drop(self, router: str) -> None:
        """All that came from the router is withdrawn."""
        self._forget(router, list(self._routers.get(router, {})))
        self._routers.pop(router, None)
        self._stale.pop(router, None)
        self._forget_refused(router)

    def _forget_refused(self, router: str) -> None:
        self._refused = {key: way for key, way in self._refused.items() if key[0] != router}

    def changes(self, most: int | None = None) -> Changes:
        """What changed for the table since the last call, withdrawals first; the rest of more than ``most`` waits for the next call."""
        count = None if most is None else max(1, most // max(1, len(self.isp.sites)))
        withdrawn, announced = [], []
        best = {prefix: self._best(prefix) for prefix in self._next(count)}
        for prefix, way in best.items():
            if way is None:
                self._waiting.pop(prefix, None)
                if self._told.pop(prefix, None) is not None:
                    withdrawn.append(prefix)
        for prefix, way in best.items():
            if way is None or way == self._told.get(prefix):
                continue
            if prefix in self._told or len(self._told) < self.isp.prefixes_max:
                self._waiting.pop(prefix, None)
                self._told[prefix] = way
                announced.append(prefix)
            elif prefix not in self._waiting:
                self._waiting[prefix] = None
                self.refused[Reason.MAXIMUM] += 1
        while self._waiting and len(self._told) < self.isp.prefixes_max and len(withdrawn) + len(announced) != count:
            prefix = next(iter(self._waiting))
            del self._waiting[prefix]
            found = self._best(prefix)
            if found is not None:
                self._told[prefix] = found
                announced.append(prefix)
        return Changes(
            tuple(Announcement(prefix=each, site=site, source=self.isp.name) for each in withdrawn for site in self.isp.sites),
            tuple(each for prefix in announced for each in self._announcements(prefix)),
        )

    def _next(self, count: int | None) -> list[str]:
        found = list(islice(chain(self._gone, self._fresh), count))
        for each in found:
            self._gone.pop(each, None)
            self._fresh.pop(each, None)
        return found

    def everything(self) -> tuple[Announcement, ...]:
        """All that the table is to know of this ISP."""
        return tuple(each for prefix in self._told for each in self._announcements(prefix))

    def held(self, *, refused: bool = True) -> Iterator[Announcement]:
        """What is announced and not in the table, for no site yet: what waits, in the order in which it comes in; with ``refused`` also
        what was refused, as far as it is remembered, and all where no site serves it.

        It may be read in parts, with other calls between them: what has gone by then is left out.
        """
        ways: dict[str, Way] = {}
        if refused:
            for (_, prefix), way in self._refused.items():
                if prefix not in self._told:
                    ways[prefix] = min(way, ways.get(prefix, way))
        told = () if self.isp.sites or not refused else self._told
        for prefix in [*self._waiting, *told]:
            known = self._best(prefix)
            if known is not None:
                yield self._held(prefix, min(known, ways.pop(prefix, known)))
        for prefix, way in ways.items():
            yield self._held(prefix, way)

    def _held(self, prefix: str, way: Way) -> Announcement:
        return Announcement(prefix=prefix, site="", source=self.isp.name, as_path=way.as_path, med=way.med)

    def _best(self, prefix: str) -> Way | None:
        return min((known[prefix] for known in self._routers.values() if prefix in known), default=None)

    def _announcements(self, prefix: str) -> Iterable[Announcement]:
        way = self._told[prefix]
        for order, site in enumerate(self.isp.sites):
            yield Announcement(prefix=prefix, site=site, source=self.isp.name, as_path=way.as_path, med=way.med, order=order)


def judge(isp: Isp, own_asn: int, announcements: Iterable[Announcement]) -> Iterator[tuple[Announcement, Reason | None]]:
    """What the filter would say of planned announcements, the maximum apart. Raises ValueError for what is no prefix."""
    rules = Filter(isp, own_asn)
    return ((each, rules.prefix(ipaddress.ip_network(each.prefix)) or rules.path(each.as_path)) for each in announcements)
