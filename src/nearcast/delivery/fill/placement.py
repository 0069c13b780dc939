"""Which files of which titles each appliance is to hold tomorrow. Pure: the same world gives every planner the same placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from nearcast.delivery.fill.packing import Held, Ranked, Room, Rules, nothing, pack, rank, shelve
from nearcast.policy import hashing

Holdings = Mapping[str, tuple[str, ...]]
"""File names by title id."""
SHARE_LEAST = 1e-9
"""A site that nobody asked yet values titles as its region does."""


class FileValue(Struct, frozen=True):
    """``share`` of its title's bytes is asked of this file; 0: a small companion (playlist, picture, text), held wherever the title is."""

    name: str
    size_bytes: int
    share: float


class TitleValue(Struct, frozen=True):
    """``pinned``: on every site, all its files."""

    title_id: str
    files: tuple[FileValue, ...]
    pinned: bool = False


class ApplianceRoom(Struct, frozen=True):
    """``limit_bps`` 0: not known."""

    id: str
    capacity_bytes: int
    limit_bps: float = 0.0


class SiteRoom(Struct, frozen=True):
    """``demand_share``: of its region's demand."""

    name: str
    region: str
    appliances: tuple[ApplianceRoom, ...]
    demand_share: float = 1.0


class World(Struct, frozen=True):
    """``demand``: region → title id → bytes in the next day."""

    titles: tuple[TitleValue, ...]
    sites: tuple[SiteRoom, ...]
    demand: Mapping[str, Mapping[str, float]]


def place(
    world: World, previous: Mapping[str, Holdings], *, copies_max: int, balance: float, churn: float
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Appliance id → title id → file names, given what each was to hold before. An appliance that is to hold nothing has an empty entry.

    ``copies_max`` per site. ``balance`` (above 1): no appliance gets more than so many times its fair share of a site's load.
    ``churn``: what a byte must earn, in bytes served a day, above what it displaces, to be worth fetching.
    """
    rules = Rules(copies_max, balance, churn)
    titles = sorted(world.titles, key=lambda title: title.title_id)
    groups = [group for title in titles for group in grouped(title)]
    at = {title.title_id: index for index, title in enumerate(titles)}
    library = shelve(
        keys=hashing.keys(at),
        pinned=np.array([title.pinned for title in titles], dtype=np.bool_),
        title=np.array([at[group.title_id] for group in groups], dtype=np.intp),
        size_bytes=np.array([group.size_bytes for group in groups], dtype=np.float64),
        yields=np.array([group.yields for group in groups], dtype=np.float64),
    )
    index = {(group.title_id, group.names[0]): number for number, group in enumerate(groups)}
    ranked: dict[str, Ranked] = {}
    placed: dict[str, dict[str, tuple[str, ...]]] = {}
    for site in sorted(world.sites, key=lambda site: site.name):
        if site.region not in ranked:
            asked = world.demand.get(site.region, {})
            ranked[site.region] = rank(library, np.array([max(0.0, asked.get(title_id, 0.0)) for title_id in at]))
        appliances = sorted((each for each in site.appliances if each.capacity_bytes > 0), key=lambda each: each.id)
        placed |= {each.id: {} for each in site.appliances}
        if not appliances or not groups:
            continue
        room = Room(
            keys=hashing.keys(each.id for each in appliances),
            capacity_bytes=np.array([each.capacity_bytes for each in appliances], dtype=np.float64),
            limit_bps=np.array([each.limit_bps for each in appliances], dtype=np.float64),
            demand_share=max(site.demand_share, SHARE_LEAST),
        )
        before = held_before(nothing(library, room), [previous.get(each.id, {}) for each in appliances], at, index)
        held = pack(library, ranked[site.region], room, before, rules)
        for number, each in enumerate(appliances):
            placed[each.id] = named(groups, np.flatnonzero(held.files & held.holders[library.title, number]).tolist())
    return placed


class Group(Struct, frozen=True):
    """One rendition's file, the first of its title with the title's companions."""

    title_id: str
    names: tuple[str, ...]
    size_bytes: int
    yields: float


def grouped(title: TitleValue) -> list[Group]:
    """The files of one title, what serves most per byte first. Where nothing is known of shares, files are asked for by their sizes."""
    companions = [each for each in title.files if each.share <= 0]
    files = [each for each in title.files if each.share > 0]
    if not files:
        files, companions = companions, []
    whole_bytes = sum(each.size_bytes for each in files)
    found = []
    for each in files:
        yields = each.share / max(1, each.size_bytes) if each.share > 0 else 1 / max(1, whole_bytes)
        found.append(Group(title.title_id, (each.name,), each.size_bytes, yields))
    found.sort(key=lambda group: (-group.yields, group.names))
    if companions:
        names = found[0].names + tuple(sorted(each.name for each in companions))
        found[0] = Group(title.title_id, names, found[0].size_bytes + sum(each.size_bytes for each in companions), found[0].yields)
    return found


def held_before(held: Held, previous: Iterable[Holdings], at: Mapping[str, int], index: Mapping[tuple[str, str], int]) -> Held:
    """What the site's appliances held, as far as it still exists, written into ``held``."""
    for number, holdings in enumerate(previous):
        for title_id, names in holdings.items():
            files = [index[title_id, name] for name in names if (title_id, name) in index]
            held.files[files] = True
            if files:
                held.holders[at[title_id], number] = True
    return held


def named(groups: list[Group], files: list[int]) -> dict[str, tuple[str, ...]]:
    """Names of files by title, as ``place`` gives them."""
    found: dict[str, tuple[str, ...]] = {}
    for file in files:
        found[groups[file].title_id] = found.get(groups[file].title_id, ()) + groups[file].names
    return found
