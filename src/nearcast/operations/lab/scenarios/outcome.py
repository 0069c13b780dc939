"""What a scenario found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from msgspec import Struct

from nearcast.operations.lab.topology import Scenario

Told = Callable[[str], None]


class Row(Struct, frozen=True, kw_only=True):
    """One figure beside its limit. ``each``: the single measurements of which it is the median; ``note``: one sentence for people."""

    what: str
    figure: float
    limit: float
    unit: str = "s"
    each: tuple[float, ...] = ()
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.figure <= self.limit


class Outcome(Struct, frozen=True, kw_only=True):
    """All figures of one scenario."""

    scenario: str
    about: str
    rows: tuple[Row, ...]
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        return bool(self.rows) and all(each.passed for each in self.rows)


def median_row(what: str, measured: Sequence[float], scenario: Scenario, note: str = "") -> Row:
    """The median of repeats, beside the scenario's limit; where one never came to its end, that is infinite."""
    figures = tuple(round(each, 4) for each in measured)
    figure = max(figures) if math.inf in figures else statistics.median(figures)
    return Row(what=what, figure=figure, limit=scenario.limit, unit=scenario.unit, each=figures, note=note)
