"""What was announced and withdrawn since the table was compiled: the few prefixes that changed, each with all its entries."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator

from nearcast.base.errors import BadInput
from nearcast.model.route import Announcement
from nearcast.steering.routes.base import Entry
from nearcast.steering.routes.prefix import WIDTH, BadRoute, Prefix, parse_prefix

FEW = 32
MED_MAX, ORDER_MAX = 0xFFFFFFFF, 0xFFFF
Placed = Callable[[Prefix, str], int]
"""Kilometres from the site of that name to the prefix; negative: unknown."""


class BadAnnouncement(BadInput):
    """What was announced is no way to a prefix."""

    code = "NC3003"
    cure = "an announcement has a prefix in CIDR notation, a site of the configuration, a MED of 32 bits and an order of 16"


def check(announcements: Iterable[Announcement], sites: Collection[str]) -> None:
    """Raises BadAnnouncement for the first that makes no sense."""
    for each in announcements:
        if each.site not in sites:
            raise BadAnnouncement(f"{each.prefix} is announced for the site {each.site!r}, which does not exist")
        if not (0 <= each.med <= MED_MAX and 0 <= each.order <= ORDER_MAX and all(0 < asn <= MED_MAX for asn in each.as_path)):
            raise BadAnnouncement(f"{each.prefix} is announced with numbers beyond their range: {each}")
        try:
            parse_prefix(each.prefix)
        except BadRoute as error:
            raise BadAnnouncement(error.message) from error


class Changed:
    """A prefix that is not as the base has it. ``entries`` are all of it, best first; none: it is withdrawn."""

    __slots__ = ("entries", "prefix")

    def __init__(self, prefix: Prefix, entries: list[Entry]) -> None:
        self.prefix = prefix
        self.entries = entries


class Overlay:
    """Changed prefixes, and for each address the longest of them that holds it: sorted boundaries, as the base has.

    To put a prefix in costs a binary search and a walk over the boundaries within it. Prefixes leave only when all is compiled anew.
    """

    def __init__(self) -> None:
        self.changed: dict[Prefix, Changed] = {}
        self._starts: dict[int, list[int]] = {version: [0] for version in WIDTH}
        self._owners: dict[int, list[Changed | None]] = {version: [None] for version in WIDTH}
        self._lengths: dict[int, set[int]] = {version: set() for version in WIDTH}

    def __len__(self) -> int:
        return len(self.changed)

    def __iter__(self) -> Iterator[Changed]:
        return iter(self.changed.values())

    def copy(self) -> Overlay:
        """Lists of entries are replaced, never changed: both have the same ones. The boundaries are not laid anew, which takes ten times as
        long."""
        other = Overlay()
        other.changed = {prefix: Changed(prefix, each.entries) for prefix, each in self.changed.items()}
        for version in WIDTH:
            other._starts[version] = self._starts[version].copy()
            other._owners[version] = [each and other.changed[each.prefix] for each in self._owners[version]]
            other._lengths[version] = self._lengths[version].copy()
        return other

    def announcements(self) -> Iterator[Announcement]:
        """Everything that changed prefixes have now."""
        return (entry.announcement(each.prefix) for each in self for entry in each.entries)

    def longest(self, version: int, number: int) -> Changed | None:
        """The longest changed prefix that holds the address."""
        return self._owners[version][bisect_right(self._starts[version], number) - 1]

    def span(self, version: int, number: int) -> tuple[int, int]:
        """The first number around this one with the same longest changed prefix, and the first behind them."""
        starts = self._starts[version]
        index = bisect_right(starts, number)
        return starts[index - 1], starts[index] if index < len(starts) else 1 << WIDTH[version]

    def around(self, version: int, number: int) -> list[Changed]:
        """All changed prefixes that hold the address, the longest first."""
        width, found = WIDTH[version], []
        for length in sorted(self._lengths[version], reverse=True):
            shift = width - length
            each = self.changed.get(Prefix(version, number >> shift << shift, length))
            if each is not None:
                found.append(each)
        return found

    def change(
        self,
        announced: Iterable[Announcement],
        withdrawn: Iterable[Announcement],
        base: Callable[[Prefix], list[Entry]],
        placed: Placed,
    ) -> None:
        """Withdraw, then announce. ``base`` tells what a prefix has that was not changed before. Raises BadRoute for no prefixes."""
        fresh: list[Changed] = []
        for each in withdrawn:
            changed = self._of(each, base, fresh)
            changed.entries = [entry for entry in changed.entries if (entry.site, entry.source) != (each.site, each.source)]
        for each in announced:
            changed = self._of(each, base, fresh)
            told = Entry(each.site, each.source, each.as_path, each.med, each.order, placed(changed.prefix, each.site))
            others = [entry for entry in changed.entries if (entry.site, entry.source) != (each.site, each.source)]
            changed.entries = sorted([*others, told], key=Entry.rank)
        self._add(fresh)

    def _of(self, announcement: Announcement, base: Callable[[Prefix], list[Entry]], fresh: list[Changed]) -> Changed:
        prefix = parse_prefix(announcement.prefix)
        found = self.changed.get(prefix)
        if found is None:
            found = self.changed[prefix] = Changed(prefix, base(prefix))
            fresh.append(found)
        return found

    def _add(self, fresh: Collection[Changed]) -> None:
        """Few are put between the boundaries that there are; for many all boundaries are laid anew, once."""
        for each in fresh:
            self.changed[each.prefix] = each
            self._lengths[each.prefix.version].add(each.prefix.length)
        if len(fresh) > FEW:
            for version in WIDTH:
                self._lay(version)
        else:
            for each in fresh:
                self._put(each)

    def _lay(self, version: int) -> None:
        """One walk over the prefixes by number and length, with those in a stack that hold the present one."""
        starts: list[int] = [0]
        owners: list[Changed | None] = [None]
        inside: list[tuple[int, Changed]] = []

        def cut(at: int) -> None:
            owner = inside[-1][1] if inside else None
            if starts[-1] == at:
                owners[-1] = owner
            else:
                starts.append(at)
                owners.append(owner)

        for prefix in sorted(each for each in self.changed if each.version == version):
            while inside and inside[-1][0] <= prefix.number:
                cut(inside.pop()[0])
            inside.append((prefix.end, self.changed[prefix]))
            cut(prefix.number)
        while inside:
            end, _ = inside.pop()
            if end < 1 << WIDTH[version]:
                cut(end)
        self._starts[version], self._owners[version] = starts, owners

    def _put(self, changed: Changed) -> None:
        version, number, length = prefix = changed.prefix
        starts, owners = self._starts[version], self._owners[version]
        for edge in (number, prefix.end):
            at = bisect_left(starts, edge)
            if edge < 1 << WIDTH[version] and (at == len(starts) or starts[at] != edge):
                starts.insert(at, edge)
                owners.insert(at, owners[at - 1])
        for at in range(bisect_left(starts, number), bisect_left(starts, prefix.end)):
            present = owners[at]
            if present is None or present.prefix.length < length:
                owners[at] = changed
