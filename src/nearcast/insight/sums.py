"""From reports of edges to the sums that are kept. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from nearcast.model.manifest import Manifest
from nearcast.model.traffic import TrafficReport

DAY_S = 86400
ORIGIN_ID = "origin"
AUDIO = "audio"
SITE_SUMS = ("placed_bytes", "reactive_bytes", "missed_bytes", "parent_bytes", "origin_bytes", "filled_bytes", "fill_origin_bytes")


class KnownFile(Struct, frozen=True):
    """What the catalog says of a file. ``rung`` is the rendition's name (``1080p``, ``audio``); empty for pictures, texts, playlists."""

    size_bytes: int
    rung: str = ""


class Sums(Struct, frozen=True):
    """What reports add up to, by the keys of the tables but the day. The values are in the order of the table's columns."""

    demand: dict[tuple[str, str], tuple[int, int]]
    rungs: dict[tuple[str, str], int]
    sites: dict[str, tuple[int, ...]]
    misses: dict[tuple[str, str], int]
    ledger: dict[tuple[int, str, str, str, str], tuple[int, int]]


def known_files(manifest: Manifest) -> dict[str, KnownFile]:
    """Every file of a manifest by name."""
    found = {each.name: KnownFile(each.size_bytes) for each in manifest.files()}
    for rendition in (*manifest.video, *manifest.audio):
        rung = rendition.name if rendition.kind == "video" else AUDIO
        found[rendition.file.name] = KnownFile(rendition.file.size_bytes, rung)
    return found


def day_of(now_s: float) -> int:
    return int(now_s // DAY_S)


def fresh(reports: Iterable[TrafficReport], counted: Mapping[tuple[str, str], int]) -> list[TrafficReport]:
    """Those that were not counted yet: an agent counts its reports up, and repeats one until it is answered."""
    last, found = dict(counted), []
    for each in reports:
        key = (each.appliance, each.run)
        if each.sequence > last.get(key, -1):
            last[key] = each.sequence
            found.append(each)
    return found


def summed(reports: Sequence[TrafficReport], files: Mapping[str, KnownFile]) -> Sums:
    """``files``: what is known of them, by name; what is not known yet counts for no rung, and has no size in the ledger."""
    demand: dict[tuple[str, str], tuple[int, int]] = {}
    rungs: Counter[tuple[str, str]] = Counter()
    misses: Counter[tuple[str, str]] = Counter()
    sites: dict[str, Counter[str]] = {}
    ledger: dict[tuple[int, str, str, str, str], tuple[int, int]] = {}
    for report in reports:
        site = sites.setdefault(report.site, Counter())
        for each in report.served:
            size_bytes = each.placed_bytes + each.reactive_bytes + each.missed_bytes
            before = demand.get((report.site, each.title_id), (0, 0))
            demand[report.site, each.title_id] = (before[0] + size_bytes, before[1] + each.starts)
            known = files.get(each.file)
            if known and known.rung:
                rungs[report.site, known.rung] += size_bytes
            site.update(placed_bytes=each.placed_bytes, reactive_bytes=each.reactive_bytes, missed_bytes=each.missed_bytes)
            if elsewhere := each.reactive_bytes + each.missed_bytes:
                misses[report.site, each.cause] += elsewhere
        site.update(parent_bytes=sum(report.parent_bytes.values()), origin_bytes=report.parent_bytes.get(ORIGIN_ID, 0))
        for fetched in report.fetched:
            key = (fetched.generation, report.site, fetched.title_id, fetched.file, fetched.kind)
            known = files.get(fetched.file)
            ledger[key] = (ledger.get(key, (0, 0))[0] + fetched.size_bytes, known.size_bytes if known else 0)
            if fetched.kind != "peer":
                site.update(filled_bytes=fetched.size_bytes)
            if fetched.kind == "origin":
                site.update(fill_origin_bytes=fetched.size_bytes)
    columns = {name: tuple(found[each] for each in SITE_SUMS) for name, found in sites.items()}
    return Sums(demand, dict(rungs), columns, dict(misses), ledger)
