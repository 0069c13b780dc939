"""Of which group a client is, kept by the EDNS record that tells it and by the resolver's address, until its routes change.

Everything that is kept of a client (its class, and the block that its scope covers) follows from the routes within its cell, the largest
block that a scope may cover (``ecs.SCOPE_MIN``). So a change of routes makes forget what is kept of the cells that it touches, and
no more: an ISP that flaps costs nobody else the fast way.
"""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.steering.dns import ecs
from nearcast.steering.dns.finished import NOT_EDNS, Heard
from nearcast.steering.routes import Prefix

KEPT_MAX = 131_072
"""EDNS records, and resolvers without."""
WIDE_MAX = 8
"""Changed prefixes of several cells each: for more at once, all is forgotten."""
Cell = tuple[int, int]
"""IP version, and the leading bits of the addresses."""
_WIDER = -1
"""Stands for all subnets that are larger than a cell: what is answered to these depends on routes of other cells, too."""


def cell(version: int, number: int, length: int = 128) -> Cell:
    """Of an address of which ``length`` bits are known."""
    bits = ecs.SCOPE_MIN[version]
    return version, number >> (ecs.WIDTH[version] - bits) if length >= bits else _WIDER


class Known:
    """``heard`` and ``sources`` are to be read; the dicts stay the same."""

    def __init__(self) -> None:
        self.heard: dict[bytes, Heard] = {b"": NOT_EDNS}
        self.sources: dict[bytes, int] = {}
        self._cells: dict[Cell, list[bytes]] = {}

    def hear(self, rest: bytes, heard: Heard, at: Cell | None) -> None:
        """Keep what an EDNS record means; ``at``: of the client that it tells; None: it tells none."""
        self._make_room()
        self.heard[rest] = heard
        if at is not None:
            self._cells.setdefault(at, []).append(rest)

    def meet(self, source: bytes, group: int, at: Cell) -> None:
        """Keep the group of a resolver's address."""
        self._make_room()
        self.sources[source] = group
        self._cells.setdefault(at, []).append(source)

    def changed(self, prefixes: Iterable[Prefix]) -> None:
        """Forget what the routes of these have to do with."""
        wide = [each for each in prefixes if each.length < ecs.SCOPE_MIN[each.version]]
        if len(wide) > WIDE_MAX:
            self.clear()
            return
        touched = {cell(each.version, each.number) for each in prefixes} | {(each.version, _WIDER) for each in prefixes}
        for version, number, length in wide:
            shift = ecs.SCOPE_MIN[version] - length
            begin = cell(version, number)[1] >> shift
            touched.update(each for each in self._cells if each[0] == version and each[1] >> shift == begin)
        for each in touched:
            for key in self._cells.pop(each, ()):
                self.heard.pop(key, None)
                self.sources.pop(key, None)

    def clear(self) -> None:
        self.heard.clear()
        self.heard[b""] = NOT_EDNS
        self.sources.clear()
        self._cells.clear()

    def _make_room(self) -> None:
        if len(self.heard) + len(self.sources) >= KEPT_MAX:
            self.clear()
