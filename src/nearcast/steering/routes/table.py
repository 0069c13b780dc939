"""The route table: which sites may serve a client's address, best first, and why.

First come the prefixes that hold the address, the longest first; within a prefix the ranks of ``Entry.rank``. Then come, where
geography knows the address, the sites that serve anybody, the nearest first. Last comes the default (0.0.0.0/0, ::/0), so that
an address of which nothing else is known goes to what is near, or where nothing is known of its place, where the default says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy
from heapq import nsmallest
from typing import NamedTuple, TypeVar

from nearcast.model.route import Announcement, Candidate, Route
from nearcast.model.site import Site
from nearcast.steering.routes.base import CONFIG, NONE, Base, Entry
from nearcast.steering.routes.geographic import GEOGRAPHY, Geography, direction, distance_km
from nearcast.steering.routes.overlay import Overlay, check
from nearcast.steering.routes.prefix import WIDTH, Prefix, parse_address, parse_prefix

Key = TypeVar("Key")
Value = TypeVar("Value")
CACHED_MAX = 100_000
NEAR_MAX = 32
"""Sites that geography alone adds to a match."""
CHANGES_KEPT = 256
"""Versions of which it is known what they changed, and the most that one of them may have changed for that."""
WALK_MAX = 64
"""Neighbouring intervals of one match that make one block: where there are more, each makes its own. It is safe, and found in 0.2 ms."""


class Match(NamedTuple):
    """Who may serve an address: the longest prefix that holds it in CIDR notation, and site names best first. Empty: none does.

    ``announced``: those of ``sites`` that an ISP or the configuration names for this address; the others are only near. A site that
    stands in an ISP's network is among them only by a prefix of that ISP or a configured route, and may serve nobody else.
    """

    prefix: str
    sites: tuple[str, ...]
    announced: frozenset[str] = frozenset()


NO_MATCH = Match("", ())


class Table:
    """A compiled base, the changes since, and geography. ``version`` counts up with each change.

    A table that was taken before a change may show it already: compare ``version`` to know whether something changed.
    """

    def __init__(self, base: Base, overlay: Overlay, geography: Geography | None, version: int) -> None:
        self.version = version
        self.base = base
        self.overlay = overlay
        self.geography = geography
        self._owner = base.intervals.owner
        self._isps = {each.name: each.isp for each in base.sites}
        self._placed = {
            each.name: (each.latitude, each.longitude) for each in base.sites if each.latitude is not None and each.longitude is not None
        }
        self._open = [
            (*direction(*self._placed[each.name]), each.name) for each in base.sites if not each.isp and each.name in self._placed
        ]
        self._plain: dict[int, Match] = {}
        self._mixed: dict[tuple[int, Prefix, int], Match] = {}
        self._near: dict[int, tuple[tuple[int, str], ...]] = {}
        self._around: dict[int, list[tuple[int, str, str]]] = {}
        self._changes: deque[tuple[int, tuple[Announcement, ...]]] = deque(maxlen=CHANGES_KEPT)
        """What the last versions changed; one log of all tables that follow from this one."""

    @classmethod
    def of(
        cls,
        routes: Iterable[Route],
        sites: Sequence[Site],
        announcements: Iterable[Announcement] = (),
        *,
        geography: Geography | None = None,
        version: int = 0,
    ) -> Table:
        """Compiled in memory. Raises BadRoute for prefixes that are none, prefixes routed twice, and sites that do not exist."""
        from nearcast.steering.routes.rows import table_of  # NumPy loads only where something is compiled

        return cls(table_of(routes, sites, announcements, geography), Overlay(), geography, version)

    def altered(self, announce: Iterable[Announcement], withdraw: Iterable[Announcement] = ()) -> Table:
        """A table of its own over the same base, with these changes; of those withdrawn prefix, site and source count."""
        other = Table(self.base, self.overlay.copy(), self.geography, self.version + 1)
        return other.changed(announce, withdraw, other.version)

    def changed(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement], version: int) -> Table:
        """This table under a new version, with the changes in its overlay. Raises BadAnnouncement, and then nothing is changed."""
        announced, withdrawn = tuple(announced), tuple(withdrawn)
        check(announced, self._isps)
        self.overlay.change(announced, withdrawn, lambda prefix: self.base.entries(self.base.find(prefix)), self.km)
        other = copy(self)
        other.version = version
        other._mixed = {}
        if len(announced) + len(withdrawn) <= CHANGES_KEPT:
            self._changes.append((version, (*announced, *withdrawn)))
        return other

    def changes_since(self, before: Table) -> set[Prefix] | None:
        """Outside of these prefixes all addresses have the match that they have in ``before``. None: this table does not follow from it,
        or too much has changed.
        """
        if before._changes is not self._changes:
            return None
        found = [told for version, told in self._changes if before.version < version <= self.version]
        if len(found) < self.version - before.version:
            return None
        return {parse_prefix(each.prefix) for told in found for each in told}

    @property
    def size(self) -> int:
        """Ways to prefixes in the base."""
        return len(self.base.arrays["site"])

    def entries(self, prefix: Prefix) -> list[Entry]:
        """What this very prefix has, best first."""
        changed = self.overlay.changed.get(prefix)
        return changed.entries if changed else self.base.entries(self.base.find(prefix))

    def match(self, address: str) -> Match:
        """``address`` as clients have it (``parse_address``)."""
        return self.match_number(*parse_address(address))

    def match_number(self, version: int, number: int) -> Match:
        """``version`` 4 or 6, ``number`` the address as an integer; an IPv4-mapped address as version 4."""
        owner = self._owner(version, number)
        place = self.geography.place(version, number) if self.geography else NONE
        changed = self.overlay.longest(version, number) if self.overlay.changed else None
        if changed is None:
            key = owner << 32 | place
            found = self._plain.get(key)
            if found is None:
                found = self._matched(version, number, owner, place)
                _keep(self._plain, key, found)
            return found
        mixed = (owner, changed.prefix, place)
        found = self._mixed.get(mixed)
        if found is None:
            found = self._matched(version, number, owner, place)
            _keep(self._mixed, mixed, found)
        return found

    def candidates(self, address: str) -> tuple[Candidate, ...]:
        """Every way to the address with what ranks it, best first; a site as often as it was told."""
        version, number = parse_address(address)
        chain = self._chain(version, number, self._owner(version, number))
        found = [
            Candidate(
                site=each.site,
                source=each.source,
                prefix=str(prefix),
                as_path=each.as_path,
                med=each.med,
                order=each.order,
                distance_km=float(each.km),
            )
            for prefix, entries in chain
            for each in entries
        ]
        default = len(chain[-1][1]) if chain and chain[-1][0].length == 0 else 0
        last = len(found) - default
        return (*found[:last], *self._nearest(version, number), *found[last:])

    def block(self, version: int, number: int) -> int:
        """Prefix length of the largest CIDR block around the address within which the match is the same for all."""
        low, high = self.span(version, number)
        end = 1 << WIDTH[version]
        if self.overlay.changed:
            low, high = self._run(version, number, low, high)
        # A block of 2^s addresses around the number holds another number just when they differ in no bit above the lowest s.
        below = (number ^ (low - 1)).bit_length() - 1 if low else WIDTH[version]
        above = (number ^ high).bit_length() - 1 if high < end else WIDTH[version]
        return WIDTH[version] - min(below, above)

    def _run(self, version: int, number: int, low: int, high: int) -> tuple[int, int]:
        """All neighbouring intervals with the same match as the one from ``low`` to ``high``, or that one alone where they are too many.

        How many they are is the same from each of them, so what is found from two of them is either the same or has nothing in common.
        """
        alone, end = (low, high), 1 << WIDTH[version]
        own = self._seen(version, number)
        for _ in range(WALK_MAX + 1):
            if low and self._seen(version, low - 1) == own:
                low = self.span(version, low - 1)[0]
            elif high < end and self._seen(version, high) == own:
                high = self.span(version, high)[1]
            else:
                return low, high
        return alone

    def km(self, prefix: Prefix, site: str) -> int:
        """From the site to where the prefix begins, in whole kilometres; -1 where either is unknown."""
        if self.geography is None:
            return -1
        place = self.geography.place(prefix.version, prefix.number)
        if place == NONE or site not in self._placed:
            return -1
        return distance_km(*self._placed[site], *self.geography.coordinates(place))

    def span(self, version: int, number: int) -> tuple[int, int]:
        """An interval of numbers around the address within which nothing changes: its first, and the first behind it."""
        if self.geography is None and not self.overlay.changed:
            return self.base.intervals.span(version, number)
        spans = [self.base.intervals.span(version, number)]
        if self.overlay.changed:
            spans.append(self.overlay.span(version, number))
        if self.geography is not None:
            spans.append(self.geography.intervals.span(version, number))
        return max(low for low, _ in spans), min(high for _, high in spans)

    def _seen(self, version: int, number: int) -> tuple[str, int]:
        """What tells two neighbouring matches apart: the longest prefix, and the place."""
        place = self.geography.place(version, number) if self.geography else NONE
        return self.match_number(version, number).prefix, place

    def _chain(self, version: int, number: int, owner: int) -> list[tuple[Prefix, list[Entry]]]:
        """The prefixes that hold the address with their entries, the longest first; what changed stands for what the base has."""
        found = {each.prefix: each.entries for each in self.overlay.around(version, number)} if self.overlay.changed else {}
        if not found:
            return [(self.base.prefix(index), self.base.entries(index)) for index in self.base.chain(owner)]
        for index in self.base.chain(owner):
            prefix = self.base.prefix(index)
            if prefix not in found:
                found[prefix] = self.base.entries(index)
        return sorted(((prefix, entries) for prefix, entries in found.items() if entries), key=lambda each: -each[0].length)

    def _matched(self, version: int, number: int, owner: int, place: int) -> Match:
        prefix, told = self._told(version, number, owner)
        sites = [site for length, site, _ in told if length]
        sites += [site for _, site in self._ranked(place)]
        sites += [site for length, site, _ in told if not length]
        if not sites:
            return NO_MATCH
        isps = self._isps
        announced = frozenset([site for _, site, source in told if source == CONFIG or isps[site] in ("", source)])
        return Match(prefix, tuple(dict.fromkeys(sites)), announced)

    def _told(self, version: int, number: int, owner: int) -> tuple[str, list[tuple[int, str, str]]]:
        """The longest prefix, and length, site and source of every way to the address, best first."""
        if self.overlay.changed and self.overlay.longest(version, number):
            chain = self._chain(version, number, owner)
            told = [(prefix.length, each.site, each.source) for prefix, entries in chain for each in entries]
            return str(chain[0][0]) if chain else "", told
        if owner == NONE:
            return "", []
        return str(self.base.prefix(owner)), self._ways(owner)

    def _ways(self, index: int) -> list[tuple[int, str, str]]:
        """Of the prefix and all around it, the longest first. What is around many is looked up once."""
        parent = self.base.parent(index)
        if parent == NONE:
            return self.base.ways(index)
        around = self._around.get(parent)
        if around is None:
            around = self._ways(parent)
            _keep(self._around, parent, around)
        return self.base.ways(index) + around

    def _ranked(self, place: int) -> tuple[tuple[int, str], ...]:
        """Kilometres and names of the sites that serve anybody and say where they stand, the nearest first; ``NEAR_MAX`` of them."""
        if self.geography is None or place == NONE:
            return ()
        found = self._near.get(place)
        if found is None:
            where = self.geography.coordinates(place)
            x, y, z = direction(*where)
            near = nsmallest(NEAR_MAX, [(-a * x - b * y - c * z, name) for a, b, c, name in self._open])
            found = tuple(sorted((distance_km(*self._placed[name], *where), name) for _, name in near))
            _keep(self._near, place, found)
        return found

    def _nearest(self, version: int, number: int) -> list[Candidate]:
        if self.geography is None:
            return []
        low, high = self.geography.intervals.span(version, number)
        length = WIDTH[version] - min(
            (number ^ (low - 1)).bit_length() - 1 if low else WIDTH[version],
            (number ^ high).bit_length() - 1 if high < 1 << WIDTH[version] else WIDTH[version],
        )
        shift = WIDTH[version] - length
        prefix = str(Prefix(version, number >> shift << shift, length))
        ranked = self._ranked(self.geography.place(version, number))
        return [Candidate(site=site, source=GEOGRAPHY, prefix=prefix, distance_km=float(km)) for km, site in ranked]


def _keep(cache: dict[Key, Value], key: Key, value: Value) -> None:
    if len(cache) >= CACHED_MAX:
        cache.clear()
    cache[key] = value
