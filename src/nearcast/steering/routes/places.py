"""Geography compiled: blocks of the configuration, or all networks of an MMDB file, unfolded once into flat arrays.

A lookup in the file itself takes some ten microseconds in Python, a search in the arrays one. The file is read in a process of its
own with bounds on time and memory (``worker``), as it comes from outside: a hostile one harms nobody.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
from maxminddb.types import Record
from numpy.typing import NDArray

from nearcast.model.site import Site
from nearcast.steering.routes import arrays
from nearcast.steering.routes.base import NONE
from nearcast.steering.routes.compile import I32, U8, U32, U64, Columns, Index, nested
from nearcast.steering.routes.countries import BadGeography, countries, middle
from nearcast.steering.routes.geographic import EARTH_KM, MAGIC, Geography
from nearcast.steering.routes.prefix import Prefix, parse_prefix

Place = tuple[str, float, float]
"""Country code, degrees north, degrees east."""
_LOW = (1 << 64) - 1


def geography_of(blocks: Mapping[str, Iterable[str]]) -> Geography | None:
    """Of country blocks in the configuration; None without any. Raises BadRoute, and BadGeography for unknown countries."""
    found: dict[Prefix, Place] = {}
    for code, prefixes in blocks.items():
        where = middle(code)
        found.update((parse_prefix(each), (code, *where)) for each in prefixes)
    if not found:
        return None
    places = list(dict.fromkeys(found.values()))
    index = {each: at for at, each in enumerate(places)}
    made = _arrays(
        np.array([each.version for each in found], dtype=np.uint8),
        np.array([each.number >> 64 for each in found], dtype=np.uint64),
        np.array([each.number & _LOW for each in found], dtype=np.uint64),
        np.array([each.length for each in found], dtype=np.uint8),
        np.array([index[each] for each in found.values()], dtype=np.uint32),
    )
    return Geography({name: np.ascontiguousarray(each).data for name, each in made.items()}, {"places": places})


def unfold(path: Path, out: Path, version: int = 0) -> int:
    """Write the arrays of an MMDB file to ``out``; how many places it tells. Raises BadGeography for whatever is wrong with it."""
    columns = array("B"), array("Q"), array("Q"), array("B"), array("I")
    places: dict[Place, int] = {}
    try:
        with maxminddb.open_database(path, maxminddb.MODE_AUTO) as reader:
            # A tree has one leaf more than it has nodes; IPv4 may be reached by several ways, of which one counts.
            networks_max = reader.metadata().node_count + 1
            for count, (network, record) in enumerate(reader):
                if count > networks_max:
                    raise BadGeography(f"{path} is no tree: it has more than {networks_max} networks")
                place = place_of(record)
                if place is not None:
                    number = int(network.network_address)
                    row = (network.version, number >> 64, number & _LOW, network.prefixlen, places.setdefault(place, len(places)))
                    for column, value in zip(columns, row, strict=True):
                        column.append(value)
    except (OSError, ValueError, RuntimeError, MemoryError, maxminddb.InvalidDatabaseError) as error:
        raise BadGeography(f"{path} cannot be read: {error}") from error
    if not places:
        raise BadGeography(f"{path} tells no place of any address")
    made = _arrays(*(np.frombuffer(each, dtype=each.typecode) for each in columns))
    arrays.write(out, MAGIC, version, {"places": list(places)}, made)
    return len(places)


def place_of(record: Record | None) -> Place | None:
    """What a record says, whoever made the file: MaxMind nests country and location, others have them flat.

    To a tenth of a degree, which is 11 km or less. Without coordinates it is the country's middle; None where neither is known.
    """
    if not isinstance(record, dict):
        return None
    country = record.get("country") or record.get("registered_country") or record.get("country_code")
    code = country.get("iso_code") if isinstance(country, dict) else country
    code = code if isinstance(code, str) and code in countries() else ""
    where = record.get("location")
    source = where if isinstance(where, dict) else record
    north = _degrees(source.get("latitude", source.get("lat")), 90)
    east = _degrees(source.get("longitude", source.get("lng")), 180)
    if north is not None and east is not None:
        return code, north, east
    return (code, *countries()[code]) if code else None


def _degrees(value: object, most: int) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever the file has there
    except (TypeError, ValueError):
        return None
    return round(number, 1) if math.isfinite(number) and abs(number) <= most else None


def _arrays(version: U8, high: U64, low: U64, length: U8, place: U32) -> dict[str, NDArray[Any]]:
    made: dict[str, NDArray[Any]] = {}
    for family, width in ((4, 32), (6, 128)):
        here = np.flatnonzero(version == family)
        here = here[np.lexsort((length[here], low[here], high[here]))]
        start_high, start_low, owner, _ = nested(high[here], low[here], length[here], width)
        owner = np.where(owner == NONE, np.uint32(NONE), np.append(place[here], 0)[np.minimum(owner, len(here))]).astype(np.uint32)
        edge = np.append(True, owner[1:] != owner[:-1])  # neighbours of one place are one block
        made[f"owner_{family}"] = owner[edge]
        if family == 4:
            made["start_4"] = start_low[edge].astype(np.uint32)
        else:
            made["start_high_6"], made["start_low_6"] = start_high[edge], start_low[edge]
    return made


def kilometres(rows: Columns, sites: Sequence[Site], geography: Geography | None) -> I32:
    """Great-circle distance of each row's site from where its prefix begins; -1 where one of them is not known."""
    if geography is None:
        return np.full(len(rows.site), -1, dtype=np.int32)
    degrees = np.array([[np.nan if each is None else each for each in (site.latitude, site.longitude)] for site in sites]).reshape(-1, 2)
    places = np.array([[north, east] for _, north, east in geography.meta["places"]] + [[np.nan, np.nan]])
    place = np.minimum(_place(geography, rows), len(places) - 1)
    phi, lam = np.radians(degrees[rows.site]).T
    other_phi, other_lam = np.radians(places[place]).T
    half = np.sin((other_phi - phi) / 2) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin((other_lam - lam) / 2) ** 2
    km = np.rint(2 * EARTH_KM * np.arcsin(np.minimum(1.0, np.sqrt(half))))
    return np.where(np.isnan(km), -1, km).astype(np.int32)


def _place(geography: Geography, rows: Columns) -> Index:
    found = {name: np.asarray(each) for name, each in geography.arrays.items()}
    place = np.full(len(rows.version), NONE, dtype=np.intp)
    fours, sixes = np.flatnonzero(rows.version == 4), np.flatnonzero(rows.version == 6)
    place[fours] = found["owner_4"][np.searchsorted(found["start_4"], rows.low[fours].astype(np.uint32), side="right") - 1]
    high, low = rows.high[sixes], rows.low[sixes]
    at = np.searchsorted(found["start_high_6"], high, side="right") - 1
    while (behind := (found["start_high_6"][at] == high) & (found["start_low_6"][at] > low)).any():
        at[behind] -= 1
    place[sixes] = found["owner_6"][at]
    return place
