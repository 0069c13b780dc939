"""Where a country is: the middle of the places that name its time zones.

They come from ``zone.tab`` of the IANA time zone database (public domain), which the package ``tzdata`` brings. Those places are
towns, so that their middle is nearer to where people live than the middle of the land is.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources

from nearcast.base.errors import BadInput


class BadGeography(BadInput):
    """The file or the blocks that tell where addresses are make no sense."""

    code = "NC3006"
    cure = "geographic.mmdb is a MaxMind DB file with country or city data; blocks are CIDR prefixes by ISO 3166 code"


@cache
def countries() -> dict[str, tuple[float, float]]:
    """Degrees north and east by ISO 3166 country code, to a tenth of a degree."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    for line in (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            code, where, *_ = line.split("\t")
            split = max(where.rfind("+"), where.rfind("-"))
            north, east = math.radians(_degrees(where[:split])), math.radians(_degrees(where[split:]))
            points.setdefault(code, []).append((math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)))
    return {code: _middle(each) for code, each in points.items()}


def middle(code: str) -> tuple[float, float]:
    """Degrees north and east. Raises BadGeography for what is no country."""
    try:
        return countries()[code]
    except KeyError as error:
        raise BadGeography(f"there is no country {code!r}", hint="ISO 3166 has two capital letters for each, as DE") from error


def _degrees(text: str) -> float:
    """ISO 6709: sign, degrees, minutes, and seconds where it has 7 digits or more; longitudes have three digits of degrees."""
    digits = text[1:]
    whole = 2 if len(digits) in (4, 6) else 3
    minutes, seconds = digits[whole : whole + 2], digits[whole + 2 :] or "0"
    return (-1 if text[0] == "-" else 1) * (int(digits[:whole]) + int(minutes) / 60 + int(seconds) / 3600)


def _middle(points: list[tuple[float, float, float]]) -> tuple[float, float]:
    """The direction of the mean of unit vectors."""
    x, y, z = (sum(axis) for axis in zip(*points, strict=True))
    return round(math.degrees(math.atan2(z, math.hypot(x, y))), 1), round(math.degrees(math.atan2(y, x)), 1)
