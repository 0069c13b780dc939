"""Which appliances a title belongs to: weighted rendezvous hashing with bounded loads. Pure, the same on every machine.

Rendezvous hashing (Thaler and Ravishankar 1996) weighted by -w / ln h (Schindelhauer and Schomaker, SPAA 2005): an appliance is a
title's first choice in proportion to its weight, and one that comes or goes moves only the titles that it gets or had. What would
load an appliance beyond its bound goes to its next choice (bounded loads: Mirrokni, Thorup, Zadimoghaddam, SODA 2018).
Arrays throughout, titles down and appliances across; a title's place in them is its rank: earlier ones choose first.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_WORD = 0xFFFFFFFFFFFFFFFF
BATCH = 1
"""So many titles choose at once at first: those in most demand go one by one, all of their copies before the next title."""


def keys(names: Iterable[str]) -> Keys:
    """64 bits for each name, the same everywhere."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def preference(titles: Keys, appliances: Keys, weights: Floats) -> Ints:
    """For each title (row) the appliances by index, best first. ``weights``: positive, in any unit."""
    mixed = titles[:, None] ^ appliances[None, :]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64's finalizer (Steele et al. 2014)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.argsort(-np.log(uniform) / weights[None, :], axis=1, kind="stable")


def first_fit(loads: Floats, rooms: Floats) -> Bools:
    """Which of ``loads`` (resources × things, in order) go into ``rooms`` (one for each resource) when each that fits is taken."""
    taken = np.zeros(loads.shape[1], dtype=np.bool_)
    left = rooms.tolist()
    waiting = np.arange(loads.shape[1])
    while True:
        for row, room in zip(loads, left, strict=True):
            waiting = waiting[row[waiting] <= room]
        if not len(waiting):
            return taken
        filled = [np.cumsum(row[waiting]) for row in loads]
        count = min(int(np.searchsorted(row, room, side="right")) for row, room in zip(filled, left, strict=True))
        taken[waiting[:count]] = True
        left = [room - float(row[count - 1]) for row, room in zip(filled, left, strict=True)]
        waiting = waiting[count:]


def assign(preferred: Ints, copies: Ints, loads: Floats, rooms: Floats, held: Bools | None = None) -> Bools:
    """Titles × appliances: each title gets up to ``copies`` appliances, as far down its ``preferred`` ones as it must go for room.

    ``loads`` (resources × titles) is what one copy takes, ``rooms`` (resources × appliances) what is left beside those already ``held``.
    Titles come in batches, each as large as all before it. All of a batch try their first choice, then those that still want copies
    their second, and so on; at each appliance the earlier title goes first.
    """
    held = np.zeros(preferred.shape, dtype=np.bool_) if held is None else held.copy()
    left = rooms.astype(np.float64)
    wanted = np.minimum(copies, preferred.shape[1]) - held.sum(axis=1)
    waiting = np.flatnonzero(wanted > 0)
    first, size = 0, BATCH
    while first < len(waiting):
        batch = waiting[first : first + size]
        for choices in preferred.T:
            new = batch[~held[batch, choices[batch]]]
            asked = choices[new]
            for appliance in np.flatnonzero(np.bincount(asked, minlength=len(held.T))).tolist():
                mine = new[asked == appliance]
                taken = mine[first_fit(loads[:, mine], left[:, appliance])]
                held[taken, appliance] = True
                left[:, appliance] -= loads[:, taken].sum(axis=1)
                wanted[taken] -= 1
            batch = batch[wanted[batch] > 0]
            if not len(batch):
                break
        first += size
        size = first
    return held


