"""From columns to the flat arrays of the route table. Pure NumPy: a million prefixes are no Python objects here.

Nested prefixes become disjoint intervals (the "ranges" of Lampson, Srinivasan and Varghese 1999), so that the longest prefix of an
address is one binary search away. Each interval points to its longest prefix, each prefix to the next shorter one that holds it
and to its entries, best first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
Index = NDArray[np.intp]

NONE = 0xFFFFFFFF
CONFIG = 0
"""Index of the source ``config``."""
_LONGEST_PATH = 0x7FFF
_FAR = 0x7FFFFFFF
_PART = 100_000
_ZERO = np.zeros(1, dtype=np.uint64)


class Columns(NamedTuple):
    """One row for each way to a prefix; (prefix, source, site) is unique.

    ``high``, ``low``: the 128 bits of an IPv6 address; an IPv4 address is in ``low``. ``site``: rank of its name among the sites.
    ``source``: CONFIG or higher. ``path``: index into Paths. ``km``: distance from the site to the prefix, negative: unknown.
    """

    version: U8
    high: U64
    low: U64
    length: U8
    site: U32
    source: U16
    path: U32
    med: U32
    order: U16
    km: I32


class Paths(NamedTuple):
    """AS paths: path ``i`` is ``numbers[first[i]:first[i + 1]]``."""

    first: U32
    numbers: U32


class Compiled(NamedTuple):
    """Intervals of each family: where they start, and their longest prefix (NONE: no prefix holds them). Prefixes: IPv4 before IPv6,
    each family by number and length; ``parent`` is the longest prefix around (or NONE). Prefix ``i`` has the entries
    ``first[i]:first[i + 1]``, best first."""

    start_4: U32
    owner_4: U32
    start_high_6: U64
    start_low_6: U64
    owner_6: U32
    version: U8
    high: U64
    low: U64
    length: U8
    parent: U32
    first: U32
    site: U32
    source: U16
    path: U32
    med: U32
    order: U16
    km: I32
    path_first: U32
    path_numbers: U32


def compiled(rows: Columns, paths: Paths) -> Compiled:
    """The table's arrays. Entries of a prefix are ranked: configured before announced (as a static route goes before BGP), then by the
    length of the AS path, MED, configured order, distance (unknown last), and name of the site."""
    lengths = np.minimum(np.diff(paths.first), _LONGEST_PATH).astype(np.uint64)
    order = _ranked(rows, lengths)
    rows = Columns._make(column[order] for column in rows)
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in (rows.version, rows.high, rows.low, rows.length)])
    first = np.flatnonzero(new)
    version, high, low, length = rows.version[first], rows.high[first], rows.low[first], rows.length[first]
    fours = int(np.count_nonzero(version == 4))
    _, start_4, owner_4, parent_4 = nested(high[:fours], low[:fours], length[:fours], 32)
    start_high, start_low, owner_6, parent_6 = nested(high[fours:], low[fours:], length[fours:], 128)
    return Compiled(
        start_4.astype(np.uint32),
        owner_4,
        start_high,
        start_low,
        _moved(owner_6, fours),
        version,
        high,
        low,
        length,
        np.concatenate([parent_4, _moved(parent_6, fours)]),
        np.append(first, len(order)).astype(np.uint32),
        *rows[4:],
        *paths,
    )


def _ranked(rows: Columns, path_lengths: U64) -> Index:
    """The order of rows by prefix, then by rank. Sort keys are packed into few numbers: each key is one pass."""
    km = np.where(rows.km < 0, _FAR, rows.km).astype(np.uint64)
    last = km << np.uint64(32) | rows.site
    announced = (rows.source != CONFIG).astype(np.uint64)
    ranks = announced << np.uint64(63) | path_lengths[rows.path] << np.uint64(48) | rows.med.astype(np.uint64) << np.uint64(16) | rows.order
    del announced, km
    four = rows.version == 4
    fours, sixes = np.flatnonzero(four), np.flatnonzero(~four)
    prefix = rows.low[fours] << np.uint64(8) | rows.length[fours]
    by_4 = np.lexsort((last[fours], ranks[fours], prefix))
    by_6 = np.lexsort((last[sixes], ranks[sixes], rows.length[sixes], rows.low[sixes], rows.high[sixes]))
    return np.concatenate([fours[by_4], sixes[by_6]])


def nested(high: U64, low: U64, length: U8, width: int) -> tuple[U64, U64, U32, U32]:
    """Disjoint intervals of prefixes sorted by number and length: their starts (high, low; the first is 0), the index of the longest
    prefix that holds each, and of each prefix the longest around it.

    The prefixes are laid over each other by length, the shortest first: those of one length never overlap. ``width`` is 32 or 128.
    """
    count = len(length)
    end_high, end_low, endless = _behind(high, low, length, width)
    starts_high, starts_low, at = _boundaries(np.concatenate([high, end_high, _ZERO]), np.concatenate([low, end_low, _ZERO]))
    start, end = at[:count], np.where(endless, len(starts_high), at[count : 2 * count])
    owner = np.full(len(starts_high), NONE, dtype=np.uint32)
    parent = np.full(count, NONE, dtype=np.uint32)
    for each in np.unique(length):
        here = np.flatnonzero(length == each)
        parent[here] = owner[start[here]]
        spans = end[here] - start[here]
        offsets = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        owner[np.repeat(start[here], spans) + offsets] = np.repeat(here, spans).astype(np.uint32)
    return starts_high, starts_low, owner, parent


def _behind(high: U64, low: U64, length: U8, width: int) -> tuple[U64, U64, NDArray[np.bool_]]:
    """The first address behind each prefix, and whether there is none because the prefix ends where all addresses end."""
    one = np.uint64(1)
    if width == 32:
        end = low + (one << (np.uint64(32) - length.astype(np.uint64)))
        endless = end >> np.uint64(32) != 0
        return np.zeros_like(high), np.where(endless, np.uint64(0), end), endless
    wide = length <= 64
    bits = length.astype(np.uint64)
    step_high = np.where(wide & (length > 0), one << (np.uint64(64) - np.clip(bits, 1, 64)), np.uint64(0))
    step_low = np.where(wide, np.uint64(0), one << (np.uint64(128) - np.clip(bits, 65, 128)))
    end_low = low + step_low  # wraps to 0 where the last 64 bits are used up
    carry = (~wide & (end_low == 0)).astype(np.uint64)
    end_high = high + step_high + carry
    return end_high, end_low, (end_high == 0) & (end_low == 0)


def _boundaries(high: U64, low: U64) -> tuple[U64, U64, Index]:
    """The different numbers, sorted, and of each given one its place among them."""
    order = np.lexsort((low, high)) if high.any() else np.argsort(low, kind="stable")
    sorted_high, sorted_low = high[order], low[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_high[1:] != sorted_high[:-1]) | (sorted_low[1:] != sorted_low[:-1])
    return sorted_high[new], sorted_low[new], placed(order, np.cumsum(new) - 1)


def placed(order: Index, numbers: Index) -> Index:
    """``numbers`` where ``order`` has them. In parts, since no other thread has its turn while NumPy puts one."""
    found = np.empty(len(order), dtype=np.intp)
    for start in range(0, len(order), _PART):
        part = slice(start, start + _PART)
        found[order[part]] = numbers[part]
    return found


def distinct(numbers: Index, count: int) -> tuple[Index, Index]:
    """The different ones of ``numbers`` (0 to below ``count``) in order, and which of these each is. ``np.unique`` would sort them all."""
    there = np.zeros(count, dtype=bool)
    there[numbers] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[numbers]


def _moved(indices: U32, by: int) -> U32:
    return np.where(indices == NONE, np.uint32(NONE), indices + np.uint32(by)).astype(np.uint32)
