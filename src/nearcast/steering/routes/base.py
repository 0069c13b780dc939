"""Reading the compiled arrays, without NumPy: binary search over a memoryview takes a microsecond, where NumPy's scalars take ten."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.routes.prefix import Prefix

NONE = 0xFFFFFFFF
CONFIG = "config"
_LOW = (1 << 64) - 1


class Entry(NamedTuple):
    """One way to a prefix. ``km``: from the site to where the prefix is known to be, negative where it is not."""

    site: str
    source: str
    as_path: tuple[int, ...]
    med: int
    order: int
    km: int

    def rank(self) -> tuple[bool, int, int, int, int | float, str]:
        """The less, the better, among entries of one prefix. The same order as ``compile.compiled`` gives."""
        return (self.source != CONFIG, len(self.as_path), self.med, self.order, self.km if self.km >= 0 else float("inf"), self.site)

    def is_told_by(self, announcement: Announcement) -> bool:
        """Whether this very thing was announced."""
        return (self.as_path, self.med, self.order) == (announcement.as_path, announcement.med, announcement.order)

    def announcement(self, prefix: Prefix) -> Announcement:
        return Announcement(prefix=str(prefix), site=self.site, source=self.source, as_path=self.as_path, med=self.med, order=self.order)


class Intervals:
    """Disjoint intervals of addresses, each with a number (NONE: nothing)."""

    def __init__(self, arrays: Mapping[str, memoryview], start: str = "start", owner: str = "owner") -> None:
        self._start_4, self._owner_4 = arrays[f"{start}_4"], arrays[f"{owner}_4"]
        self._high, self._low, self._owner_6 = arrays[f"{start}_high_6"], arrays[f"{start}_low_6"], arrays[f"{owner}_6"]

    def owner(self, version: int, number: int) -> int:
        if version == 4:
            return self._owner_4[bisect_right(self._start_4, number) - 1]
        return self._owner_6[self._index_6(number)]

    def span(self, version: int, number: int) -> tuple[int, int]:
        """The interval's first number, and the first behind it."""
        if version == 4:
            index = bisect_right(self._start_4, number)
            return self._start_4[index - 1], self._start_4[index] if index < len(self._start_4) else 1 << 32
        index = self._index_6(number) + 1
        return self._number_6(index - 1), self._number_6(index) if index < len(self._high) else 1 << 128

    def _index_6(self, number: int) -> int:
        high = number >> 64
        end = bisect_right(self._high, high)
        if self._high[end - 1] != high:
            return end - 1
        return bisect_right(self._low, number & _LOW, bisect_left(self._high, high, 0, end), end) - 1

    def _number_6(self, index: int) -> int:
        return self._high[index] << 64 | self._low[index]


class Base:
    """A compiled table: prefixes by index, their entries, and who holds whom. ``meta`` as ``meta_of`` made it."""

    def __init__(self, arrays: Mapping[str, memoryview], meta: dict[str, Any]) -> None:
        self.arrays = arrays
        self.meta = meta
        self.sites = tuple(Site(name=name, isp=isp, latitude=north, longitude=east) for name, isp, north, east in meta["sites"])
        self.sources: tuple[str, ...] = tuple(meta["sources"])
        self.intervals = Intervals(arrays)
        self._version, self._length, self._parent = arrays["version"], arrays["length"], arrays["parent"]
        self._site, self._source = arrays["site"], arrays["source"]
        self._names = [each.name for each in self.sites]
        self._high, self._low, self._first = arrays["high"], arrays["low"], arrays["first"]
        self._path_first, self._path_numbers = arrays["path_first"], arrays["path_numbers"]

    def prefix(self, index: int) -> Prefix:
        return Prefix(self._version[index], self._high[index] << 64 | self._low[index], self._length[index])

    def parent(self, index: int) -> int:
        """The longest prefix around it, or NONE."""
        return self._parent[index]

    def chain(self, index: int) -> list[int]:
        """The prefix and all around it, the longest first. ``index`` may be NONE."""
        found = []
        while index != NONE:
            found.append(index)
            index = self._parent[index]
        return found

    def find(self, prefix: Prefix) -> int:
        """Index of this very prefix, or NONE."""
        for index in self.chain(self.intervals.owner(prefix.version, prefix.number)):
            if self._length[index] == prefix.length:
                return index
        return NONE

    def ways(self, index: int) -> list[tuple[int, str, str]]:
        """Of each entry, best first: the prefix's length, site and source. For decisions, which need no more."""
        start, end, length = self._first[index], self._first[index + 1], self._length[index]
        pairs = zip(self._site[start:end], self._source[start:end], strict=True)
        return [(length, self._names[site], self.sources[source]) for site, source in pairs]

    def entries(self, index: int) -> list[Entry]:
        """Best first; none for NONE."""
        if index == NONE:
            return []
        arrays = self.arrays
        columns = [arrays[name][self._first[index] : self._first[index + 1]] for name in ("site", "source", "path", "med", "order", "km")]
        return [
            Entry(self.sites[site].name, self.sources[source], self._path(path), med, order, km)
            for site, source, path, med, order, km in zip(*columns, strict=True)
        ]

    def _path(self, index: int) -> tuple[int, ...]:
        return tuple(self._path_numbers[self._path_first[index] : self._path_first[index + 1]])


def meta_of(sites: Sequence[Site], sources: Sequence[str], places: str = "") -> dict[str, Any]:
    """``sites`` by rank of their names, ``sources`` from ``config`` on; ``places``: file name of the geography that goes with it."""
    return {"sites": [[each.name, each.isp, each.latitude, each.longitude] for each in sites], "sources": list(sources), "places": places}
