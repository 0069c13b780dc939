"""Who would move if routes changed: two tables compared, below the changed prefixes alone. Pure.

Below a changed prefix the tables are walked interval by interval (``Table.span``: within one nothing changes), so that a change
costs what lies below it, not the size of the table. Viewers move when the sites that they would be given differ, in kind or in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from itertools import islice
from typing import NamedTuple, Protocol

from nearcast.model.route import Announcement
from nearcast.model.services import Moved
from nearcast.steering.routes import Match, Prefix
from nearcast.steering.routes.prefix import WIDTH

SITES = 3
"""So many sites of a ranking are compared: as many as a session is given."""
STEPS = 1_024
"""Intervals between two looks at whether the walk is still wanted: some 30 ms."""
SUBNET = 64
"""IPv6 is counted in networks of this length: one of them is a household."""

Ranking = tuple[str, ...]


class Ranked(Protocol):
    """What is compared: a route table."""

    def match_number(self, version: int, number: int, /) -> Match: ...
    def span(self, version: int, number: int, /) -> tuple[int, int]: ...


class Difference(NamedTuple):
    """What changes the table from one set of announcements to another."""

    announce: tuple[Announcement, ...]
    withdraw: tuple[Announcement, ...]


class Movement(NamedTuple):
    """``moved``: the largest first, at most as many as were asked for, of ``total`` prefixes."""

    moved: tuple[Moved, ...]
    total: int


def difference(before: Iterable[Announcement], after: Iterable[Announcement]) -> Difference:
    """Of announcements with the same prefix, site and source the last counts."""
    old = {(each.prefix, each.site, each.source): each for each in before}
    new = {(each.prefix, each.site, each.source): each for each in after}
    return Difference(
        tuple(each for key, each in new.items() if old.get(key) != each),
        tuple(each for key, each in old.items() if key not in new),
    )


def movement(
    before: Ranked,
    after: Ranked,
    changed: Iterable[Prefix],
    serving: Callable[[Match], Iterable[str]],
    limit: int,
    wanted: Callable[[int], None] = lambda steps: None,
) -> Movement:
    """Who would move below ``changed``. ``serving`` tells which sites of a match may serve its clients, best first.

    ``wanted`` is told now and then how many intervals were compared; what it raises ends the walk.
    """
    total, walk = 0, _Walk(before, after, serving, wanted)

    def count() -> Iterator[tuple[Prefix, Ranking, Ranking]]:
        nonlocal total
        for each in outermost(changed):
            for low, high, old, new in walk.runs(each):
                for block in blocks(each.version, low, high):
                    total += 1
                    yield block, old, new

    # A household is an address of IPv4 and a /64 of IPv6: the one weighs as much as the other.
    largest = nlargest(limit, count(), key=lambda each: addresses(each[0]))
    moved = tuple(Moved(prefix=str(block), addresses=addresses(block), before=old, after=new) for block, old, new in largest)
    return Movement(moved, total)


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


def blocks(version: int, low: int, high: int) -> Iterator[Prefix]:
    """``low`` up to but not with ``high`` in the fewest prefixes."""
    width = WIDTH[version]
    while low < high:
        size = low & -low if low else 1 << width
        while size > high - low:
            size >>= 1
        yield Prefix(version, low, width - size.bit_length() + 1)
        low += size


class _Walk:
    """Over both tables at once, interval by interval."""

    def __init__(self, before: Ranked, after: Ranked, serving: Callable[[Match], Iterable[str]], wanted: Callable[[int], None]) -> None:
        self._before, self._after, self._serving, self._wanted = before, after, serving, wanted
        self._steps = 0

    def runs(self, prefix: Prefix) -> Iterator[tuple[int, int, Ranking, Ranking]]:
        """Intervals of the prefix whose clients would move alike, neighbours joined."""
        run: tuple[int, int, Ranking, Ranking] | None = None
        for low, high in self._intervals(prefix):
            old, new = self._ranking(self._before, prefix.version, low), self._ranking(self._after, prefix.version, low)
            if run is not None and run[1:] == (low, old, new):
                run = (run[0], high, old, new)
            else:
                if run is not None:
                    yield run
                run = (low, high, old, new) if old != new else None
        if run is not None:
            yield run

    def _intervals(self, prefix: Prefix) -> Iterator[tuple[int, int]]:
        version, low, end = prefix.version, prefix.number, prefix.end
        while low < end:
            self._steps += 1
            if self._steps % STEPS == 0:
                self._wanted(self._steps)
            high = min(self._before.span(version, low)[1], self._after.span(version, low)[1], end)
            yield low, high
            low = high

    def _ranking(self, table: Ranked, version: int, number: int) -> Ranking:
        return tuple(islice(self._serving(table.match_number(version, number)), SITES))
