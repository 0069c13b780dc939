"""Which appliances a placement counts on. Pure: who is silent for a while keeps its share, who is gone for good gives it up.

To take an appliance out of a placement moves its titles to others and back again when it returns; a restart must not cost that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nearcast.delivery.fill.placement import ApplianceRoom, SiteRoom
from nearcast.delivery.fill.schedule import FillPeer
from nearcast.model.site import ApplianceReport, Site

GONE_S = 600.0
"""Who was silent for so long is gone."""
GROWN = 1.05
SHRUNK = 0.999
"""Room that changes by less is no reason to plan anew: file systems breathe."""
SHORT = 0.9
"""The same of room that is bounded by what is free: files under way, and others on the disk, take of it and give it back."""


class Member(Struct, frozen=True, kw_only=True):
    """An appliance that takes part. ``configured``: it stood in the configuration of this host, where its absence means something."""

    id: str
    site: str
    url: str
    capacity_bytes: int
    limit_bps: float = 0.0
    configured: bool = False


Members = Mapping[str, Member]


def room_bytes(report: ApplianceReport, before_bytes: int | None) -> int:
    """What an appliance can be given to hold: no more than it holds and there is free, whatever its partition is to be. Appliances that
    share a disk each count all that is free, until they have filled it. ``before_bytes``: what was counted on so far.

    What is under way takes room already, and is not held yet: it counts, but where it gets no further, and never as room that came back.
    """
    told = report.held_bytes > 0 or report.disk_free_bytes > 0
    there_bytes = report.held_bytes + report.disk_free_bytes if told else report.capacity_bytes
    coming_bytes = 0 if report.problem else report.missing_bytes
    least, most = (min(report.capacity_bytes, each) for each in (there_bytes, there_bytes + coming_bytes))
    lowest = SHRUNK if most == report.capacity_bytes else SHORT
    if before_bytes is None or most < before_bytes * lowest:
        return most
    return least if least > before_bytes * GROWN else before_bytes


def met(members: Members, reports: Iterable[ApplianceReport], configured: Collection[str]) -> dict[str, Member]:
    """``members`` with who reports now. Who holds films and tells of no room is not believed: an empty placement would empty its disk."""
    found = dict(members)
    for report in reports:
        before = found.get(report.id)
        if report.capacity_bytes <= 0 and (report.holdings or before):
            continue
        found[report.id] = Member(
            id=report.id,
            site=report.site,
            url=report.address.rstrip("/"),
            capacity_bytes=room_bytes(report, before.capacity_bytes if before else None),
            limit_bps=report.limit_bps,
            configured=report.id in configured,
        )
    return found


def remaining(
    members: Members, silent_s: Mapping[str, float], configured: Collection[str], dismissed: Collection[str]
) -> dict[str, Member]:
    """``members`` without who is gone: silent for GONE_S, shut out, or taken out of this host's configuration."""
    return {
        name: each
        for name, each in members.items()
        if silent_s.get(name, 0.0) < GONE_S and name not in dismissed and (not each.configured or name in configured)
    }


def shape(members: Members) -> tuple[tuple[str, str, int], ...]:
    """What a placement depends on: another shape asks for another placement."""
    return tuple(sorted((each.id, each.site, each.capacity_bytes) for each in members.values()))


def site_of(name: str, sites: Mapping[str, Site]) -> Site:
    """The site of that name; one that no configuration knows stands alone, in a region of its own."""
    return sites.get(name) or Site(name=name)


def rooms(members: Members, sites: Mapping[str, Site]) -> tuple[SiteRoom, ...]:
    """The sites with their appliances. The sites of one tier in a region share its demand evenly; each tier sees all of it."""
    by_site: dict[str, list[Member]] = {}
    for each in members.values():
        by_site.setdefault(each.site, []).append(each)
    kinds = {name: (site_of(name, sites).taste, site_of(name, sites).tier) for name in by_site}
    among = {kind: list(kinds.values()).count(kind) for kind in kinds.values()}
    return tuple(
        SiteRoom(
            name=name,
            region=kinds[name][0],
            appliances=tuple(ApplianceRoom(each.id, each.capacity_bytes, each.limit_bps) for each in sorted(found, key=lambda one: one.id)),
            demand_share=1 / among[kinds[name]],
        )
        for name, found in sorted(by_site.items())
    )


def peers(
    members: Members,
    reports: Mapping[str, ApplianceReport],
    sites: Mapping[str, Site],
    tokens: Mapping[str, str],
    held: Mapping[str, Mapping[str, int]],
) -> tuple[FillPeer, ...]:
    """The fleet as the schedule sees it, by id. ``reports``: of those that are heard; the others are down, and hold what they last told."""
    found = []
    for name, member in sorted(members.items()):
        site = site_of(member.site, sites)
        peer = FillPeer(
            id=name,
            site=member.site,
            tier=site.tier,
            parents=site.parents,
            timezone=site.timezone,
            url=member.url,
            token=tokens[name],
            state="down",
            holdings=held.get(name, {}),
        )
        if report := reports.get(name):
            peer = replace(
                peer,
                state=report.state,
                stuck=bool(report.problem),
                holdings=report.holdings,
                missing_bytes=report.missing_bytes,
                generation=report.generation,
            )
        found.append(peer)
    return tuple(found)


def signature(peers: Sequence[FillPeer], generation: int) -> tuple[object, ...]:
    """What of these peers an assignment depends on. The bytes that tick by while they fill are not of it."""
    return tuple(
        (
            each.id,
            each.site,
            each.url,
            each.state,
            each.stuck,
            each.missing_bytes > 0,
            each.generation == generation,
            tuple(sorted(each.holdings.items())) if each.stuck or each.state == "down" else (),
        )
        for each in peers
    )
