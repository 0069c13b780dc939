"""Between announcements as objects and columns: configured routes, what ISPs announced, and what a table already has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.routes.base import CONFIG, Base, meta_of
from nearcast.steering.routes.compile import Columns, Compiled, Index, Paths, compiled, distinct
from nearcast.steering.routes.configured import spread
from nearcast.steering.routes.geographic import Geography
from nearcast.steering.routes.overlay import check
from nearcast.steering.routes.places import kilometres
from nearcast.steering.routes.prefix import Prefix, parse_prefix

_LOW = (1 << 64) - 1
_PART = 10_000
_TYPES = (np.uint8, np.uint64, np.uint64, np.uint8, np.uint32, np.uint16, np.uint32, np.uint32, np.uint16, np.int32)


class Rows(NamedTuple):
    """Columns with the names that their indices stand for."""

    columns: Columns
    paths: Paths
    sources: tuple[str, ...]


def rows_of(announcements: Iterable[Announcement], sites: Sequence[Site], sources: Sequence[str]) -> Rows:
    """Of announcements with the same prefix, site and source the last one counts. ``sites`` by rank, ``sources`` from ``config`` on.

    Raises BadAnnouncement.
    """
    ranks = {each.name: rank for rank, each in enumerate(sites)}
    numbers = {each: number for number, each in enumerate(sources)}
    paths: dict[tuple[int, ...], int] = {(): 0}
    found: dict[tuple[Prefix, str, str], tuple[int, ...]] = {}
    for each in announcements:
        check((each,), ranks)
        version, number, length = prefix = parse_prefix(each.prefix)
        path = paths.setdefault(each.as_path, len(paths))
        row = (version, number >> 64, number & _LOW, length, ranks[each.site], numbers[each.source], path, each.med, each.order, -1)
        found[prefix, each.site, each.source] = row
    made = _columns(found.values())
    first = np.concatenate([[0], np.cumsum([len(path) for path in paths])]).astype(np.uint32)
    return Rows(made, Paths(first, np.array([asn for path in paths for asn in path], dtype=np.uint32)), tuple(sources))


def _columns(rows: Iterable[tuple[int, ...]]) -> Columns:
    """In parts: to turn them all at once would leave nobody else his turn."""
    left, parts = iter(rows), [[np.zeros(0, dtype=kind) for kind in _TYPES]]
    while part := list(islice(left, _PART)):
        parts.append([np.array(column, dtype=kind) for column, kind in zip(zip(*part, strict=True), _TYPES, strict=True)])
    return Columns._make(np.concatenate(column) for column in zip(*parts, strict=True))


def rows_of_base(base: Base, sites: Sequence[Site], without: Collection[str], changed: Collection[Prefix]) -> Rows:
    """What a table has, but for the sources in ``without``, the prefixes in ``changed``, and sites that there are no longer."""
    arrays = {name: np.asarray(each) for name, each in base.arrays.items()}
    ranks = {each.name: rank for rank, each in enumerate(sites)}
    rank_of = np.array([ranks.get(each.name, -1) for each in base.sites], dtype=np.int64)
    stays = np.array([each not in without for each in base.sources], dtype=bool)
    counts: Index = np.diff(arrays["first"]).astype(np.intp)
    keep = np.ones(len(counts), dtype=bool)
    keep[[index for each in changed if (index := base.find(each)) < len(counts)]] = False
    chosen = np.flatnonzero(np.repeat(keep, counts) & stays[arrays["source"]] & (rank_of[arrays["site"]] >= 0))
    prefix = np.repeat(np.arange(len(counts)), counts)[chosen]
    of_prefix = (arrays[name][prefix] for name in ("version", "high", "low", "length"))
    of_entry = (arrays[name][chosen] for name in ("source", "path", "med", "order", "km"))
    columns = Columns._make((*of_prefix, rank_of[arrays["site"][chosen]].astype(np.uint32), *of_entry))
    return Rows(columns, Paths(arrays["path_first"], arrays["path_numbers"]), base.sources)


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows, with one numbering of sources and of AS paths; paths that no row has any more are left out."""
    sources = tuple(dict.fromkeys([CONFIG, *(source for part in parts for source in part.sources)]))
    columns, offset = [], 0
    for part in parts:
        number = np.array([sources.index(each) for each in part.sources], dtype=np.uint16)
        columns.append(part.columns._replace(source=number[part.columns.source], path=part.columns.path + np.uint32(offset)))
        offset += len(part.paths.first) - 1
    together = Columns._make(np.concatenate(each) for each in zip(*columns, strict=True))
    lengths = np.concatenate([np.diff(part.paths.first.astype(np.int64)) for part in parts])
    numbers = np.concatenate([part.paths.numbers for part in parts])
    used, path = distinct(together.path.astype(np.intp), len(lengths))
    start = np.cumsum(lengths) - lengths
    spans = lengths[used]
    at = np.repeat(start[used], spans) + np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
    paths = Paths(np.concatenate([[0], np.cumsum(spans)]).astype(np.uint32), numbers[at].astype(np.uint32))
    return Rows(together._replace(path=path.astype(np.uint32)), paths, sources)


def arrays_of(
    rows: Rows, sites: Sequence[Site], geography: Geography | None, places: str = ""
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a base is made of: its meta and its arrays."""
    columns = rows.columns._replace(km=kilometres(rows.columns, sites, geography))
    found: Compiled = compiled(columns, rows.paths)
    return meta_of(sites, rows.sources, places), found._asdict()


def base_of(meta: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Base:
    """In memory, without a file."""
    return Base({name: np.ascontiguousarray(each).data for name, each in arrays.items()}, meta)


def table_of(routes: Iterable[Route], sites: Sequence[Site], announcements: Iterable[Announcement], geography: Geography | None) -> Base:
    """Everything compiled in memory. Raises BadRoute and BadAnnouncement."""
    ranked = by_name(sites)
    given = [*spread(routes, {each.name for each in sites}), *announcements]
    sources = tuple(dict.fromkeys([CONFIG, *(each.source for each in given)]))
    return base_of(*arrays_of(rows_of(given, ranked, sources), ranked, geography))


def by_name(sites: Iterable[Site]) -> tuple[Site, ...]:
    """Sites by rank: equal ways are told apart by the site's name."""
    return tuple(sorted(sites, key=lambda each: each.name))
