"""Which sites a session would be given if all were well, for all prefixes of a table at once. Pure NumPy.

The rule is that of ``rank.distinct`` over the sites of a route: the best, then one for each further failure domain, then others. A
list that tells so much keeps of a ranking the first site of each of ``GIVEN`` domains and ``SPARES`` others: what is left out of a list
is never given where it stands behind other sites either, so that lists of longer prefixes are made from those around them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nearcast.model.site import Site
from nearcast.steering.routes.base import NONE
from nearcast.steering.routes.compile import I32, Index
from nearcast.steering.routes.forest import Flags, Forest, Ways, ranges
from nearcast.steering.routes.geographic import EARTH_KM, Geography, direction
from nearcast.steering.routes.table import NEAR_MAX

GIVEN = 3
"""So many sites of a ranking are compared: as many as a session is given."""
SPARES = GIVEN - 1
NOBODY = -1
PART = 100_000
"""So many ranges, or rankings, are worked out at once: all of them would take several times the memory that their results do."""
_CHUNK = 2_000
"""Places that are held against all sites at once: 16 MB at a thousand sites."""


class Lists:
    """So many rankings as far as they tell who is given. ``domain``: the failure domain of each site, as a number."""

    def __init__(self, count: int, domain: I32) -> None:
        self._domain = domain
        self.sites: I32 = np.full((count, GIVEN + SPARES), NOBODY, dtype=np.int32)
        self._domains: I32 = self.sites.copy()
        self._count: NDArray[np.int8] = np.zeros(count, dtype=np.int8)
        self._leaders: NDArray[np.int8] = np.zeros(count, dtype=np.int8)

    def at(self, rows: Index) -> Lists:
        """A copy of these rows."""
        other = Lists(0, self._domain)
        other.sites, other._domains = self.sites[rows], self._domains[rows]
        other._count, other._leaders = self._count[rows], self._leaders[rows]
        return other

    def clear(self, rows: Index) -> None:
        self.sites[rows] = self._domains[rows] = NOBODY
        self._count[rows] = self._leaders[rows] = 0

    def put(self, rows: Index, sites: I32) -> None:
        """One site behind each of these rankings, NOBODY behind some. No row twice."""
        open_ = (self._leaders[rows] < GIVEN) & (sites != NOBODY)
        rows, sites = rows[open_], sites[open_]
        domains = self._domain[sites]
        taken = (self._domains[rows] == domains[:, None]).any(axis=1)
        spares = self._count[rows] - self._leaders[rows]
        fits = ~taken | ((spares < SPARES) & (self.sites[rows] != sites[:, None]).all(axis=1))
        rows, sites, domains, taken = rows[fits], sites[fits], domains[fits], taken[fits]
        at = self._count[rows]
        self.sites[rows, at], self._domains[rows, at] = sites, domains
        self._count[rows] += 1
        self._leaders[rows] += ~taken

    def put_all(self, rows: Index, sites: NDArray[np.int32]) -> None:
        """A whole ranking behind each, a row of ``sites``."""
        for column in range(sites.shape[1]):
            self.put(rows, sites[:, column])

    def given(self) -> I32:
        """``GIVEN`` sites of each, best first, then NOBODY."""
        found = self.sites[:, :GIVEN].copy()
        mixed = np.flatnonzero(self._count > self._leaders)
        sites, domains = self.sites[mixed], self._domains[mixed]
        late = np.zeros(sites.shape, dtype=np.int8)
        for column in range(1, sites.shape[1]):
            late[:, column] = (domains[:, :column] == domains[:, column, None]).any(axis=1)
        late[sites == NOBODY] = 2
        found[mixed] = np.take_along_axis(sites, np.argsort(late, axis=1, kind="stable")[:, :GIVEN], axis=1)
        return found


def lists_of(forest: Forest, levels: list[Index], ways: Ways, domain: I32, known: tuple[Lists, Flags] | None = None) -> Lists:
    """Of each prefix: what it has, then what is around it but for the default; and an empty one. ``known``: what holds but where flagged,
    and is made anew there."""
    lists, dirty = known or (Lists(len(forest.length) + 1, domain), np.ones(len(forest.length), dtype=bool))
    rows = np.flatnonzero(dirty)
    lists.clear(rows)
    turn = 0
    while len(rows):
        rows = rows[ways.first[rows] + turn < ways.first[rows + 1]]
        lists.put(rows, ways.site[ways.first[rows] + turn])
        turn += 1
    for level in levels[1:]:
        rows = level[dirty[level]]
        rows = rows[forest.length[forest.parent[rows]] > 0]
        lists.put_all(rows, lists.sites[forest.parent[rows]])
    return lists


def differing(forest: Forest, levels: list[Index], one: Ways, other: Ways) -> Flags:
    """Prefixes whose lists may differ, as the ways to them or to what is around them do."""
    counts, others = np.diff(one.first), np.diff(other.first)
    found: Flags = counts != others
    same = np.flatnonzero(~found)
    left, right = (ranges(each.first[same], each.first[same + 1]) for each in (one, other))
    found[np.repeat(same, counts[same])[one.site[left] != other.site[right]]] = True
    for level in levels[1:]:
        parent = forest.parent[level]
        found[level] |= found[parent] & (forest.length[parent] > 0)
    return found


def ranked(forest: Forest, lists: Lists, owner: Index, near: I32 | None) -> I32:
    """Who is given where ``owner`` (an index, or NONE) is the longest prefix: what it and the prefixes around it have, then what is
    ``near`` (a row for each owner), then the default."""
    found: I32 = np.empty((len(owner), GIVEN), dtype=np.int32)
    for start in range(0, len(owner), PART):
        part = slice(start, start + PART)
        found[part] = _ranked(forest, lists, owner[part], None if near is None else near[part])
    return found


def _ranked(forest: Forest, lists: Lists, owner: Index, near: I32 | None) -> I32:
    empty = len(forest.length)
    default = np.append(forest.length == 0, False)
    used = np.minimum(owner, empty)
    found = lists.at(np.where(default[used], empty, used))
    everyone = np.arange(len(owner))
    if near is not None:
        found.put_all(everyone, near)
    for each in np.flatnonzero(default).tolist():
        found.put_all(everyone, np.broadcast_to(lists.sites[each], (len(owner), lists.sites.shape[1])))
    return found.given()


def nearest(geography: Geography, places: Index, sites: Mapping[str, Site], numbers: Mapping[str, int]) -> I32:
    """Of each place (an index, or NONE) the sites that serve anybody, the nearest first, as the table ranks them; then NOBODY."""
    placed = sorted(name for name, site in sites.items() if not site.isp and site.latitude is not None and site.longitude is not None)
    number = np.array([numbers[name] for name in placed], dtype=np.int32)
    width = min(NEAR_MAX, len(placed))
    found: I32 = np.full((len(places), width), NOBODY, dtype=np.int32)
    known = np.flatnonzero(places != NONE)
    if not width:
        return found
    degrees = np.array([(sites[name].latitude, sites[name].longitude) for name in placed], dtype=float)
    vectors = np.array([direction(*each) for each in degrees.tolist()])
    for start in range(0, len(known), _CHUNK):
        rows = known[start : start + _CHUNK]
        where = np.array([geography.coordinates(each) for each in places[rows].tolist()])
        towards = np.array([direction(*each) for each in where.tolist()])
        close = np.sort(np.argpartition(-(towards @ vectors.T), width - 1, axis=1)[:, :width], axis=1)
        order = np.argsort(_kilometres(degrees[close], where[:, None]), axis=1, kind="stable")
        found[rows] = number[np.take_along_axis(close, order, axis=1)]
    return found


def _kilometres(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole kilometres of great circles (haversine), of points in degrees north and east along the last axis."""
    (phi, lam), (other_phi, other_lam) = np.moveaxis(np.radians(one), -1, 0), np.moveaxis(np.radians(other), -1, 0)
    half = np.sin((other_phi - phi) / 2) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin((other_lam - lam) / 2) ** 2
    found: NDArray[np.float64] = np.rint(2 * EARTH_KM * np.arcsin(np.minimum(1.0, np.sqrt(half))))
    return found
