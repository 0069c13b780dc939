"""What comes to move when one placement follows another: bytes by site and title, and how long they take. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from nearcast.delivery.fill.schedule import LAUNCH_BPS, Files, FillPeer
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import PlacedChange, Placement, SiteMove
from nearcast.policy.windows import window_at

Names = set[tuple[str, str]]
"""Files by title id and name."""


def names_at(placement: Placement, appliances: Iterable[str]) -> Names:
    """What these appliances are to hold, each file once."""
    return {(title, name) for each in appliances for title, names in placement.holdings.get(each, {}).items() for name in names}


def size_of(files: Files, names: Iterable[tuple[str, str]]) -> int:
    """Bytes of what is still published; what was withdrawn counts nothing."""
    return sum(found.size_bytes for title, name in names if (found := files.get(title, {}).get(name)) is not None)


def missing_by_title(placement: Placement, appliance: str, files: Files, held: Mapping[str, int]) -> dict[str, int]:
    """Bytes that an appliance lacks of what it is to hold, by title id. ``held``: bytes that it has of each, as it told."""
    found = {}
    for title_id, names in placement.holdings.get(appliance, {}).items():
        left_bytes = size_of(files, ((title_id, name) for name in names)) - held.get(title_id, 0)
        if left_bytes > 0:
            found[title_id] = left_bytes
    return found


def site_moves(
    before: Placement,
    after: Placement,
    files: Files,
    fleet: Sequence[FillPeer],
    capacity_bytes: Mapping[str, int],
    settings: FillSettings,
    now: datetime,
    *,
    missing_bytes: Mapping[str, int] = {},
    urgent: Mapping[str, Collection[str]] = {},
) -> tuple[SiteMove, ...]:
    """Of each site, by name. ``files``: of withdrawn titles, too, as far as they are to be counted; ``capacity_bytes`` and
    ``missing_bytes`` by appliance; ``urgent``: titles that do not wait for the window, by site."""
    found = []
    for site in sorted({each.site for each in fleet}):
        peers = [each for each in fleet if each.site == site]
        ids = [each.id for each in peers]
        had, has = names_at(before, ids), names_at(after, ids)
        fetched = {each: size_of(files, names_at(after, [each]) - names_at(before, [each])) for each in ids}
        enter_bytes = size_of(files, has - had)
        window = window_at(settings.window, peers[0].timezone, now)
        coming = {title for each in ids for title, _ in names_at(after, [each]) - names_at(before, [each])}
        waits = not window.open and not (coming and coming <= set(urgent.get(site, ())))
        found.append(
            SiteMove(
                site=site,
                appliances=len(peers),
                held_bytes=sum(size_of(files, names_at(after, [each])) for each in ids),
                capacity_bytes=sum(capacity_bytes.get(each, 0) for each in ids),
                titles_in=len({title for title, _ in has} - {title for title, _ in had}),
                titles_out=len({title for title, _ in had} - {title for title, _ in has}),
                enter_bytes=enter_bytes,
                inside_bytes=sum(fetched.values()) - enter_bytes,
                leave_bytes=sum(size_of(files, names_at(before, [each]) - names_at(after, [each])) for each in ids),
                seconds=duration_s(fetched.values(), settings),
                opens_in_s=window.turns_in_s if waits else 0.0,
                missing_bytes=sum(missing_bytes.get(each, 0) for each in ids),
            )
        )
    return tuple(found)


def duration_s(fetched_bytes: Iterable[int], settings: FillSettings) -> float:
    """How long a site's appliances take at their caps; where nothing is capped, at LAUNCH_BPS."""
    each = list(fetched_bytes)
    alone = max(each, default=0) * 8 / (settings.appliance_max_bps or LAUNCH_BPS)
    together = sum(each) * 8 / settings.site_max_bps if settings.site_max_bps else 0.0
    return max(alone, together)


def origin_bytes(before: Placement, after: Placement, files: Files, fleet: Sequence[FillPeer]) -> int:
    """What leaves the origin: each new file once for each exchange that it passes, and once for each site without one."""
    doors: dict[str, tuple[Names, Names]] = {}
    for peer in fleet:
        door = next(iter(peer.parents), peer.site) if peer.tier == "edge" else peer.site
        held, wanted = doors.setdefault(door, (set(), set()))
        if peer.site == door:  # what the exchange holds already need not be asked for; what its edges hold it cannot take from them
            held |= names_at(before, [peer.id])
        wanted |= names_at(after, [peer.id]) - names_at(before, [peer.id])
    return sum(size_of(files, wanted - held) for held, wanted in doors.values())


def changes(
    before: Placement, after: Placement, files: Files, fleet: Sequence[FillPeer], titles: Mapping[str, str]
) -> tuple[PlacedChange, ...]:
    """Each title at each appliance of which bytes come or go, the largest first. ``titles``: what they are called."""
    found = []
    for peer in fleet:
        had, has = before.holdings.get(peer.id, {}), after.holdings.get(peer.id, {})
        for title_id in {*had, *has}:
            old, new = ({(title_id, name) for name in each.get(title_id, ())} for each in (had, has))
            in_bytes, out_bytes = size_of(files, new - old), size_of(files, old - new)
            if in_bytes or out_bytes:
                name = titles.get(title_id, "")
                found.append(
                    PlacedChange(appliance=peer.id, site=peer.site, title_id=title_id, name=name, in_bytes=in_bytes, out_bytes=out_bytes)
                )
    return tuple(sorted(found, key=lambda each: (-each.in_bytes - each.out_bytes, each.appliance, each.title_id)))
