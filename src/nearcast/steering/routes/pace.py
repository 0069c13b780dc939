"""How fast the changes of one ISP are taken in, so that one that flaps costs the others nothing. Pure; time is passed in.

What changes now and then is taken in at once. What changes on and on gathers meanwhile and is taken in now and then: only how a prefix
stands at that moment counts, as RFC 7196 would have it damped, but nothing is ever suppressed. Each bound is a token bucket.
"""

from __future__ import annotations

BATCH_MAX = 2_000
"""Changes at once that readers take one by one, in some 20 ms; the writer compiles more than that."""
TURNS, TURNS_PER_S = 20.0, 2.0
"""So often are changes taken in; then every half second, for as long as it flaps."""
CHANGES_PER_S = 500.0
"""After the first ``BATCH_MAX``: half a percent of a reader's time."""
BULKS, BULKS_PER_S = 3.0, 1 / 30
"""So often is more than a batch taken in at once, which compiles the table: sessions that begin and end are such bulks."""
TABLES, TABLES_PER_S = 1.0, 1 / 30
"""So often is what is left of a table taken in at once when its router has told all of it: a large one comes in more parts than bulks."""


class Bucket:
    """``burst`` tokens at first, and never more; ``rate`` come in a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._level, self._at_s = burst, float("-inf")

    def holds(self, now_s: float) -> float:
        """Tokens that can be taken now."""
        if now_s > self._at_s:
            self._level = min(self._burst, self._level + (now_s - self._at_s) * self._rate)
            self._at_s = now_s
        return self._level

    def take(self, tokens: float) -> None:
        self._level -= tokens

    def give(self, tokens: float) -> None:
        self._level = min(self._burst, self._level + tokens)


class Pace:
    """Of one ISP."""

    def __init__(self) -> None:
        self._turns = Bucket(TURNS, TURNS_PER_S)
        self._changes = Bucket(float(BATCH_MAX), CHANGES_PER_S)
        self._bulks = Bucket(BULKS, BULKS_PER_S)
        self._tables = Bucket(TABLES, TABLES_PER_S)

    def table_ends(self, now_s: float) -> None:
        """A router has told all of its table: what waits of it may come in at once."""
        if self._tables.holds(now_s) >= 1:
            self._tables.take(1)
            self._turns.give(1)
            self._bulks.give(1)

    def take(self, pending: int, now_s: float) -> int:
        """How many of the changes that wait are taken in now: all, some, or none before the next look."""
        if not pending or self._turns.holds(now_s) < 1:
            return 0
        if pending > BATCH_MAX and self._bulks.holds(now_s) >= 1:
            self._turns.take(1)
            self._bulks.take(1)
            return pending
        some = min(pending, int(self._changes.holds(now_s)))
        if some:
            self._turns.take(1)
            self._changes.take(some)
        return some
