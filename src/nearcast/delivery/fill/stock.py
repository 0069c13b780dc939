"""What an appliance is to hold, what it holds and what it lacks, with totals that are kept up rather than counted anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.delivery.fill.disk import Held
from nearcast.model.fill import FillItem

Name = tuple[str, str]
"""Title id and file name."""


def name_of(item: FillItem) -> Name:
    return item.title_id, item.file.name


class Stock:
    """``missing`` is in the order of the assignment. ``revision`` counts up whenever ``holdings`` changes."""

    def __init__(self, held: Held) -> None:
        self.held = dict(held)
        self.assigned: tuple[FillItem, ...] | None = None
        self.titles: frozenset[str] = frozenset()
        """Of which anything is assigned."""
        self.missing: dict[Name, FillItem] = {}
        self.holdings: dict[str, int] = {}
        self.held_bytes = self.missing_bytes = self.assigned_bytes = 0
        self.revision = 0
        for (title_id, _), size_bytes in held.items():
            self._count(title_id, size_bytes)

    def assign(self, items: Iterable[FillItem]) -> None:
        """From now on exactly these are to be held; a file of another length than assigned is not held."""
        self.assigned = tuple(items)
        wanted = {name_of(each): each for each in self.assigned}
        self.titles = frozenset(title_id for title_id, _ in wanted)
        self.missing = {name: each for name, each in wanted.items() if self.held.get(name) != each.file.size_bytes}
        self.missing_bytes = sum([each.file.size_bytes for each in self.missing.values()])
        self.assigned_bytes = sum([each.file.size_bytes for each in wanted.values()])
        self._surplus = dict.fromkeys(name for name in self.held if name not in wanted)
        self._wanted = wanted

    def surplus(self) -> list[Name]:
        """What is held and not assigned; empty until something was assigned."""
        return [] if self.assigned is None else [name for name in self._surplus if name in self.held]

    def wants(self, item: FillItem) -> bool:
        return self.missing.get(name_of(item)) == item

    def item(self, name: Name) -> FillItem | None:
        """How the file is assigned, if it is."""
        return None if self.assigned is None else self._wanted.get(name)

    def placed(self, item: FillItem) -> None:
        self.found(name_of(item), item.file.size_bytes)

    def found(self, name: Name, size_bytes: int) -> None:
        """A file is there."""
        if (item := self.missing.get(name)) is not None and item.file.size_bytes == size_bytes:
            del self.missing[name]
            self.missing_bytes -= size_bytes
        self._count(name[0], size_bytes - self.held.get(name, 0))
        self.held[name] = size_bytes
        if self.assigned is not None and name not in self._wanted:
            self._surplus[name] = None

    def gone(self, name: Name) -> None:
        """A held file is there no more. It is missing again where it is assigned, as the first of all: viewers were just served it."""
        size_bytes = self.held.pop(name, None)
        if size_bytes is None:
            return
        self._count(name[0], -size_bytes)
        item = self.item(name)
        if item is not None and name not in self.missing:
            self.missing = {name: item, **self.missing}
            self.missing_bytes += item.file.size_bytes

    def _count(self, title_id: str, size_bytes: int) -> None:
        self.held_bytes += size_bytes
        self.revision += 1
        total = self.holdings.get(title_id, 0) + size_bytes
        if total:
            self.holdings[title_id] = total
        else:
            self.holdings.pop(title_id, None)
