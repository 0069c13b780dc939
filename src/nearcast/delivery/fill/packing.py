"""What one site holds, over arrays: which files, by value per byte, and which appliances hold each title. Pure.

A knapsack (content placement as such: Applegate et al., CoNEXT 2010) whose objects are small against the disk, so taking files in
falling order of bytes served per byte stored is as good as optimal (Dantzig 1957). A byte that is held already counts ``churn`` more:
of all plans that reach the same value, those that keep what is worth ``a`` and fetch what is worth ``a + churn`` move the least
(the dual of the same linear program, with a price on bytes moved).

Titles are split among a site's appliances by hashing, then each appliance takes the best of its own titles until its disk is full.
T titles, F files (sorted by title, and within it by falling share of its bytes per byte), A appliances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nearcast.policy import hashing
from nearcast.policy.hashing import Bools, Floats, Ints, Keys

PEAK_TO_MEAN = 2.5
"""The busiest minutes of a day over its mean: evenings carry most of the viewing."""
TITLE_LOAD_MAX = 0.25
"""A title that wants more than this share of an appliance's limit gets another copy."""
COPY_SLACK = 1.25
"""A copy goes only when this much more demand would not want it either."""
HEAD = 0.8
"""The titles that are asked for most, so much of all demand, are balanced by load; the many others by bytes alone, and load follows."""
LOAD_SLACK = 1.25
"""Titles are moved for the sake of load only when an appliance has so many times more than they would be assigned to it."""
SPARE = 0.02
"""What is left of a disk beyond this share is used for more copies."""
DAY_S = 86_400
SURVEYED = 1.2
"""Files are shared out until they would fill the site so many times over: an appliance's titles are seldom that uneven."""


class Library(NamedTuple):
    """What can be placed. ``yields``: share of its title's bytes that is asked of a file, per byte of its size."""

    keys: Keys  # T, hashing.keys of the title ids
    pinned: Bools  # T
    title: Ints  # F, falls never
    size_bytes: Floats  # F
    yields: Floats  # F
    lead: Ints  # T, of each title the file without which none of the others is held: its first


class Ranked(NamedTuple):
    """The library as one region values it: ``worth`` is bytes served a day per byte held, ``order`` the files, most worth first."""

    demand: Floats  # T, bytes a day
    worth: Floats  # F
    order: Ints  # F
    filled_bytes: Floats  # F, what the files up to there take, in that order
    titles: Ints  # T, pinned ones first, then by falling demand


class Room(NamedTuple):
    """One site. ``limit_bps`` 0: not known."""

    keys: Keys  # A
    capacity_bytes: Floats  # A
    limit_bps: Floats  # A
    demand_share: float


class Rules(NamedTuple):
    """``copies_max`` per site; ``balance``: an appliance's load over its fair share, at most; ``churn``: what a byte must earn, in bytes
    served a day, above what it displaces, to be worth fetching."""

    copies_max: int
    balance: float
    churn: float


class Held(NamedTuple):
    """A title's placed files are on each of its holders."""

    files: Bools  # F
    holders: Bools  # T × A


def shelve(keys: Keys, pinned: Bools, title: Ints, size_bytes: Floats, yields: Floats) -> Library:
    """A library of files that are sorted already, by title and falling yield. Every title has one."""
    return Library(keys, pinned, title, size_bytes, yields, np.searchsorted(title, np.arange(len(keys))))


class Survey(NamedTuple):
    """Files that a site may hold, most worth first; the first ``wanted`` of them would fill it."""

    files: Ints
    title: Ints
    size_bytes: Floats
    wanted: int


def rank(library: Library, demand: Floats) -> Ranked:
    """``demand``: bytes of each title in the next day. Sites of one region share the answer."""
    worth = np.where(library.pinned[library.title], np.inf, demand[library.title] * library.yields)
    order = falling(worth)
    titles = np.lexsort((-demand, ~library.pinned))
    return Ranked(demand, worth, order, np.cumsum(library.size_bytes[order]), titles)


