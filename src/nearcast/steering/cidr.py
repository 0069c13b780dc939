"""Ranges of addresses in the fewest prefixes, many at once. Pure NumPy, on numbers of 64 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nearcast.steering.routes.compile import U64, Index
from nearcast.steering.routes.prefix import WIDTH, Prefix

_ONE = np.uint64(1)


class Blocks(NamedTuple):
    """``start`` and size, ``2 ** power``, of each, and from which range it is."""

    start: U64
    power: Index
    range: Index


def blocks(version: int, low: int, high: int) -> Iterator[Prefix]:
    """``low`` up to but not with ``high`` in the fewest prefixes."""
    width = WIDTH[version]
    while low < high:
        size = low & -low if low else 1 << width
        while size > high - low:
            size >>= 1
        yield Prefix(version, low, width - size.bit_length() + 1)
        low += size


def blocks_of(first: U64, last: U64) -> Blocks:
    """The same of many ranges, with their ``last`` numbers, round by round: one block of each that is not used up."""
    ranges = np.arange(len(first))
    found = []
    while len(ranges):
        left = last - first  # one less than what is left, which may be 2 ** 64
        whole = (left & (left + _ONE)) == 0
        power = np.minimum(_zeros(first), _bits(left) - ~whole)
        found.append(Blocks(first, power, ranges))
        step = (_ONE << np.minimum(power, 63).astype(np.uint64)) - _ONE | np.where(power > 63, ~np.uint64(0), np.uint64(0))
        more = step != left
        first, last, ranges = (first + step + _ONE)[more], last[more], ranges[more]
    return Blocks(*map(np.concatenate, zip(*found, strict=True))) if found else Blocks(first, np.zeros(0, dtype=np.intp), ranges)


def _bits(numbers: U64) -> Index:
    """Bits that each takes: 0 for 0."""
    smeared = numbers.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        smeared |= smeared >> np.uint64(shift)
    return np.bitwise_count(smeared).astype(np.intp)


def _zeros(numbers: U64) -> Index:
    """How many bits at the end are 0: 64 for 0."""
    return np.bitwise_count(~numbers & (numbers - _ONE)).astype(np.intp)
