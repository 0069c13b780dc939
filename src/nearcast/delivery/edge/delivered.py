"""What each playback was sent, from nginx's log: the edge's own word, against which insight holds what players claim."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from nearcast.delivery.edge.logs import Line
from nearcast.model.traffic import SESSIONS_MAX, Delivered
from nearcast.policy import sessions

KEPT_MAX = 4 * SESSIONS_MAX
"""Between two reports. Names cost nothing to make up: of what comes past that only those already known are added to."""
WHOLE = "OK"
GONE = 499
"""What nginx logs when the client had gone before there was an answer."""


def plus(one: Delivered, other: Delivered) -> Delivered:
    return Delivered(one.session, one.bytes + other.bytes, one.busy_s + other.busy_s, one.failed + other.failed)


def delivered(lines: Iterable[Line]) -> dict[str, Delivered]:
    """By CMCD ``sid``: answers of bytes to viewers, errors, and what nobody waited for. What was refused for its path tells nothing."""
    sums: dict[str, tuple[int, float, int]] = {}
    for line in lines:
        if line.door or not line.session:
            continue
        error = line.status >= GONE
        if not error and line.source == "none":
            continue
        size_bytes, busy_s, failed = sums.get(line.session, (0, 0.0, 0))
        cut_short = error or line.completion != WHOLE
        sums[line.session] = (size_bytes + line.bytes, busy_s + line.request_time_s, failed + cut_short)
    return {sid: Delivered(sessions.tag(sid), size_bytes, round(busy_s, 3), failed) for sid, (size_bytes, busy_s, failed) in sums.items()}


class Deliveries:
    """Sums by session until they are taken."""

    def __init__(self) -> None:
        self._sums: dict[str, Delivered] = {}

    def add(self, found: Mapping[str, Delivered]) -> None:
        for sid, each in found.items():
            before = self._sums.get(sid)
            if before is not None:
                self._sums[sid] = plus(before, each)
            elif len(self._sums) < KEPT_MAX:
                self._sums[sid] = each

    def take(self) -> tuple[Delivered, ...]:
        """Those that were sent most, at most SESSIONS_MAX: bytes are what a name that was made up has to be paid with."""
        found, self._sums = self._sums.values(), {}
        if len(found) <= SESSIONS_MAX:
            return tuple(found)
        return tuple(heapq.nlargest(SESSIONS_MAX, found, key=lambda each: each.bytes))
