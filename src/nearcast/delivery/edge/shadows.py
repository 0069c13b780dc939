"""Caches of names and sizes alone: the policies among which an appliance's reactive partition chooses. Pure, O(1) a request.

LRU; S3-FIFO (Yang et al., SOSP 2023); W-TinyLFU (Einziger, Friedman, Manes, ACM ToS 2017); LFU with dynamic aging (Arlitt et
al., 2000). A policy appends what it lets go to ``gone``, which its owner empties.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Protocol

Sizes = OrderedDict[str, int]
"""Size in bytes by name, oldest first."""


class Shadow(Protocol):
    """One policy. ``gone`` also names what was asked for and not taken in."""

    gone: list[str]

    def request(self, name: str, size_bytes: int) -> bool:
        """Somebody asks for ``name``: was it held? If not, it is taken in, as the policy sees fit."""
        ...

    def __contains__(self, name: str) -> bool: ...


class Lru:
    """Lets go of what nobody asked for the longest."""

    def __init__(self, capacity_bytes: int) -> None:
        self.gone: list[str] = []
        self._capacity_bytes = capacity_bytes
        self._held: Sizes = OrderedDict()
        self._used_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def request(self, name: str, size_bytes: int) -> bool:
        if name in self._held:
            self._held.move_to_end(name)
            return True
        if size_bytes > self._capacity_bytes:
            self.gone.append(name)
            return False
        while self._used_bytes + size_bytes > self._capacity_bytes:
            victim, size = self._held.popitem(last=False)
            self._used_bytes -= size
            self.gone.append(victim)
        self._held[name] = size_bytes
        self._used_bytes += size_bytes
        return False


class S3Fifo:
    """Newcomers pass through a small queue; who was asked for twice there, or was let go lately, gets into the main one."""

    SMALL, GHOST = 0.1, 0.9
    """Shares of the capacity: of the small queue, and of the sizes remembered of what left it."""
    ASKED_MAX, ASKED_FOR_MAIN = 3, 2

    def __init__(self, capacity_bytes: int) -> None:
        self.gone: list[str] = []
        self._capacity_bytes = capacity_bytes
        self._small: Sizes = OrderedDict()
        self._main: Sizes = OrderedDict()
        self._ghost: Sizes = OrderedDict()
        self._asked: dict[str, int] = {}
        """For everything held: how often it was asked for since it came, up to ASKED_MAX."""
        self._small_bytes = self._main_bytes = self._ghost_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._asked

    def request(self, name: str, size_bytes: int) -> bool:
        asked = self._asked.get(name)
        if asked is not None:
            self._asked[name] = min(self.ASKED_MAX, asked + 1)
            return True
        known = self._ghost.pop(name, None)
        self._ghost_bytes -= known or 0
        if size_bytes > self._capacity_bytes:
            self.gone.append(name)
            return False
        small_max = self._capacity_bytes * self.SMALL
        while self._small_bytes + self._main_bytes + size_bytes > self._capacity_bytes:
            if self._main_bytes > self._capacity_bytes - small_max or not self._small:
                self._shrink_main()
            else:
                self._shrink_small()
        if known is not None or size_bytes > small_max:
            self._main[name] = size_bytes
            self._main_bytes += size_bytes
        else:
            self._small[name] = size_bytes
            self._small_bytes += size_bytes
        self._asked[name] = 0
        return False

    def _shrink_small(self) -> None:
        """One goes, or everything that deserves it moves to the main queue."""
        while self._small:
            name, size = self._small.popitem(last=False)
            self._small_bytes -= size
            if self._asked[name] < self.ASKED_FOR_MAIN:
                del self._asked[name]
                self.gone.append(name)
                self._remember(name, size)
                return
            self._asked[name] = 0
            self._main[name] = size
            self._main_bytes += size

    def _shrink_main(self) -> None:
        while True:
            name, size = self._main.popitem(last=False)
            if not self._asked[name]:
                break
            self._asked[name] -= 1
            self._main[name] = size
        self._main_bytes -= size
        del self._asked[name]
        self.gone.append(name)

    def _remember(self, name: str, size_bytes: int) -> None:
        self._ghost[name] = size_bytes
        self._ghost_bytes += size_bytes
        while self._ghost_bytes > self._capacity_bytes * self.GHOST:
            self._ghost_bytes -= self._ghost.popitem(last=False)[1]


class TinyLfu:
    """Newcomers wait in a window (LRU); past it they must have been asked for more often than whom they would replace.

    ``window`` is its share of the capacity. The main part is a segmented LRU. Counts are exact and halved after a hundred
    requests for each object held: ten times the paper's memory, for where the past fades faster another policy leads.
    """

    PROTECTED = 0.8
    REQUESTS_PER_OBJECT, OBJECTS_MIN, COUNT_MAX = 100, 100, 255
    NAMES_PER_OBJECT = 20
    """More names are not counted at once: much that is asked for once would fill the memory."""

    def __init__(self, capacity_bytes: int, window: float) -> None:
        self.gone: list[str] = []
        self._window_max = int(capacity_bytes * window)
        self._main_max = capacity_bytes - self._window_max
        self._protected_max = int(self._main_max * self.PROTECTED)
        self._window: Sizes = OrderedDict()
        self._probation: Sizes = OrderedDict()
        self._protected: Sizes = OrderedDict()
        self._window_bytes = self._probation_bytes = self._protected_bytes = 0
        self._counts: dict[str, int] = {}
        self._counted = 0

    def __contains__(self, name: str) -> bool:
        return name in self._protected or name in self._probation or name in self._window

    def request(self, name: str, size_bytes: int) -> bool:
        self._count(name)
        if name in self._protected:
            self._protected.move_to_end(name)
            return True
        if name in self._probation:
            self._protect(name)
            return True
        if name in self._window:
            self._window.move_to_end(name)
            return True
        self._window[name] = size_bytes
        self._window_bytes += size_bytes
        while self._window_bytes > self._window_max:
            candidate, size = self._window.popitem(last=False)
            self._window_bytes -= size
            self._offer(candidate, size)
        return False

    def _count(self, name: str) -> None:
        self._counts[name] = min(self.COUNT_MAX, self._counts.get(name, 0) + 1)
        self._counted += 1
        held = len(self._window) + len(self._probation) + len(self._protected)
        objects = max(self.OBJECTS_MIN, held)
        if self._counted >= self.REQUESTS_PER_OBJECT * objects or len(self._counts) >= self.NAMES_PER_OBJECT * objects:
            self._counted //= 2
            self._counts = {each: count // 2 for each, count in self._counts.items() if count > 1}

    def _protect(self, name: str) -> None:
        size = self._probation.pop(name)
        self._probation_bytes -= size
        self._protected[name] = size
        self._protected_bytes += size
        while self._protected_bytes > self._protected_max:
            other, size = self._protected.popitem(last=False)
            self._protected_bytes -= size
            self._probation[other] = size
            self._probation_bytes += size

    def _offer(self, name: str, size_bytes: int) -> None:
        """``name`` leaves the window: into the main part, or away."""
        if size_bytes > self._main_max:
            self.gone.append(name)
            return
        while self._probation_bytes + self._protected_bytes + size_bytes > self._main_max:
            segment = self._probation or self._protected
            victim = next(iter(segment))
            if self._counts.get(name, 0) <= self._counts.get(victim, 0):
                self.gone.append(name)
                return
            size = segment.pop(victim)
            if segment is self._probation:
                self._probation_bytes -= size
            else:
                self._protected_bytes -= size
            self.gone.append(victim)
        self._probation[name] = size_bytes
        self._probation_bytes += size_bytes


class AgingLfu:
    """Lets go of the least worth: how often it was asked for, plus the worth of what was last let go when that was."""

    def __init__(self, capacity_bytes: int) -> None:
        self.gone: list[str] = []
        self._capacity_bytes = capacity_bytes
        self._held: dict[str, tuple[int, int, int]] = {}
        """By name: worth, how often asked for, size."""
        self._heap: list[tuple[int, int, str]] = []
        """Worth, turn, name; entries whose worth is no longer the object's are passed over."""
        self._age = self._turn = self._used_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def request(self, name: str, size_bytes: int) -> bool:
        _, asked, size = known = self._held.get(name, (0, 0, 0))
        if not asked:
            if size_bytes > self._capacity_bytes:
                self.gone.append(name)
                return False
            while self._used_bytes + size_bytes > self._capacity_bytes:
                self._evict()
            self._used_bytes += size_bytes
            size = size_bytes
        self._turn += 1
        self._held[name] = (self._age + asked + 1, asked + 1, size)
        heapq.heappush(self._heap, (self._age + asked + 1, self._turn, name))
        if len(self._heap) > 4 * len(self._held) + 64:
            self._heap = [each for each in self._heap if each[2] in self._held and self._held[each[2]][0] == each[0]]
            heapq.heapify(self._heap)
        return known[1] > 0

    def _evict(self) -> None:
        while True:
            worth, _, name = heapq.heappop(self._heap)
            if name in self._held and self._held[name][0] == worth:
                break
        self._age = worth
        self._used_bytes -= self._held.pop(name)[2]
        self.gone.append(name)
