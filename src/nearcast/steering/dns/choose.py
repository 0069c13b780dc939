"""Which addresses a client is answered with: the very decisions of play answers, kept for all clients that get the same one.

Clients are the same where their routes are: same sites in the same order, same announcements. Within such a class they are spread
over ``1 << SPREAD_BITS`` groups, by the block of addresses that an answer's scope covers, so that the appliances of a site share
the viewers of one ISP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, Self

from nearcast.model.health import ApplianceHealth
from nearcast.model.route import Candidate
from nearcast.model.site import Site
from nearcast.steering.dns import ecs, wire
from nearcast.steering.routes import NO_MATCH, Match, Prefix
from nearcast.steering.routes.base import CONFIG
from nearcast.steering.view import NO_VIEW, Holdings, View

SPREAD_BITS = 4
CHOSEN_MAX = 600_000
CLASSES_MAX = 500_000
LEADS_MAX = 2_000_000
ADDRESSES = 2
"""Appliances in an answer: browsers go to the second at once where the first does not take their connection."""
TURNS = 8
"""So often is asked for another appliance of the site at most."""
SPARE = 3
"""So many are asked for where the first has no address."""
NOBODY = -1
_GOLDEN = 0x9E3779B97F4A7C15
"""Multiplicative hashing (Knuth, volume 3, 6.4): neighbouring blocks go to different groups."""


class Table(Protocol):
    """The compiled routes, as ``steering.routes`` has them."""

    @property
    def version(self) -> int: ...
    def match_number(self, version: int, number: int, /) -> Match: ...
    def block(self, version: int, number: int, /) -> int: ...
    def candidates(self, address: str, /) -> Iterable[Candidate]: ...
    def changes_since(self, before: Self, /) -> set[Prefix] | None: ...


class NoTable:
    """No routes at all: what is answered from before any were published."""

    version = -1

    def match_number(self, version: int, number: int, /) -> Match:
        return NO_MATCH

    def block(self, version: int, number: int, /) -> int:
        return 0

    def candidates(self, address: str, /) -> Iterable[Candidate]:
        return ()

    def changes_since(self, before: Self, /) -> set[Prefix] | None:
        return set()


NO_TABLE: Table = NoTable()


class Matching(Protocol):
    def match(self, address: str, /) -> Match: ...


class Decision(Protocol):
    @property
    def appliances(self) -> tuple[ApplianceHealth, ...]: ...
    @property
    def leads(self) -> bool: ...


class Decider(Protocol):
    """``steering.decide``: who serves whom."""

    def use(self, table: Matching, view: View, now_s: float, /) -> None: ...
    def decide(self, address: str, title_id: str, *, count: int = 3, session: str = "", counts: bool = True) -> Decision: ...


class Chosen(NamedTuple):
    """Data of A and of AAAA records; all addresses are of one site."""

    ipv4: tuple[bytes, ...]
    ipv6: tuple[bytes, ...]
    site: str


class Places:
    """Where a title is given: ``chosen`` by site, and number of the group where that counts; ``leading``: the sites that lead for it
    wherever they are the first that is able."""

    __slots__ = ("chosen", "leading")

    def __init__(self) -> None:
        self.chosen: dict[int, Chosen] = {}
        self.leading: set[int] = set()


class Client(NamedTuple):
    """``group``: the class of their routes, and in the last SPREAD_BITS the number among those that it is spread over.

    ``scope``: leading bits of their address that get the same answer.
    """

    group: int
    scope: int


class Matches(dict[str, Match]):
    """The match of each class, by its number, which stands for its clients' addresses: what was looked up once is known."""

    def match(self, address: str, /) -> Match:
        return self[address]


def gist(view: View) -> tuple[object, ...]:
    """What of a view no answer may be late with: who is there, and how they are. Their loads, and what they hold, may be seconds old."""
    appliances = tuple((each.id, each.site, each.state, each.load, each.addresses) for each in view.snapshot.appliances)
    return appliances, tuple(sorted(view.snapshot.demoted.items()))


def spread_mask(title: str) -> int:
    """Which bits of a group's last ones count. Of one title none does: titles are spread over a site already, each with a home there."""
    return 0 if title else (1 << SPREAD_BITS) - 1


