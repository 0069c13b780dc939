"""When it is worth a word that somebody does not answer: at once where he did before, at a start after a while, as all start at once."""

from __future__ import annotations

from nearcast.base.clock import Clock

START_S = 15.0


class Patience:
    """With one who is to answer. He has START_S for the first time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s = clock.monotonic_s() + START_S
        self._told = False

    def answered(self) -> None:
        self._due_s, self._told = self._clock.monotonic_s(), False

    def lost(self) -> bool:
        """He did not answer. Whether that is to be told now: once."""
        if self._told or self._clock.monotonic_s() < self._due_s:
            return False
        self._told = True
        return True
