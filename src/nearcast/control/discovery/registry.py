"""The registry as a pure structure: times come in as arguments, so that it can be replayed and simulated.

A lease (Gray and Cheriton, 1989) ends by itself: an entry is there while its last word is younger than its lease. In memory
only: after a restart everything that lives has reported again within a second, and nothing that died is believed alive.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

E = TypeVar("E")

ENTRIES_MAX = 100_000


class Lease(Struct, Generic[E], frozen=True):
    """``entry`` as it was last told at ``renewed_s``, good for ``lease_s``. Seconds on a clock that only grows."""

    entry: E
    renewed_s: float
    lease_s: float

    def age_s(self, now_s: float) -> float:
        return max(0.0, now_s - self.renewed_s)

    def over(self, now_s: float) -> bool:
        return self.age_s(now_s) > self.lease_s


class Registry(Generic[E]):
    """Entries by id, each under a lease."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._leases: dict[str, Lease[E]] = {}
        self._entries_max = entries_max

    def renew(self, entry_id: str, entry: E, *, lease_s: float, now_s: float) -> bool:
        """True when the entry was not there. False is no error: it was renewed. Nothing is taken in past ``entries_max``."""
        old = self._leases.get(entry_id)
        if old is None and len(self._leases) >= self._entries_max:
            self.expire(now_s)
            if len(self._leases) >= self._entries_max:
                raise OverflowError(f"the registry holds {self._entries_max} entries")
        self._leases[entry_id] = Lease(entry, now_s, lease_s)
        return old is None or old.over(now_s)

    def get(self, entry_id: str) -> E | None:
        """The entry as it was last told, its lease over or not; None once it was forgotten."""
        lease = self._leases.get(entry_id)
        return lease.entry if lease else None

    def drop(self, entry_id: str) -> bool:
        """True when it was there."""
        return self._leases.pop(entry_id, None) is not None

    def expire(self, now_s: float) -> list[str]:
        """Forget what is over; the ids."""
        gone = [entry_id for entry_id, lease in self._leases.items() if lease.over(now_s)]
        for entry_id in gone:
            del self._leases[entry_id]
        return gone

    def alive(self, now_s: float) -> list[tuple[E, float]]:
        """What is there, by id, each with its age in seconds."""
        return [(lease.entry, lease.age_s(now_s)) for _, lease in sorted(self._leases.items()) if not lease.over(now_s)]
