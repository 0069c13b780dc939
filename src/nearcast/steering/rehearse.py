"""Who would move if sites, ISPs or routes changed: two tables compared. Pure.

Both tables' prefixes are laid over each other once (``forest``), so that between two boundaries nothing changes in either; who would be
given to a session there is worked out for all prefixes at once (``given``). Viewers move when those sites differ, in kind or in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

import numpy as np

from nearcast.model.route import Announcement
from nearcast.model.services import Moved
from nearcast.model.site import Site
from nearcast.steering import rank
from nearcast.steering.cidr import Blocks, blocks, blocks_of
from nearcast.steering.given import NOBODY, PART, Lists, differing, lists_of, nearest, ranked
from nearcast.steering.routes import Prefix, Table
from nearcast.steering.routes.base import NONE
from nearcast.steering.routes.compile import I32, U64, Index, distinct
from nearcast.steering.routes.forest import Flags, Forest, planted, ways_of
from nearcast.steering.routes.prefix import WIDTH

ALL = (Prefix(4, 0, 0), Prefix(6, 0, 0))
SUBNET = 64
"""IPv6 is counted in networks of this length: one of them is a household."""
_ONE, _LAST = np.uint64(1), np.uint64((1 << 64) - 1)

Wanted = Callable[[], None]


class World(NamedTuple):
    """A table, and the sites that serve by it."""

    table: Table
    sites: Mapping[str, Site]


class Difference(NamedTuple):
    """What changes the table from one set of announcements to another."""

    announce: tuple[Announcement, ...]
    withdraw: tuple[Announcement, ...]


class Movement(NamedTuple):
    """``moved``: the largest first, at most as many as were asked for, of ``total`` prefixes."""

    moved: tuple[Moved, ...]
    total: int


class _Runs(NamedTuple):
    """Ranges of addresses of one family, first to last, and who is given there before and after: rows of three sites."""

    version: int
    first_high: U64
    first_low: U64
    last_high: U64
    last_low: U64
    before: I32
    after: I32


class _Found(NamedTuple):
    """One of those that move."""

    prefix: Prefix
    before: tuple[int, ...]
    after: tuple[int, ...]


def difference(before: Iterable[Announcement], after: Iterable[Announcement]) -> Difference:
    """Of announcements with the same prefix, site and source the last counts."""
    old = {(each.prefix, each.site, each.source): each for each in before}
    new = {(each.prefix, each.site, each.source): each for each in after}
    return Difference(
        tuple(each for key, each in new.items() if old.get(key) != each),
        tuple(each for key, each in old.items() if key not in new),
    )


def movement(before: World, after: World, changed: Iterable[Prefix], limit: int, wanted: Wanted = lambda: None) -> Movement:
    """Who would move below ``changed``. ``wanted`` is called now and then; what it raises ends the work."""
    names = sorted({*before.sites, *after.sites})
    numbers = {name: number for number, name in enumerate(names)}
    regions = outermost(changed)
    found: list[_Found] = []
    total = 0
    for version in WIDTH:
        here = [each for each in regions if each.version == version]
        if here:
            count, largest = _largest(_runs(version, before, after, here, numbers, wanted), limit)
            found, total = found + largest, total + count
            wanted()
    # A household is an address of IPv4 and a /64 of IPv6: the one weighs as much as the other.
    chosen = nlargest(limit, found, key=lambda each: addresses(each.prefix))
    return Movement(
        tuple(
            Moved(
                prefix=str(each.prefix),
                addresses=addresses(each.prefix),
                before=tuple(names[site] for site in each.before if site != NOBODY),
                after=tuple(names[site] for site in each.after if site != NOBODY),
            )
            for each in chosen
        ),
        total,
    )


def outermost(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """Those that lie in no other, in order."""
    found: list[Prefix] = []
    for each in sorted(prefixes, key=lambda each: (each.version, each.number, each.length)):
        if not found or each.version != found[-1].version or each.number >= found[-1].end:
            found.append(each)
    return found


def addresses(prefix: Prefix) -> float:
    """How many households it has room for: addresses of IPv4, networks of length 64 of IPv6."""
    return 2.0 ** ((32 if prefix.version == 4 else SUBNET) - prefix.length)


# --- who moves --------------------------------------------------------------------------------------------------------


def _runs(version: int, before: World, after: World, regions: Sequence[Prefix], numbers: Mapping[str, int], wanted: Wanted) -> _Runs:
    """Ranges whose clients would move alike, neighbours joined."""
    forest, parts = planted(version, (before.table, after.table), regions)
    wanted()
    levels = forest.levels
    ways = [ways_of(world.table, forest, part, world.sites, numbers) for world, part in zip((before, after), parts, strict=True)]
    domain, domain_after = _domains(before, numbers), _domains(after, numbers)
    wanted()
    lists = lists_of(forest, levels, ways[0], domain)
    wanted()
    high, low, owner, places = _intervals(forest, before, after)
    old = _given(forest, lists, owner, places[0], before, numbers)
    wanted()
    known = (lists, differing(forest, levels, *ways)) if np.array_equal(domain, domain_after) else None
    lists = lists_of(forest, levels, ways[1], domain_after, known)
    new = _given(forest, lists, owner, places[1], after, numbers)
    del lists, known, ways, parts  # as much again as what is joined now
    wanted()
    within = np.append(forest.within, False)[np.minimum(owner, len(forest.length))]
    return _joined(version, high, low, within, old, new)


def _domains(world: World, numbers: Mapping[str, int]) -> I32:
    """The failure domain of each site by its number; a site that does not serve has one of its own."""
    names = {name: rank.domain(world.sites[name]) if name in world.sites else "" for name in numbers}
    index = {each: at for at, each in enumerate(dict.fromkeys(names.values()))}
    return np.array([index[names[name]] for name in numbers], dtype=np.int32)


def _intervals(forest: Forest, before: World, after: World) -> tuple[U64, U64, Index, tuple[Index | None, Index | None]]:
    """Where intervals start within which nothing changes, with their longest prefix, and their place in each table's geography."""
    geographies = [world.table.geography for world in (before, after)]
    starts, owners = [(forest.start_high, forest.start_low)], [forest.owner.astype(np.intp)]
    for each in geographies:
        if each is not None:
            arrays = {name: np.asarray(array) for name, array in each.arrays.items()}
            low = arrays["start_4"].astype(np.uint64) if forest.version == 4 else arrays["start_low_6"]
            starts.append((np.zeros_like(low) if forest.version == 4 else arrays["start_high_6"], low))
            owners.append(arrays[f"owner_{forest.version}"].astype(np.intp))
    if len(starts) == 1:
        return forest.start_high, forest.start_low, owners[0], (None, None)
    high, low = (np.concatenate(each) for each in zip(*starts, strict=True))
    order = np.lexsort((low, high)) if forest.version == 6 else np.argsort(low, kind="stable")
    high, low = high[order], low[order]
    new = np.append(True, (high[1:] != high[:-1]) | (low[1:] != low[:-1]))
    which = np.repeat(np.arange(len(starts)), [len(each) for each in owners])[order]
    at = np.cumsum(new) - 1
    filled = []
    for number, found in enumerate(owners):
        begins = np.zeros(int(new.sum()), dtype=np.intp)
        begins[at[which == number]] = 1
        filled.append(found[np.cumsum(begins) - 1])
    places = iter(filled[1:])
    first, second = (None if each is None else next(places) for each in geographies)
    return high[new], low[new], filled[0], (first, second)