def falling(values: Floats) -> Ints:
    """Indices of ``values`` (none negative), the largest first, equal ones in order.

    The bits of such numbers sort as they do. The last of them make room for the index, so that plain numbers are sorted, six times as
    fast as what they stand for; what differs by less than a millionth may count as equal.
    """
    low = np.uint64((1 << len(values).bit_length()) - 1)
    bits = (~np.ascontiguousarray(values + 0.0, dtype=np.float64).view(np.uint64) & ~low) | np.arange(len(values), dtype=np.uint64)
    bits.sort()
    return (bits & low).astype(np.intp)


def nothing(library: Library, room: Room) -> Held:
    # Columns lie together: what is asked of all holders of each title is then asked of whole columns, ten times as fast.
    holders = np.zeros((len(library.keys), len(room.keys)), dtype=np.bool_, order="F")
    return Held(np.zeros(len(library.title), dtype=np.bool_), holders)


def pack(library: Library, ranked: Ranked, room: Room, before: Held, rules: Rules) -> Held:
    """What the site is to hold, given what it holds ``before``."""
    copies = copies_wanted(ranked.demand * room.demand_share, room.limit_bps, before.holders.sum(axis=1), rules.copies_max)
    total_bytes = float(room.capacity_bytes.sum())
    files = by_worth(ranked, room.demand_share, before.files, rules.churn, total_bytes * SURVEYED)
    title, size_bytes = library.title[files], library.size_bytes[files]
    filled_bytes = np.cumsum(size_bytes * copies[title])
    surveyed, wanted = np.searchsorted(filled_bytes, (total_bytes * SURVEYED, total_bytes), side="right").tolist()
    survey = Survey(files[:surveyed], title[:surveyed], size_bytes[:surveyed], wanted)
    titles = np.zeros(len(library.keys), dtype=np.bool_)
    titles[survey.title] = True
    wanted_bytes = np.bincount(title[:wanted], size_bytes[:wanted], minlength=len(titles)).astype(np.float64)
    holders = settle(library, ranked, room, before.holders, copies, wanted_bytes, titles, rules.balance)
    held, left_bytes = fill(library, ranked, room, survey, wanted_bytes, holders)
    return complete(library, ranked, room, before, rules, held, holders, left_bytes)


def title_bytes(library: Library, files: Ints) -> Floats:
    """T: what these files take."""
    return np.bincount(library.title[files], library.size_bytes[files], minlength=len(library.keys)).astype(np.float64)


def copies_wanted(demand_bytes: Floats, limit_bps: Floats, held: Ints, copies_max: int) -> Ints:
    """T: how many appliances it takes to serve each title at its peak without giving it more than TITLE_LOAD_MAX of any."""
    known = limit_bps[limit_bps > 0]
    most = max(1, min(copies_max, len(limit_bps)))
    if not len(known):
        return np.ones(len(demand_bytes), dtype=np.intp)
    peak_bps = demand_bytes * (8 * PEAK_TO_MEAN / DAY_S)
    copy_bps = max(1.0, float(known.mean()) * TITLE_LOAD_MAX)
    needed, kept = (np.clip(np.ceil(peak_bps * slack / copy_bps), 1, most).astype(np.intp) for slack in (1.0, COPY_SLACK))
    return np.maximum(needed, np.minimum(held, kept))


def by_worth(ranked: Ranked, demand_share: float, held: Bools, churn: float, enough_bytes: float) -> Ints:
    """What is held and the best ``enough_bytes`` of all files, what is worth most to hold first. What is held is worth ``churn`` more."""
    count = int(np.searchsorted(ranked.filled_bytes, enough_bytes, side="right"))
    is_held = held[ranked.order]
    kept, others = ranked.order[is_held], ranked.order[:count][~is_held[:count]]
    files = np.concatenate([kept, others])
    worth = ranked.worth[files] * demand_share
    worth[: len(kept)] += churn
    return files[np.argsort(-worth, kind="stable")]  # two sorted runs, which a stable sort merges


