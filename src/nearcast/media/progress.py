"""How far each rendition is and when it will be done. Pure but for reading what running tasks wrote."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from msgspec import Struct

from nearcast.media import encode
from nearcast.model.ingest import Progress

SETTLE_S = 1.0
"""No guess is made before this long, for the first seconds say nothing of the rest."""


class Work(Struct, frozen=True):
    """One task: which renditions it makes, and ``length_s`` of them. ``future`` None: it was done before this run."""

    items: tuple[str, ...]
    folder: Path
    length_s: float
    future: Future[Any] | None

    def done_s(self) -> float:
        if self.future is None or self.future.done():
            return self.length_s
        return min(self.length_s, encode.progress_s(self.folder)) if self.future.running() else 0.0


def eta_s(done: float, total: float, before: float, elapsed_s: float) -> float | None:
    """Seconds left at the pace since ``before`` was done; None while that cannot be told."""
    gained = done - before
    if gained <= 0 or elapsed_s < SETTLE_S:
        return None
    return max(0.0, (total - done) * elapsed_s / gained)


class Meter:
    """Remembers when each rendition began to move, and what it last said."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._begun: dict[str, tuple[float, float]] = {}
        self._said: dict[str, tuple[float, bool]] = {}

    def lines(self, works: Sequence[Work], now_s: float) -> list[Progress]:
        """One line for each rendition that has moved since the last look."""
        done: dict[str, float] = {}
        total: dict[str, float] = {}
        idle: dict[str, float] = {}
        for work in works:
            made_s = work.done_s()
            for item in work.items:
                done[item] = done.get(item, 0.0) + made_s
                total[item] = total.get(item, 0.0) + work.length_s
                idle[item] = idle.get(item, 0.0) + (work.length_s if work.future is None else 0.0)
        found = []
        for item, made_s in done.items():
            if made_s > idle[item]:
                self._begun.setdefault(item, (now_s, made_s))
            begun_s, before = self._begun.get(item, (now_s, made_s))
            said = (round(made_s, 1), made_s >= total[item])
            if self._said.get(item) != said:
                self._said[item] = said
                left_s = 0.0 if said[1] else eta_s(made_s, total[item], before, now_s - begun_s)
                found.append(Progress(stage="encode", item=item, done=round(made_s, 3), total=round(total[item], 3), eta_s=left_s))
        return found
