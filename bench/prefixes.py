"""Prefixes like those of the global routing table, seeded: their lengths, how they nest, and who announces them.

Shares of the lengths are roughly those that route collectors have seen for years (of IPv4 some 60 % are /24 and 11 % /22, of IPv6
nearly half are /48). About half of all prefixes are drawn within another one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
Small = NDArray[np.uint8]

SHARES_4 = {8: 0.00002, 11: 0.0001, 12: 0.0003, 13: 0.0006, 14: 0.0012, 15: 0.002, 16: 0.0135, 17: 0.0085, 18: 0.0145, 19: 0.027}
SHARES_4 |= {20: 0.046, 21: 0.053, 22: 0.115, 23: 0.108, 24: 0.61}
SHARES_6 = {20: 0.0001, 24: 0.0005, 28: 0.002, 29: 0.03, 32: 0.125, 33: 0.02, 34: 0.01, 36: 0.035, 38: 0.01, 40: 0.11, 42: 0.02}
SHARES_6 |= {44: 0.11, 45: 0.01, 46: 0.025, 47: 0.025, 48: 0.46, 52: 0.002, 56: 0.003, 64: 0.0024}
NESTED = 0.5


def generate(source: np.random.Generator, count: int, family: int) -> tuple[Numbers, Small]:
    """``count`` different prefixes: their first 64 bits (IPv4: their 32 bits) and their lengths, sorted."""
    bits, shares = (32, SHARES_4) if family == 4 else (64, SHARES_6)
    lengths = np.array(list(shares), dtype=np.uint8)
    weights = np.array(list(shares.values()))
    found = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint8)
    while len(found[0]) < count:
        more = int((count - len(found[0])) * 1.3) + 64
        length = source.choice(lengths, more, p=weights / weights.sum())
        # IPv4: the blocks that are routed at all (1/8 to 223/8); IPv6: 2000::/4.
        low, high = (1 << 24, 224 << 24) if family == 4 else (2 << 60, 3 << 60)
        number = source.integers(low, high, more, dtype=np.uint64)
        if len(found[0]):
            inside = np.flatnonzero(source.random(more) < NESTED)
            outer = source.integers(0, len(found[0]), len(inside))
            room = np.left_shift(np.uint64(1), (bits - found[1][outer]).astype(np.uint64)) - np.uint64(1)
            number[inside] = found[0][outer] | (source.integers(0, 1 << 63, len(inside), dtype=np.uint64) & room)
        shift = (bits - length).astype(np.uint64)
        number = (number >> shift) << shift
        both = np.concatenate([found[0], number]), np.concatenate([found[1], length])
        _, first = np.unique(_key(*both), return_index=True)
        if len(first) > count:
            first = source.permutation(first)[:count]
        found = both[0][first], both[1][first]
        order = np.lexsort((found[1], found[0]))
        found = found[0][order], found[1][order]
    return found


def _key(number: Numbers, length: Small) -> Numbers:
    """A number for each prefix. Two that share one, which hardly happens, cost one of them its place, and another is drawn."""
    return number * np.uint64(67) + length.astype(np.uint64)