def settle(
    library: Library, ranked: Ranked, room: Room, before: Bools, copies: Ints, wanted_bytes: Floats, titles: Bools, balance: float
) -> Bools:
    """T × A: where each of ``titles`` is to be held, for ``wanted_bytes``.

    They stay, unless an appliance has too much of the site's bytes or load.
    """
    rows = ranked.titles[titles[ranked.titles]]
    copies = copies[rows]
    asked = np.where(wanted_bytes[rows] > 0, ranked.demand[rows], 0.0)
    asked[np.cumsum(asked) - asked >= HEAD * asked.sum()] = 0.0
    power = room.limit_bps if (room.limit_bps > 0).all() else room.capacity_bytes
    loads = np.stack([wanted_bytes[rows], asked / copies])
    fair = np.stack([room.capacity_bytes, asked.sum() * power / power.sum()])

    def preferred(some: Ints) -> Ints:
        return hashing.preference(library.keys[rows[some]], room.keys, room.capacity_bytes)

    was = before.T[:, rows].T  # columns together, as in ``nothing``
    held = was.copy(order="F")
    surplus = np.flatnonzero(held.sum(axis=1) > copies)
    held[surplus] = best(held[surplus], preferred(surplus), copies[surplus])
    hashing.release(held, loads, fair * np.array([[balance], [balance * LOAD_SLACK]]), preferred)
    # Bytes beyond a disk are the least worth of its appliance; load beyond bounds is for who finds no other place.
    for bytes_slack, load_slack in ((1.0, balance), (balance, balance), (1.0, np.inf)):
        if load_slack == np.inf:
            stay(held, was, preferred)
        waiting = np.flatnonzero((held.sum(axis=1) < copies) & (loads[0] > 0))
        if len(waiting):
            rooms = np.stack([fair[0] * bytes_slack, np.maximum(fair[1], 1e-300) * load_slack]) - loads @ held
            choices = kept_first(preferred(waiting), was[waiting])
            held[waiting] = hashing.assign(choices, copies[waiting], loads[:, waiting], rooms, held[waiting])
    homeless = np.flatnonzero(~held.any(axis=1))
    held[homeless, preferred(homeless)[:, 0]] = True
    holders = np.zeros_like(before)
    holders[rows] = held
    return holders


def stay(held: Bools, before: Bools, preferred: Callable[[Ints], Ints]) -> None:
    """Titles without a holder go back to one that they had (in place)."""
    lost = np.flatnonzero(~held.any(axis=1) & before.any(axis=1))
    held[lost] = best(before[lost], preferred(lost), np.ones_like(lost))


def best(held: Bools, preferred: Ints, copies: Ints) -> Bools:
    """``held`` without those beyond ``copies`` that hashing prefers least."""
    in_order = np.take_along_axis(held, preferred, axis=1)
    in_order &= np.cumsum(in_order, axis=1) <= copies[:, None]
    return np.take_along_axis(in_order, np.argsort(preferred, axis=1, kind="stable"), axis=1)


def kept_first(preferred: Ints, kept: Bools) -> Ints:
    """``preferred``, but with those where the title is ``kept`` anyway before all others: to move there costs nothing."""
    order = np.argsort(~np.take_along_axis(kept, preferred, axis=1), axis=1, kind="stable")
    return np.take_along_axis(preferred, order, axis=1)


