"""How much the copies near the viewers spared the origin and the links of the sites. Pure.

Offload is the share of the bytes sent to viewers that the origin did not send (all that left it counts, the fill's too); what a site
saved is what it sent less what came in over its link, on misses and by its fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from nearcast.model.site import Site
from nearcast.model.traffic import GenerationFlow, OffloadReport, SiteOffload


class SiteSums(Struct, frozen=True):
    """The sums of one site over the days asked for, as the table ``sites`` has them."""

    site: str
    placed_bytes: int
    reactive_bytes: int
    missed_bytes: int
    parent_bytes: int
    origin_bytes: int
    filled_bytes: int
    fill_origin_bytes: int


class Entry(Struct, frozen=True):
    """One line of the ledger: bytes of one file that came into a site from one kind of source in one generation."""

    generation: int
    site: str
    title_id: str
    file: str
    kind: str
    size_bytes: int
    file_bytes: int


def report(
    days: int, sums: Iterable[SiteSums], misses: Mapping[str, Mapping[str, int]], ledger: Iterable[Entry], sites: Iterable[Site]
) -> OffloadReport:
    """``misses``: bytes by site and cause."""
    tiers = {each.name: each.tier for each in sites}
    found = sorted(sums, key=lambda each: each.site)
    lines = tuple(
        SiteOffload(
            site=each.site,
            tier=tiers.get(each.site, "edge"),
            sent_bytes=each.placed_bytes + each.reactive_bytes + each.missed_bytes,
            placed_bytes=each.placed_bytes,
            reactive_bytes=each.reactive_bytes,
            missed_bytes=each.missed_bytes,
            filled_bytes=each.filled_bytes,
            parent_bytes=each.parent_bytes,
            origin_bytes=each.origin_bytes,
            misses=dict(misses.get(each.site, {})),
        )
        for each in found
    )
    return OffloadReport(
        days=days,
        sites=lines,
        sent_bytes=sum(each.sent_bytes for each in lines),
        origin_bytes=sum(each.origin_bytes + each.fill_origin_bytes for each in found),
        flows=flows(ledger),
    )


def flows(ledger: Iterable[Entry]) -> tuple[GenerationFlow, ...]:
    """By generation, newest first, and site. ``most_times`` over files of known size: bytes that entered, over the file's."""
    kinds: dict[tuple[int, str], dict[str, int]] = {}
    entered: dict[tuple[int, str], dict[tuple[str, str], tuple[int, int]]] = {}
    for each in ledger:
        key = (each.generation, each.site)
        by_kind = kinds.setdefault(key, {})
        by_kind[each.kind] = by_kind.get(each.kind, 0) + each.size_bytes
        if each.kind != "peer":
            files = entered.setdefault(key, {})
            before, size_bytes = files.get((each.title_id, each.file), (0, 0))
            files[each.title_id, each.file] = (before + each.size_bytes, max(size_bytes, each.file_bytes))
    return tuple(
        GenerationFlow(
            generation=generation,
            site=site,
            peer_bytes=by_kind.get("peer", 0),
            tier_bytes=by_kind.get("tier", 0),
            origin_bytes=by_kind.get("origin", 0),
            most_times=max((came / size for came, size in entered.get((generation, site), {}).values() if size), default=0.0),
        )
        for (generation, site), by_kind in sorted(kinds.items(), key=lambda each: (-each[0][0], each[0][1]))
    )


def shares(rungs: Mapping[tuple[str, str], int]) -> dict[str, dict[str, float]]:
    """From bytes by region and rung to shares of each region, and of all of them under the empty name."""
    by_region: dict[str, dict[str, float]] = {}
    for (region, rung), size_bytes in rungs.items():
        for name in {region, ""}:
            into = by_region.setdefault(name, {})
            into[rung] = into.get(rung, 0.0) + size_bytes
    return {
        region: {rung: size / total for rung, size in found.items()}
        for region, found in by_region.items()
        if (total := sum(found.values()))
    }
