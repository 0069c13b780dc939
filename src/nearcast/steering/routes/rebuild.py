"""A table compiled anew: the last one, the changes since, and what stands in the place of whole sources. Files in, one file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.routes.arrays import load, write
from nearcast.steering.routes.base import NONE, Base
from nearcast.steering.routes.folder import BASE_MAGIC, base_path, log_path
from nearcast.steering.routes.geographic import Geography
from nearcast.steering.routes.log import Batch, batches
from nearcast.steering.routes.overlay import Changed, Overlay
from nearcast.steering.routes.prefix import Prefix
from nearcast.steering.routes.rows import arrays_of, by_name, joined, rows_of, rows_of_base
from nearcast.steering.routes.table import Table


class Rebuild(Struct, frozen=True, kw_only=True):
    """From generation ``old`` (0: none) and its log up to ``log_end`` to generation ``new``.

    ``instead``: all announcements of these sources, in the place of what they had. Sources that are not in ``sources`` are
    forgotten, and so are sites that are not in ``sites``. ``change``: what comes on top of the log, for which ``old`` is needed.
    ``places``: name of the geography's file; empty: none.
    """

    folder: str
    old: int
    log_end: int
    new: int
    sites: tuple[Site, ...]
    sources: frozenset[str]
    instead: dict[str, tuple[Announcement, ...]] = {}
    change: Batch = Batch()
    places: str = ""


def rebuild(order: Rebuild) -> int:
    """Write the new base; how many prefixes it has. Raises Damaged and OSError."""
    folder, sites = Path(order.folder), by_name(order.sites)
    names = {each.name for each in sites}
    geography = Geography.load(folder / order.places) if order.places else None
    parts = []
    fresh = [each for source in order.instead.values() for each in source]
    if order.old:
        found = load(base_path(folder, order.old), BASE_MAGIC)
        table = Table(Base(found.arrays, found.meta), Overlay(), None, 0)
        for batch in (*batches(log_path(folder, order.old), order.log_end), order.change):
            table = table.changed(batch.announced, batch.withdrawn, 0)
        gone = {*order.instead, *(each for each in table.base.sources if each not in order.sources)}
        parts.append(rows_of_base(table.base, sites, gone, [each.prefix for each in table.overlay]))
        stays = order.sources - gone
        fresh += [each for each in table.overlay.announcements() if each.site in names and each.source in stays]
    parts.append(rows_of(fresh, sites, ("config", *sorted({each.source for each in fresh} - {"config"}))))
    meta, arrays = arrays_of(joined(parts), sites, geography, order.places)
    write(base_path(folder, order.new), BASE_MAGIC, order.new, meta, arrays)
    return len(arrays["length"])


def told_by(base: Base, changed: Mapping[Prefix, Changed], source: str) -> dict[tuple[str, str], Announcement]:
    """Everything that a source has now, by prefix and site. ``changed``: the overlay's, as they lie over the base."""
    import numpy as np

    found: dict[tuple[str, str], Announcement] = {}
    if source in base.sources:
        entries = np.flatnonzero(np.asarray(base.arrays["source"]) == base.sources.index(source))
        for index in np.unique(np.searchsorted(np.asarray(base.arrays["first"]), entries, side="right") - 1).tolist():
            if index != NONE and (prefix := base.prefix(index)) not in changed:
                told = (entry.announcement(prefix) for entry in base.entries(index))
                found.update(((each.prefix, each.site), each) for each in told if each.source == source)
    for each in changed.values():
        told = (entry.announcement(each.prefix) for entry in each.entries)
        found.update(((one.prefix, one.site), one) for one in told if one.source == source)
    return found


def written_again(table: Table, folder: Path, generation: int, places: str) -> Batch:
    """Write the base that a table has in memory; the changes over it as one, for a log of that generation. Raises OSError."""
    import numpy as np

    base, overlay = table.base, table.overlay
    arrays = {name: np.asarray(each) for name, each in base.arrays.items()}
    write(base_path(folder, generation), BASE_MAGIC, generation, {**base.meta, "places": places}, arrays)
    had = ((each.prefix, entry) for each in overlay for entry in base.entries(base.find(each.prefix)))
    return Batch(tuple(overlay.announcements()), tuple(entry.announcement(prefix) for prefix, entry in had))
