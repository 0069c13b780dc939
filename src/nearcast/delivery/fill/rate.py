"""One pace for everything that an appliance's fill fetches: a token bucket in its virtual-scheduling form (GCRA, ITU-T I.371).

``paced`` is the whole decision; ``Limiter`` sleeps as it says. Who waits before it reads never takes more than the rate allows; and whoever
reads no faster than it may makes TCP slow the sender down.
"""

from __future__ import annotations

from nearcast.base.clock import Clock

LATE_S = 0.5
"""Who is late by no more (a sleep that was too long, a disk that was slow) makes up for it; who comes later was idle: nothing is due. It
is what the pace may be passed by over any span: 5 % of ten seconds."""


def paced(free_at_s: float, size_bytes: int, now_s: float, rate_bps: float) -> tuple[float, float]:
    """Somebody took ``size_bytes`` when the next was due at ``free_at_s``: when the next is due then, and how long to wait for it."""
    if not rate_bps:
        return now_s, 0.0
    due_s = (free_at_s if free_at_s >= now_s - LATE_S else now_s) + 8 * size_bytes / rate_bps
    return due_s, max(0.0, due_s - now_s)


class Limiter:
    """Shared by all transfers of an appliance. ``rate_bps`` may be changed at any time; 0: no bound. ``taken_bytes``: so far, less what
    was given back."""

    def __init__(self, clock: Clock, rate_bps: float = 0.0) -> None:
        self.rate_bps = rate_bps
        self.taken_bytes = 0
        self._clock = clock
        self._free_at_s = 0.0

    async def took(self, size_bytes: int) -> None:
        """Return when the rate has allowed for these bytes, whether they are taken before or after."""
        if wait_s := self.charge(size_bytes):
            await self._clock.sleep(wait_s)

    def charge(self, size_bytes: int) -> float:
        """Count bytes that do not wait: others wait the longer. Returns the seconds that they would have to."""
        self.taken_bytes += size_bytes
        self._free_at_s, wait_s = paced(self._free_at_s, size_bytes, self._clock.monotonic_s(), self.rate_bps)
        return wait_s

    def give_back(self, size_bytes: int) -> None:
        """So much of what was counted was not taken after all."""
        self.taken_bytes -= size_bytes
        if self.rate_bps:
            self._free_at_s -= 8 * size_bytes / self.rate_bps
