"""What the reactive partition lets go: the policy that would have fetched the fewest bytes of late decides. Pure.

No policy is best for every audience: a launch favours recency, a long tail frequency. So several run side by side on names alone
(``shadows``), each is charged the bytes it would have fetched, old charges fade, and the cheapest leads. The partition follows the
leader lazily: what only the leader has let go (an orphan) stays until its room is needed, so nothing is thrown away when the lead
changes, and the partition holds at least what its leader holds. Choosing among policies by simulation: Waldspurger et al., ATC 2017.
"""

from __future__ import annotations

from collections import OrderedDict

from nearcast.delivery.edge.shadows import AgingLfu, Lru, S3Fifo, Shadow, TinyLfu

HALF_LIFE = 8.0
"""Charges halve after so many times the capacity was asked for."""
STEPS = 32
"""So often within a half-life charges fade and the lead is looked at."""
MARGIN = 0.003
"""The lead changes only to who is cheaper by this share."""


class Eviction:
    """One partition of ``capacity_bytes``. It says what to hold and does nothing itself."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._held: OrderedDict[str, int] = OrderedDict()
        self._orphans: OrderedDict[str, None] = OrderedDict()
        self._shadows: dict[str, Shadow] = {
            "S3-FIFO": S3Fifo(capacity_bytes),
            "W-TinyLFU": TinyLfu(capacity_bytes, 0.01),
            "W-TinyLFU, wide": TinyLfu(capacity_bytes, 0.4),
            "LFU, aging": AgingLfu(capacity_bytes),
            "LRU": Lru(capacity_bytes),
        }
        self.leader = "S3-FIFO"
        self._charges_bytes = dict.fromkeys(self._shadows, 0.0)
        self._step_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def request(self, name: str, size_bytes: int) -> list[str]:
        """Somebody was served ``name``, which is on the disk now: what is to be removed, ``name`` itself perhaps.

        ``size_bytes`` is what it takes on the disk; a name keeps the first size that was given for it while it is held.
        """
        self._ask_all(name, size_bytes)
        leader = self._shadows[self.leader]
        if name in self._held:
            self._held.move_to_end(name)
            if name in leader:
                self._orphans.pop(name, None)
            else:
                self._orphans[name] = None
                self._orphans.move_to_end(name)
            return []
        self._held[name] = size_bytes
        self.used_bytes += size_bytes
        if name not in leader:
            self._orphans[name] = None
        return self._make_room()

    def forget(self, name: str) -> None:
        """``name`` is no longer on the disk, by somebody else's doing."""
        self.used_bytes -= self._held.pop(name, 0)
        self._orphans.pop(name, None)

    def names(self) -> list[str]:
        """What is held, what was asked for last at the end."""
        return list(self._held)

    def _ask_all(self, name: str, size_bytes: int) -> None:
        for policy, shadow in self._shadows.items():
            if not shadow.request(name, size_bytes):
                self._charges_bytes[policy] += size_bytes
            if policy == self.leader:
                self._orphans.update((gone, None) for gone in shadow.gone if gone in self._held)
            shadow.gone.clear()
        self._step_bytes += size_bytes
        if self._step_bytes * STEPS >= self.capacity_bytes * HALF_LIFE:
            self._step_bytes = 0
            self._choose()

    def _choose(self) -> None:
        fade = 0.5 ** (1 / STEPS)
        self._charges_bytes = {policy: charge * fade for policy, charge in self._charges_bytes.items()}
        cheapest = min(self._charges_bytes, key=self._charges_bytes.__getitem__)
        if self._charges_bytes[cheapest] < self._charges_bytes[self.leader] * (1 - MARGIN):
            self.leader = cheapest
            shadow = self._shadows[cheapest]
            self._orphans = OrderedDict((name, None) for name in self._held if name not in shadow)

    def _make_room(self) -> list[str]:
        gone = []
        while self.used_bytes > self.capacity_bytes:
            # Whatever the leader holds fits, so there is an orphan, unless sizes have changed since the leader saw them.
            victim = self._orphans.popitem(last=False)[0] if self._orphans else next(iter(self._held))
            self.used_bytes -= self._held.pop(victim)
            gone.append(victim)
        return gone