def fill(library: Library, ranked: Ranked, room: Room, survey: Survey, wanted_bytes: Floats, holders: Bools) -> tuple[Bools, Floats]:
    """F: what is held, and A: the bytes left. Each appliance takes of the files, in order, those of its titles that it has room for.

    A title with several holders is the same on all of them: it takes its files among those ``wanted``, before all others do, and
    loses a holder that has no room for it. So do pinned ones, which go before all. Titles that get nothing lose all holders (in place).
    """
    held = np.zeros(len(library.title), dtype=np.bool_)
    left_bytes = room.capacity_bytes.copy()
    whole: Bools = (np.sum(holders, axis=1) > 1) | library.pinned
    home = np.where(whole, -1, holders.argmax(axis=1))
    for appliance in range(len(left_bytes)):
        mine = ranked.titles[(whole & holders[:, appliance])[ranked.titles]]
        fits = hashing.first_fit(wanted_bytes[None, mine], left_bytes[appliance : appliance + 1])
        holders[mine[~fits], appliance] = False
        left_bytes[appliance] -= wanted_bytes[mine[fits]].sum()
    home[whole & ~np.any(holders, axis=1)] = -2
    homes = home[survey.title]
    taken = homes == -1
    taken[survey.wanted :] = False
    for appliance in range(len(left_bytes)):
        mine = np.flatnonzero(homes == appliance)
        sizes = survey.size_bytes[mine]
        fits = hashing.first_fit(sizes[None, :], left_bytes[appliance : appliance + 1])
        taken[mine[fits]] = True
        left_bytes[appliance] -= sizes[fits].sum()
    placed = survey.files[taken]
    held[placed] = True
    headless = placed[~held[library.lead[survey.title[taken]]]]
    held[headless] = False
    left_bytes += title_bytes(library, headless) @ holders
    holders &= held[library.lead][:, None]
    return held, left_bytes


def complete(
    library: Library, ranked: Ranked, room: Room, before: Held, rules: Rules, held: Bools, holders: Bools, left_bytes: Floats
) -> Held:
    """What else there is room for (in place): files left over, wherever there is room, and then more copies."""
    rest = np.flatnonzero(library.size_bytes <= left_bytes.max(initial=0.0))
    rest = rest[~held[rest]]
    rest = rest[falling(ranked.worth[rest])]
    preferred = hashing.preference(library.keys, room.keys, room.capacity_bytes) if len(rest) else np.empty((0, 0), dtype=np.intp)
    taken_bytes = title_bytes(library, np.flatnonzero(held))
    for file, title, size_bytes in zip(rest.tolist(), library.title[rest].tolist(), library.size_bytes[rest].tolist(), strict=True):
        mine = np.flatnonzero(holders[title])
        if (file == library.lead[title]) if not len(mine) else (len(mine) == 1 and left_bytes[mine[0]] < size_bytes):
            # A title that cannot be whole where it is moves to where it can: that much room there is only while a library is small.
            roomy = preferred[title][left_bytes[preferred[title]] >= taken_bytes[title] + size_bytes][:1]
            if len(roomy):
                left_bytes[mine] += taken_bytes[title]
                left_bytes[roomy] -= taken_bytes[title]
                holders[title, mine], holders[title, roomy] = False, True
                mine = roomy
        if len(mine) and (left_bytes[mine] >= size_bytes).all():
            held[file] = True
            left_bytes[mine] -= size_bytes
            taken_bytes[title] += size_bytes
    if (left_bytes > SPARE * room.capacity_bytes).any():
        holders = repeat(library, ranked, room, before.holders, rules.copies_max, holders, taken_bytes)
    return Held(held, holders)


def repeat(library: Library, ranked: Ranked, room: Room, before: Bools, copies_max: int, holders: Bools, taken_bytes: Floats) -> Bools:
    """More copies of titles, up to ``copies_max``, while there is room: those that were there, then of what is most in demand."""
    titles = ranked.titles[holders[ranked.titles].any(axis=1)]
    size_bytes = taken_bytes[None, titles]
    preferred = hashing.preference(library.keys[titles], room.keys, room.capacity_bytes)
    held, kept = holders[titles], (before & ~holders)[titles]
    for order, copies in (
        (kept_first(preferred, kept), np.minimum(held.sum(axis=1) + kept.sum(axis=1), copies_max)),
        (preferred, np.full(len(titles), copies_max)),
    ):
        held = hashing.assign(order, copies, size_bytes, room.capacity_bytes[None, :] - size_bytes @ held, held)
    holders[titles] = held
    return holders
