"""The prefixes of two tables laid over each other once, and what each table tells of them, as flat arrays.

What lies within the regions asked for is taken from both tables, with what holds it: so a small change costs little in a large table.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearcast.model.site import Site
from nearcast.steering.routes.base import CONFIG, NONE, Base
from nearcast.steering.routes.compile import I32, U8, U32, U64, Index, nested, placed
from nearcast.steering.routes.prefix import WIDTH, Prefix
from nearcast.steering.routes.table import Table

Flags = NDArray[np.bool_]
_LOW = (1 << 64) - 1
_NOBODY, _OPEN, _UNHEARD = -1, -1, -2
"""No site that serves; a site in no ISP's network; one in the network of an ISP that tells nothing."""


class Forest(NamedTuple):
    """Prefixes of one family by number and length. ``parent``: the longest around each (or NONE). Disjoint intervals cover all
    addresses: where they start, and their longest prefix (or NONE). ``within``: prefixes in a region."""

    version: int
    high: U64
    low: U64
    length: U8
    parent: U32
    start_high: U64
    start_low: U64
    owner: U32
    within: Flags

    @property
    def levels(self) -> list[Index]:
        """Prefixes in no other, then those within them, and so on."""
        depth = np.zeros(len(self.length), dtype=np.uint8)
        above = self.parent
        while (inside := above != NONE).any():
            depth += inside
            above = np.where(inside, self.parent[np.where(inside, above, 0)], np.uint32(NONE))
        return [np.flatnonzero(depth == each) for each in range(int(depth.max(initial=0)) + 1)]


class Ways(NamedTuple):
    """What one table tells of the forest's prefixes: prefix ``i`` has ``site[first[i]:first[i + 1]]``, best first (-1: serves nobody)."""

    first: Index
    site: I32


class _Part(NamedTuple):
    """Where prefixes of one origin, by their numbers there, stand in the forest."""

    rows: Index
    at: Index


def planted(version: int, tables: Sequence[Table], regions: Sequence[Prefix]) -> tuple[Forest, list[tuple[_Part, _Part]]]:
    """The forest of both tables, and for each of them where its base's prefixes and its changed ones stand."""
    bases = {id(each.base): _within(each.base, version, regions) for each in tables}
    changed = [[each for each in table.overlay.changed if each.version == version] for table in tables]
    chosen = [_chosen(each, regions) for each in changed]
    parts = [_columns(table.base, bases[id(table.base)]) for table in _distinct(tables)]
    parts += [_split([each[index] for index in wanted]) for each, wanted in zip(changed, chosen, strict=True)]
    parts.append(_split(regions))
    (high, low, length), places = _merged(version, parts)
    start_high, start_low, owner, parent = nested(high, low, length, WIDTH[version])
    forest = Forest(version, high, low, length, parent, start_high, start_low, owner, np.zeros(len(length), dtype=bool))
    forest.within[places[-1]] = True
    for level in forest.levels[1:]:
        forest.within[level] |= forest.within[parent[level]]
    at = dict(zip((id(each.base) for each in _distinct(tables)), places, strict=False))
    over = places[len(at) : len(at) + len(tables)]
    return forest, [
        (_Part(bases[id(table.base)], at[id(table.base)]), _Part(np.array(wanted, dtype=np.intp), where))
        for table, wanted, where in zip(tables, chosen, over, strict=True)
    ]


def ways_of(table: Table, forest: Forest, parts: tuple[_Part, _Part], sites: Mapping[str, Site], numbers: Mapping[str, int]) -> Ways:
    """What the table tells of each prefix. ``sites`` are those that serve, ``numbers`` what stands for their names."""
    (index, at), (wanted, over) = parts
    base, changed = table.base, [each for each in table.overlay if each.prefix.version == forest.version]
    stays = np.ones(len(forest.length), dtype=bool)
    stays[over] = False
    index, at = index[stays[at]], at[stays[at]]
    arrays = {name: np.asarray(base.arrays[name]) for name in ("first", "site", "source")}
    first = arrays["first"].astype(np.intp)
    rows = ranges(first[index], first[index + 1])
    number = np.array([numbers.get(each.name, _NOBODY) if each.name in sites else _NOBODY for each in base.sites] + [_NOBODY])
    network = np.array([_network(sites.get(each.name), base) for each in base.sites] + [_OPEN])
    site, source = arrays["site"][rows], arrays["source"][rows]
    told = [(where, entry) for where, each in zip(over.tolist(), wanted.tolist(), strict=True) for entry in changed[each].entries]
    prefix = np.concatenate([np.repeat(at, first[index + 1] - first[index]), np.array([where for where, _ in told], dtype=np.intp)])
    heard = [numbers.get(entry.site, _NOBODY) if entry.site in sites else _NOBODY for _, entry in told]
    named = np.concatenate([number[site], np.array(heard, dtype=np.intp)]).astype(np.int32)
    good = [
        entry.source in (CONFIG, sites[entry.site].isp) or not sites[entry.site].isp if entry.site in sites else True for _, entry in told
    ]
    valid = np.concatenate([(network[site] == _OPEN) | (source == 0) | (network[site] == source), np.array(good, dtype=bool)])
    order = np.argsort(prefix, kind="stable")
    counts = np.bincount(prefix, minlength=len(forest.length))
    ways = Ways(np.concatenate([[0], np.cumsum(counts)]), named[order])
    _announced(forest, ways, prefix[order], valid[order])
    return ways