class Chooser:
    """``use`` takes a new table or view; everything else answers from what was used last.

    An answer is found in two steps that are kept apart, as there are far fewer sites than classes of clients: the site that leads for a
    class, and the addresses there.
    """

    def __init__(self, decider: Decider, sites: Iterable[Site]) -> None:
        self._decider = decider
        sites = tuple(sites)
        self._doors = {each.name: wire.addresses(each.doors) for each in sites if each.doors}
        self._homes = {each.name: each.isp for each in sites if each.isp}
        self._table: Table | None = None
        self._view = NO_VIEW
        self._classes: dict[tuple[tuple[str, ...], frozenset[str]], int] = {}
        self._matches = Matches()
        self._sites: list[str] = []
        self._numbers: dict[str, int] = {}
        self._leads: dict[str, dict[int, int]] = {}
        self._led = 0
        """How many of them there are."""
        self._held: Mapping[str, Holdings] = {}
        """The holdings that they go by."""
        self._places: dict[str, Places] = {}
        self._placed = 0
        """How much is chosen in all of them."""
        self._firsts: dict[int, int] = {}
        """Of classes the first site that is able, by number, where it is known."""
        self._alone: dict[str, Chosen] = {}
        """The answer that has nothing but this appliance."""
        self.shift = SPREAD_BITS
        """By how many bits groups are shortened in ``leads``: where players' measurements move some viewers of a class, by none."""

    def use(self, table: Table, view: View, now_s: float) -> None:
        """Decide by these from now on. What was decided before stays until ``forget``. Classes outlast tables: they are the same routes."""
        self._decider.use(self._matches, view, now_s)
        self._table, self._view = table, view

    def regroup(self) -> None:
        """Begin anew with the classes."""
        self._classes.clear()
        self._matches.clear()
        self.forget()

    def forget(self) -> None:
        """Decisions are made anew."""
        self._leads.clear()
        self._led, self._held = 0, self._view.holdings
        self._choose_anew()
        self.shift = 0 if self._view.snapshot.demoted else SPREAD_BITS

    def renew(self) -> None:
        """Appliances are chosen anew. Which site leads is not asked again while everybody holds what they held, as loads below the point
        where an appliance is full do not change it."""
        if self._view.holdings == self._held:
            self._choose_anew()
        else:
            self.forget()

    def _choose_anew(self) -> None:
        self._places.clear()
        self._placed = 0
        self._firsts.clear()
        self._alone.clear()

    @property
    def crowded(self) -> bool:
        """There are so many classes that it is time to regroup."""
        return len(self._classes) >= CLASSES_MAX

    @property
    def laden(self) -> bool:
        """So much was decided that it is time to forget."""
        return self._led >= LEADS_MAX

    def match(self, version: int, number: int) -> Match:
        return self._used().match_number(version, number)

    def client(self, version: int, number: int, length: int = 128) -> Client:
        """Whose answers a client of this address gets, of which only ``length`` leading bits may be known."""
        table = self._used()
        match = table.match_number(version, number)
        block = table.block(version, number)
        if self._homes and block > length and not match.announced.isdisjoint(self._homes):
            match = self._for_all(match, version, number, length)
        scope = ecs.scope(version, number, block)
        key = match[1:]  # sites and announced
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = len(self._classes)
            self._matches[str(found)] = match
        spread = (ecs.network(version, number, scope) * _GOLDEN >> 60) & 15
        return Client(found << SPREAD_BITS | spread, scope)

    def _for_all(self, match: Match, version: int, number: int, length: int) -> Match:
        """Without the ISPs' sites that only a part of such a subnet was announced to: resolvers keep an answer whose scope is longer
        than what they told for all that they told (RFC 7871, 7.3.1).
        """
        address = str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))
        ways = [each for each in self._used().candidates(address) if int(each.prefix.rpartition("/")[2]) <= length]
        whole = {each.site for each in ways if each.source in (CONFIG, self._homes.get(each.site))}
        return match._replace(announced=match.announced - (self._homes.keys() - whole))

    def leads(self, title: str) -> dict[int, int]:
        """What is known of the sites that lead for a title, by group (shortened by ``shift``), until ``forget``."""
        return self._leads.setdefault(title, {})

    def chosen(self, title: str, group: int) -> Chosen | None:
        """The addresses that a group is given for a title (ANY_TITLE: for none in particular); None where nobody serves that group."""
        return self.given(title, group)[1]

    def given(self, title: str, group: int) -> tuple[int, Chosen | None]:
        """The same, and by number the site that leads for the group: all addresses are there. NOBODY: none does."""
        leads = self.leads(title)
        site = leads.get(group >> self.shift)
        if site is None:
            self._led += 1
            site = leads[group >> self.shift] = self._lead(title, group)
        if site == NOBODY:
            return NOBODY, None
        found = self._at(title).chosen.get(site << SPREAD_BITS | group & spread_mask(title))
        if found is not None:
            return site, found
        found = self._choose(title, group, self._sites[site])
        if found is None:  # the loads have changed since: another site leads by now
            site = leads[group >> self.shift] = self._lead(title, group)
            found = self._choose(title, group, self._sites[site]) if site != NOBODY else None
        return (site, self._keep(title, site, group, found)) if found else (NOBODY, None)

    def _lead(self, title: str, group: int) -> int:
        """Who leads, decided now, or known from another class that has the same first site, if that holds the title."""
        if not title or not self.shift:
            first = next(iter(self._decide(title, group, 0)), None)
            return self._number(first.site) if first else NOBODY
        client = group >> SPREAD_BITS
        known = self._firsts.get(client)
        if known is not None and known in self._at(title).leading:
            return known
        decision = self._decider.decide(str(client), title, count=1, session="dns 0 0", counts=False)
        found = decision.appliances[0] if decision.appliances else None
        if found is None or not self._reached(found):
            found = next(iter(self._decide(title, group, 0)), None)
            if found is None:
                return NOBODY
        site = self._number(found.site)
        self._keep(title, site, group, self._only(found))  # what was decided for it is the answer as well
        if decision.leads and found is decision.appliances[0]:
            self._firsts[client] = site
            self._at(title).leading.add(site)
        return site

    def _at(self, title: str) -> Places:
        found = self._places.get(title)
        if found is None:
            found = self._places[title] = Places()
        return found

    def _keep(self, title: str, site: int, group: int, chosen: Chosen) -> Chosen:
        if self._placed >= CHOSEN_MAX:
            self._places.clear()
            self._placed = 0
        self._placed += 1
        return self._at(title).chosen.setdefault(site << SPREAD_BITS | group & spread_mask(title), chosen)

    def _only(self, appliance: ApplianceHealth) -> Chosen:
        """Its addresses alone."""
        found = self._alone.get(appliance.id)
        if found is None:
            found = self._alone[appliance.id] = Chosen(*wire.addresses(appliance.addresses), appliance.site)
        return found

    def _reached(self, appliance: ApplianceHealth) -> bool:
        """Whether an address leads to it."""
        found = self._only(appliance)
        return bool(found.ipv4 or found.ipv6)

    def _choose(self, title: str, group: int, site: str) -> Chosen | None:
        """Of the best site only: resolvers and browsers shuffle addresses, and would send every second viewer further away.

        For no title in particular its door, if it has one, else ADDRESSES of its appliances. A title's own name leads to the one
        appliance that play answers would give: others may not hold it. None: nobody there is given any more.
        """
        if not title and (doors := self._doors.get(site)):
            return Chosen(*doors, site)
        wanted = 1 if title else min(ADDRESSES, len(self._view.by_site.get(site, ())))
        given: dict[str, tuple[str, ...]] = {}
        for turn in range(1 if title else TURNS):
            given.update({each.id: each.addresses for each in self._decide(title, group, turn) if each.site == site})
            if len(given) >= wanted or not given:
                break
        return Chosen(*wire.addresses(tuple(address for each in given.values() for address in each)), site) if given else None

    def _decide(self, title: str, group: int, turn: int) -> tuple[ApplianceHealth, ...]:
        """Those of the decision that an address leads to, the best first; where the best one has none, who comes after it.

        For no title in particular, as for one that nobody holds: each group and turn a different one, so that all get their share.
        An answer is no session, as nobody knows how many will go by it: what they send is reported soon enough.
        """
        mask = spread_mask(title if self.shift else "")  # where some viewers are moved elsewhere, it is some of each title's
        name = f"dns {group & mask} {turn}"
        client = str(group >> SPREAD_BITS)
        for count in (1, SPARE):
            found = self._decider.decide(client, title or name, count=count, session=name, counts=False).appliances
            if reached := tuple(each for each in found if self._reached(each) or (not title and each.site in self._doors)):
                return reached
        return ()

    def _number(self, site: str) -> int:
        found = self._numbers.get(site)
        if found is None:
            found = self._numbers[site] = len(self._sites)
            self._sites.append(site)
        return found

    def _used(self) -> Table:
        assert self._table is not None, "no table was given yet"  # noqa: S101
        return self._table