def _given(forest: Forest, lists: Lists, owner: Index, place: Index | None, world: World, numbers: Mapping[str, int]) -> I32:
    """Who is given in each interval; worked out once for each prefix and place."""
    geography = world.table.geography
    if place is None or geography is None:
        nowhere = len(forest.length)
        pairs, at = distinct(np.minimum(owner, nowhere), nowhere + 1)
        return ranked(forest, lists, pairs, None)[at]
    keys, at = np.unique(owner << 32 | place, return_inverse=True)
    places, where = np.unique(keys & NONE, return_inverse=True)
    near = nearest(geography, places, world.sites, numbers)[where]
    return ranked(forest, lists, keys >> 32, near)[at]


def _joined(version: int, high: U64, low: U64, within: Flags, old: I32, new: I32) -> _Runs:
    moves = np.flatnonzero(within & (old != new).any(axis=1))
    follows = np.append(False, (moves[1:] == moves[:-1] + 1) & _same(old, moves) & _same(new, moves)) if len(moves) else moves > 0
    first, last = moves[~follows], moves[np.append(~follows[1:], True)] if len(moves) else moves
    behind = np.minimum(last + 1, len(low) - 1)
    end_high, end_low = high[behind], low[behind]
    borrow = (end_low == 0).astype(np.uint64)
    last_high, last_low = end_high - borrow, end_low - _ONE
    ends = last == len(low) - 1  # where all addresses end
    last_high = np.where(ends, np.uint64(0) if version == 4 else _LAST, last_high)
    last_low = np.where(ends, np.uint64((1 << 32) - 1) if version == 4 else _LAST, last_low)
    return _Runs(version, high[first], low[first], last_high, last_low, old[first], new[first])


def _same(rows: I32, chosen: Index) -> Flags:
    """Whether each of the chosen rows but the first is as the one before it."""
    same: Flags = (rows[chosen[1:]] == rows[chosen[:-1]]).all(axis=1)
    return same


# --- in prefixes ------------------------------------------------------------------------------------------------------


def _largest(runs: _Runs, limit: int) -> tuple[int, list[_Found]]:
    """How many prefixes the ranges are, and the largest of them."""
    version = runs.version
    if version == 4:
        whole, first, last, shift = np.ones(len(runs.first_low), dtype=bool), runs.first_low, runs.last_low, 0
    else:
        whole = (runs.first_low == 0) & (runs.last_low == _LAST)
        first, last, shift = runs.first_high[whole], runs.last_high[whole], 64
    total, made = _blocks(first, last, limit)
    width, rows = WIDTH[version] - shift, np.flatnonzero(whole)
    found = [
        (Prefix(version, start << shift, width - power), int(rows[at]))
        for start, power, at in zip(made.start.tolist(), made.power.tolist(), made.range.tolist(), strict=True)
    ]
    for row in np.flatnonzero(~whole).tolist():  # longer than a /64: few, and never told by an ISP unless its allow list names it
        here = list(
            blocks(
                version,
                int(runs.first_high[row]) << 64 | int(runs.first_low[row]),
                (int(runs.last_high[row]) << 64 | int(runs.last_low[row])) + 1,
            )
        )
        total += len(here)
        found += [(each, row) for each in here]
    return total, [_Found(prefix, tuple(runs.before[row].tolist()), tuple(runs.after[row].tolist())) for prefix, row in found]


def _blocks(first: U64, last: U64, limit: int) -> tuple[int, Blocks]:
    """How many blocks the ranges are, and the largest of them. A range is some five blocks: not all of them are held at once."""
    total, largest = 0, blocks_of(first[:0], last[:0])
    for start in range(0, len(first), PART):
        made = blocks_of(first[start : start + PART], last[start : start + PART])
        total += len(made.start)
        starts, powers = np.append(largest.start, made.start), np.append(largest.power, made.power)
        order = np.lexsort((starts, -powers))[:limit]
        largest = Blocks(starts[order], powers[order], np.append(largest.range, made.range + start)[order])
    return total, largest
