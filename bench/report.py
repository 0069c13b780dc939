"""What every benchmark prints: a row for each figure, with its reach, its median and spread, and its peer or limit from the same run."""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table


class Figure(Struct, frozen=True, kw_only=True):
    """One measured figure. ``samples`` in ``unit``; ``quantile`` of them is held against ``reach`` (0.5: the median), which it must not
    exceed, or with ``at_least`` not fall short of.

    ``peer`` says what was measured beside it, and ``peer_samples`` are its samples; then the ratio of medians is held against ``reach``.
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    reach: float
    at_least: bool = False
    quantile: float = 0.5
    peer: str = ""
    peer_samples: tuple[float, ...] = ()
    note: str = ""

    @property
    def value(self) -> float:
        if self.peer_samples:
            return statistics.median(self.samples) / statistics.median(self.peer_samples)
        return quantile(self.samples, self.quantile)

    @property
    def reached(self) -> bool:
        return self.value >= self.reach if self.at_least else self.value <= self.reach


def quantile(samples: Sequence[float], q: float) -> float:
    """The smallest sample that at least ``q`` of all do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))]


def show(title: str, figures: Sequence[Figure], *, as_json: bool) -> int:
    """Print the figures; 0 when all are reached, 1 otherwise."""
    if as_json:
        rows: list[dict[str, Any]] = [{**msgspec.to_builtins(each), "value": each.value, "reached": each.reached} for each in figures]
        sys.stdout.write(
            msgspec.json.format(msgspec.json.encode({"bench": title, "machine": platform.platform(), "figures": rows})).decode() + "\n"
        )
        return 0 if all(each.reached for each in figures) else 1
    table = Table(title=title, caption=f"{platform.platform()}, Python {platform.python_version()}")
    for heading in ("figure", "reach", "measured", "min … median … max", "peer or limit", ""):
        table.add_column(heading)
    for each in figures:
        low, middle, high = min(each.samples), statistics.median(each.samples), max(each.samples)
        spread = f"{low:.2f} … {middle:.2f} … {high:.2f} {each.unit} (n={len(each.samples)})"
        unit = "×" if each.peer_samples else f" {each.unit}"
        peer = f"{each.peer}: {statistics.median(each.peer_samples):.2f} {each.unit}" if each.peer_samples else each.note or "limit"
        table.add_row(
            each.name,
            f"{'≥' if each.at_least else '≤'} {each.reach:g}{unit}",
            f"{each.value:.2f}{unit}",
            spread,
            peer,
            "reached" if each.reached else "MISSED",
        )
    Console(width=170).print(table)
    return 0 if all(each.reached for each in figures) else 1
