"""Where addresses are: a country and a point for each block, as an MMDB file or the configuration's country blocks tell it.

Read as flat arrays, like the table itself; ``places`` makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearcast.steering.routes.arrays import load
from nearcast.steering.routes.base import NONE, Intervals

MAGIC = b"NCPLACE1"
GEOGRAPHY = "geography"
"""What explanations give as the source of a site that is only near."""
EARTH_KM = 6371.0088
"""Mean radius R1 (IUGG)."""


class Geography:
    """Blocks of addresses and their places. ``meta["places"]`` lists country code, degrees north and degrees east of each."""

    def __init__(self, arrays: Mapping[str, memoryview], meta: dict[str, Any]) -> None:
        self.arrays = arrays
        self.meta = meta
        self.intervals = Intervals(arrays)
        self.place = self.intervals.owner
        self._places: list[tuple[str, float, float]] = meta["places"]

    @classmethod
    def load(cls, path: Path) -> Geography:
        """Raises Damaged, and FileNotFoundError."""
        found = load(path, MAGIC)
        return cls(found.arrays, found.meta)

    def country(self, version: int, number: int) -> str:
        """ISO 3166 code of an address; empty where it is not known."""
        place = self.place(version, number)
        return "" if place == NONE else self._places[place][0]

    def coordinates(self, place: int) -> tuple[float, float]:
        """Degrees north and east."""
        return self._places[place][1], self._places[place][2]


def direction(north: float, east: float) -> tuple[float, float, float]:
    """Unit vector of a place in degrees. The nearer two places are, the larger is the product of their vectors."""
    phi, lam = math.radians(north), math.radians(east)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def distance_km(north: float, east: float, other_north: float, other_east: float) -> int:
    """Great-circle distance in whole kilometres, by the haversine formula. Degrees."""
    phi, other_phi = math.radians(north), math.radians(other_north)
    half = math.sin((other_phi - phi) / 2) ** 2
    half += math.cos(phi) * math.cos(other_phi) * math.sin(math.radians(other_east - east) / 2) ** 2
    return round(2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half))))