def release(held: Bools, loads: Floats, bounds: Floats, preferred: Callable[[Ints], Ints]) -> None:
    """Take titles out of ``held`` (in place) until no appliance is above its ``bounds`` (resources × appliances).

    Those first that hashing puts elsewhere (``preferred`` gives the appliances of some titles, best first), and of these the ones that
    bring most of what is too much and least of what is not.
    """
    for appliance in range(held.shape[1]):
        bound = bounds[:, appliance]
        excess = loads @ held[:, appliance] - bound
        if (excess <= 0).all():
            continue
        mine = np.flatnonzero(held[:, appliance] & (loads > 0).any(axis=0))
        relief = np.where(excess > 0, 1.0, -1.0) @ (loads[:, mine] / np.maximum(bound, 1e-300)[:, None])
        mine = mine[np.lexsort((-relief, preferred(mine)[:, 0] == appliance))]
        enough = (np.cumsum(loads[:, mine], axis=1) >= excess[:, None]).all(axis=0)
        held[mine[: int(enough.argmax()) + 1 if enough.any() else len(mine)], appliance] = False


def bounded(
    titles: Keys, appliances: Keys, weights: Floats, loads: Floats, copies: Ints, balance: float, before: Bools | None = None
) -> Bools:
    """Titles × appliances such that no appliance's load is above ``balance`` times its fair share, by weight, of all loads.

    ``loads`` are of titles, spread evenly over their ``copies``; give them in falling order of load. A title whose single copy is more
    than a bound is still given a home: its first choice. With ``before`` titles stay where they were as far as the bounds let them, and
    whoever comes or goes moves its fair share; without, a little more moves, for who is pushed out pushes others out.
    """
    copies = np.minimum(copies, len(appliances))
    spread = (loads / copies)[None, :]
    bounds = (balance * loads.sum() * weights / weights.sum())[None, :]
    preferred = preference(titles, appliances, weights)
    held = np.zeros(preferred.shape, dtype=np.bool_) if before is None else before & (np.cumsum(before, axis=1) <= copies[:, None])
    release(held, spread, bounds, lambda some: preferred[some])
    held = assign(preferred, copies, spread, bounds - spread @ held, held)
    homeless = np.flatnonzero(~held.any(axis=1))
    held[homeless, preferred[homeless, 0]] = True
    return held


class Rendezvous:
    """A few appliances, for decisions that cannot wait for arrays to be made: one row of ``preference`` in a microsecond or two.

    Their keys stand side by side in one integer, 128 bits for each, so that a product of 64 by 64 bits fits and a handful of operations
    mixes the title with all of them at once.
    """

    __slots__ = ("_fractions", "_keys", "_less", "_ones", "_places", "_size_bytes", "_split", "_words")

    def __init__(self, appliances: Sequence[int], weights: Sequence[float]) -> None:
        self._keys = sum(each << 128 * place for place, each in enumerate(appliances))
        self._ones = sum(1 << 128 * place for place in range(len(appliances)))
        self._words = self._ones * _WORD
        self._fractions = self._ones * (_WORD >> 11)
        self._size_bytes = 16 * len(appliances)
        self._split = struct.Struct("<" + "Q8x" * len(appliances)).unpack
        self._places = range(len(appliances))
        self._less = [-each for each in weights]

    def costs(self, title: int) -> list[float]:
        """Of each appliance, by its place; the title belongs where it costs least."""
        words = self._words
        mixed = title * self._ones ^ self._keys
        mixed = (mixed ^ (mixed >> 30 & words)) * 0xBF58476D1CE4E5B9 & words
        mixed = (mixed ^ (mixed >> 27 & words)) * 0x94D049BB133111EB & words
        split = self._split(((mixed ^ (mixed >> 31 & words)) >> 11 & self._fractions).to_bytes(self._size_bytes, "little"))
        return [log((word + 0.5) * 2.0**-53) / less for word, less in zip(split, self._less)]  # noqa: B905  (as many, by construction)

    def preferred(self, title: int) -> list[int]:
        """The appliances by their places, best first."""
        return sorted(self._places, key=self.costs(title).__getitem__)


def preferred(title: int, appliances: Sequence[int], weights: Sequence[float]) -> list[int]:
    """One row of ``preference``."""
    return Rendezvous(appliances, weights).preferred(title)


def mixed(word: int) -> int:
    """64 bits, each of which depends on every one of ``word``: SplitMix64's finalizer."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


def key(name: str) -> int:
    """What ``keys`` gives for one name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
