"""Which slices that came on a miss are worth a write to the disk. Pure: requests in, decision out.

Most slices are asked for once: keeping each of them, as LRU does, wears the disk out and takes its time from the viewers of what is
placed. Here a slice is kept after it was asked for again (cache on the second hit: Maggs and Sitaraman, "Algorithmic Nuggets in Content
Delivery", CCR 2015), and all that is kept is bounded by a share of what was fetched (a token bucket). LRU writes all that it fetches, so
that what is written is at most WRITE_SHARE of LRU's by construction, as far as both miss alike. While little may be written, more
requests are wanted of a slice first.

What is decided for a slice holds from the next request on: that one fetches it, from memory if it is still there, and writes it. nginx
decides by the first slice of an answer for the whole answer (it evaluates conditions once per request); that is all in which it differs.
"""

from __future__ import annotations

from collections import OrderedDict

from nearcast.model.rendition import BLOCK_BYTES

WRITE_SHARE = 0.20
"""Of the bytes that were fetched. Below the quarter that is aimed at, since a partition that keeps less misses somewhat more than LRU."""
BURST_SHARE = 1 / 16
"""Of the partition: what may be written at once after a quiet time."""
REMEMBERED_SHARE = 4
"""As many slices are remembered as this many times the partition holds."""
REMEMBERED_MIN = 4096


def uses_wanted(credit_bytes: float, burst_bytes: float) -> int:
    """How often a slice must have been asked for, by how much may be written now."""
    if credit_bytes >= burst_bytes / 2:
        return 2
    return 3 if credit_bytes >= burst_bytes / 4 else 4


class Admission:
    """Decides for a partition of ``capacity_bytes``. Slices are named as by reactive.slice_name."""

    def __init__(self, capacity_bytes: int) -> None:
        self._burst_bytes = max(16.0 * BLOCK_BYTES, capacity_bytes * BURST_SHARE)
        self._credit_bytes = self._burst_bytes
        self._remembered_max = max(REMEMBERED_MIN, REMEMBERED_SHARE * capacity_bytes // BLOCK_BYTES)
        self._uses: OrderedDict[str, int] = OrderedDict()

    def request(self, name: str, size_bytes: int, fetched: bool) -> bool:
        """A slice that is not on the disk was asked for. True: keep it from now on. ``fetched``: a parent gave it, not the window."""
        if fetched:
            self._credit_bytes = min(self._burst_bytes, self._credit_bytes + WRITE_SHARE * size_bytes)
        uses = self._uses.pop(name, 0) + 1
        if uses >= uses_wanted(self._credit_bytes, self._burst_bytes) and self._credit_bytes >= size_bytes:
            self._credit_bytes -= size_bytes
            return True
        self._uses[name] = uses
        if len(self._uses) > self._remembered_max:
            self._uses.popitem(last=False)
        return False
