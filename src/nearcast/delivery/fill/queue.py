"""Which of many wanted files to look at next: in the order of the assignment, and those that wait when their time has come. Pure.

A step costs what it looks at, however much is wanted.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

from nearcast.delivery.fill.stock import Name

NEVER = float("inf")


class Queue:
    """``names`` in order. What is ``taken`` is not in it until it is put back."""

    def __init__(self, names: Iterable[Name] = (), taken: Collection[Name] = ()) -> None:
        self._names = list(names)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._order = [place for place, name in enumerate(self._names) if name not in taken] if taken else range(len(self._names))
        self._fresh = 0
        self._waiting: list[tuple[float, int]] = []

    def take(self, now_s: float, most: int) -> list[Name]:
        """Up to ``most`` names that may be looked at now, in order."""
        places: list[int] = []
        while self._waiting and self._waiting[0][0] <= now_s and len(places) < most:
            places.append(heapq.heappop(self._waiting)[1])
        fresh = min(len(self._order), self._fresh + most - len(places))
        places += self._order[self._fresh : fresh]
        self._fresh = fresh
        return [self._names[place] for place in sorted(places)]

    def put_back(self, name: Name, due_s: float) -> None:
        """Look at it again at ``due_s``. Names that the queue was not made of are passed over."""
        place = self._places.get(name)
        if place is not None:
            heapq.heappush(self._waiting, (due_s, place))

    @property
    def due_s(self) -> float:
        """When there is something to look at."""
        if self._fresh < len(self._order):
            return 0.0
        return self._waiting[0][0] if self._waiting else NEVER