def _network(site: Site | None, base: Base) -> int:
    """The number of the ISP in whose network it stands, among the base's sources."""
    if site is None or not site.isp:
        return _OPEN
    return base.sources.index(site.isp) if site.isp in base.sources else _UNHEARD


def _announced(forest: Forest, ways: Ways, prefix: Index, valid: Flags) -> None:
    """A site in an ISP's network that somebody else names counts only where its ISP or the configuration names it as well, further out."""
    for row in np.flatnonzero(~valid & (ways.site != _NOBODY)).tolist():
        site, here = ways.site[row], int(prefix[row])
        while here != NONE:
            rows = slice(ways.first[here], ways.first[here + 1])
            if (valid[rows] & (ways.site[rows] == site)).any():
                break
            here = int(forest.parent[here])
        else:
            ways.site[row] = _NOBODY


# --- which prefixes ---------------------------------------------------------------------------------------------------


def _distinct(tables: Sequence[Table]) -> list[Table]:
    """One for each base."""
    return list({id(each.base): each for each in tables}.values())


def _within(base: Base, version: int, regions: Sequence[Prefix]) -> Index:
    """Of the base's prefixes those in the regions, and those around them."""
    spans = [(_behind(base, version, each.number), _behind(base, version, each.end)) for each in regions]
    around = {index for each in regions for index in base.chain(base.intervals.owner(version, each.number))}
    inside = ranges(*np.array(spans, dtype=np.intp).reshape(-1, 2).T)
    return np.union1d(inside, np.array(sorted(around), dtype=np.intp)) if around else inside


def _behind(base: Base, version: int, number: int) -> int:
    """How many of the base's prefixes come before the number."""
    arrays, fours = base.arrays, bisect_right(base.arrays["version"], 4)
    if version == 4:
        return bisect_left(arrays["low"], number, 0, fours)
    low, high = bisect_left(arrays["high"], number >> 64, fours), bisect_right(arrays["high"], number >> 64, fours)
    return bisect_left(arrays["low"], number & _LOW, low, high)


def _chosen(prefixes: Sequence[Prefix], regions: Sequence[Prefix]) -> list[int]:
    """Of the prefixes those in a region, and those that hold one. The regions are disjoint, and in order."""
    starts = [each.number for each in regions]
    found = []
    for index, each in enumerate(prefixes):
        at = bisect_left(starts, each.number)
        if (at < len(starts) and starts[at] < each.end) or (at and each.end <= regions[at - 1].end):
            found.append(index)
    return found


def _columns(base: Base, index: Index) -> tuple[U64, U64, U8]:
    arrays = base.arrays
    return np.asarray(arrays["high"])[index], np.asarray(arrays["low"])[index], np.asarray(arrays["length"])[index]


def _split(prefixes: Sequence[Prefix]) -> tuple[U64, U64, U8]:
    return (
        np.array([each.number >> 64 for each in prefixes], dtype=np.uint64),
        np.array([each.number & _LOW for each in prefixes], dtype=np.uint64),
        np.array([each.length for each in prefixes], dtype=np.uint8),
    )


def _merged(version: int, parts: Sequence[tuple[U64, U64, U8]]) -> tuple[tuple[U64, U64, U8], list[Index]]:
    """All prefixes by number and length, each once, and of each part where they stand now."""
    high, low, length = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(low << np.uint64(8) | length, kind="stable") if version == 4 else np.lexsort((length, low, high))
    columns = high[order], low[order], length[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.logical_or.reduce([each[1:] != each[:-1] for each in columns])
    at = placed(order, np.cumsum(new) - 1)
    high, low, length = (each[new] for each in columns)
    return (high, low, length), np.split(at, np.cumsum([len(each[0]) for each in parts])[:-1])


def ranges(start: Index, end: Index) -> Index:
    """All indices of all ranges."""
    spans = end - start
    return np.repeat(start - (np.cumsum(spans) - spans), spans) + np.arange(spans.sum())
