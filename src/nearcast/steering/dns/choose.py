"""Which addresses a client is answered with: the very decisions of play answers, kept for all clients that get the same one.

Clients are the same where their routes are: same sites in the same order, same announcements. Within such a class they are spread over
``SPREAD`` groups, by the block of addresses that an answer's scope covers, so that the appliances of a site share the viewers of one ISP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.steering.dns import ecs, wire
from nearcast.steering.routes import Match
from nearcast.steering.view import NO_VIEW, View

SPREAD = 16
DECISIONS_MAX = 200_000
CLASSES_MAX = 1_000_000
ADDRESSES = 2
"""Appliances in an answer: browsers go to the second at once where the first does not take their connection."""
_GOLDEN = 0x9E3779B97F4A7C15
"""Multiplicative hashing (Knuth, volume 3, 6.4): neighbouring blocks go to different groups."""


class Table(Protocol):
    """The compiled routes, as ``steering.routes`` has them."""

    @property
    def version(self) -> int: ...
    def match(self, address: str, /) -> Match: ...
    def match_number(self, version: int, number: int, /) -> Match: ...
    def block(self, version: int, number: int, /) -> int: ...


class Decision(Protocol):
    @property
    def appliances(self) -> tuple[ApplianceHealth, ...]: ...


class Decider(Protocol):
    """``steering.decide``: who serves whom."""

    def use(self, table: Table, view: View, /) -> None: ...
    def decide(self, address: str, title_id: str, *, count: int = 3, session: str = "") -> Decision: ...


class Chosen(NamedTuple):
    """Data of A and of AAAA records; all addresses are of one site."""

    ipv4: tuple[bytes, ...]
    ipv6: tuple[bytes, ...]
    site: str


class Client(NamedTuple):
    """``group`` is whose decisions they share; ``scope``: leading bits of their address that get the same answer."""

    group: int
    scope: int


def gist(view: View) -> tuple[object, ...]:
    """What of a view no answer may be late with: who is there, how they are, what they hold. Loads in between may be a second old."""
    appliances = tuple(
        (each.id, each.site, each.state, each.load, each.addresses, each.holdings_digest) for each in view.snapshot.appliances
    )
    return appliances, tuple(sorted(view.snapshot.demoted.items()))


class Chooser:
    """``use`` takes a new table or view; ``client`` and ``chosen`` answer from what was used last."""

    def __init__(self, decider: Decider, sites: Iterable[Site]) -> None:
        self._decider = decider
        self._doors = {each.name: wire.addresses(each.doors) for each in sites if each.doors}
        self._table: Table | None = None
        self._view = NO_VIEW
        self._groups: dict[tuple[tuple[str, ...], frozenset[str], int], int] = {}
        self._members: list[tuple[int, int, int]] = []
        """Of each group: version and number of an address in it, and its number among the ``SPREAD``."""
        self._decisions: dict[tuple[str, int], Chosen | None] = {}

    def decide_by(self, table: Table, view: View) -> None:
        """Let the decider know the table and the view."""
        self._decider.use(table, view)
        self._view = view

    def use(self, table: Table) -> None:
        """Other routes: everybody is grouped anew."""
        self._table = table
        self._groups.clear()
        self._members.clear()
        self.forget()

    def forget(self) -> None:
        """Another view: decisions are made anew."""
        self._decisions.clear()

    @property
    def crowded(self) -> bool:
        """So many groups are known that it is time to begin anew."""
        return len(self._members) >= CLASSES_MAX

    def match(self, version: int, number: int) -> Match:
        return self._used().match_number(version, number)

    def client(self, version: int, number: int) -> Client:
        """Whose answers a client of this address gets."""
        table = self._used()
        match = table.match_number(version, number)
        scope = ecs.scope(version, number, table.block(version, number))
        spread = (ecs.network(version, number, scope) * _GOLDEN >> 32) % SPREAD
        key = match.sites, match.announced, spread
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = len(self._members)
            self._members.append((version, number, spread))
        return Client(group, scope)

    def chosen(self, title: str, group: int) -> Chosen | None:
        """The addresses for a title (ANY_TITLE: for none in particular); None where nobody serves that client."""
        key = title, group
        if key in self._decisions:
            return self._decisions[key]
        if len(self._decisions) >= DECISIONS_MAX:
            self._decisions.clear()
        version, number, spread = self._members[group]
        address = str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))
        found: list[ApplianceHealth] = []
        for turn in range(ADDRESSES):
            given = self._decider.decide(address, title, count=1, session=f"dns {spread} {turn}").appliances
            found += [each for each in given if each not in found and (not found or each.site == found[0].site)]
            if not found or (not title and found[0].site in self._doors) or len(self._view.by_site[found[0].site]) == 1:
                break
        chosen = self._decisions[key] = self._addresses(title, found) if found else None
        return chosen

    def _addresses(self, title: str, appliances: list[ApplianceHealth]) -> Chosen:
        """Of the best site only: resolvers and browsers shuffle addresses, and would send every second viewer further away.

        For no title in particular its door, if it has one; a title's own name leads to the appliances that hold it.
        """
        site = appliances[0].site
        if not title and (doors := self._doors.get(site)):
            return Chosen(*doors, site)
        return Chosen(*wire.addresses(tuple(address for each in appliances for address in each.addresses)), site)

    def _used(self) -> Table:
        assert self._table is not None, "no table was given yet"  # noqa: S101
        return self._table
