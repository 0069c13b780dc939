"""Placement at the size of a large service: how long, how much memory, and how little a day's change moves.

    python -m bench.placement [--json] [--seed N] [--sites N] [--titles N]

Sites of one region share its tastes; each has four unequal appliances that hold 5-20 % of all bytes between them. The second day brings
0.3 % new titles, and demand moves on by a day as ``bench.catalogue`` has it.

*Least possible bytes*: what any plan must move to let each site serve, of the second day's demand, as many bytes from what is placed as
ours does. A lower bound by the linear program that forgets appliances and lets files be cut anywhere: let go of what is worth least,
fetch what is worth most, until the value is reached. A title's copies are as many as in our plan.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import catalogue
from bench.catalogue import RUNGS, Floats
from bench.report import Figure, show
from nearcast.delivery.fill.packing import DAY_S, PEAK_TO_MEAN, Held, Library, Ranked, Room, Rules, nothing, pack, rank, shelve
from nearcast.policy import hashing

TITLES, SITES, REGIONS, CORES = 15_000, 1_000, 50, 2
APPLIANCES = (1.0, 2.0, 2.0, 3.0)
"""Their disks, in parts of a site's."""
NEW = 0.003
DAY = 15
Indices = NDArray[np.int32]
RULES = Rules(copies_max=3, balance=1.1, churn=0.1)
HELD = (0.05, 0.2)
"""Of all bytes, by a site; drawn for each."""
REPEATS = 3
SAMPLED = 10
"""Peers are judged on each tenth site of a region: the judge takes longer than the plan."""
PEAK_LOAD = 0.6
"""Of a site's limit, at the peak of the first day."""


class World(NamedTuple):
    """``libraries`` and ``demand`` (regions × titles) of two days; in the second, new titles come after those of the first."""

    libraries: list[Library]
    demand: list[Floats]
    rooms: list[Room]
    regions: int


class Plan(NamedTuple):
    """One site's ``Held`` as indices, which travel between processes: of files, and of title x appliances + appliance."""

    files: Indices
    holders: Indices


def generate(seed: int, titles: int, sites: int, regions: int) -> World:
    new = max(1, round(titles * NEW))
    made = catalogue.generate(seed, titles=titles, days=DAY + 2, launches_a_day=new, starts_a_day=1e6)
    order = np.argsort(made.launch, kind="stable")
    order = order[int((made.launch <= DAY).sum()) - titles :]  # as many fewer of the old ones
    sizes = np.round(catalogue.sizes_bytes(made.runtime_s[order]))
    tastes = catalogue.tastes(seed, len(order), regions)
    views = np.array([rung.views for rung in RUNGS])
    libraries, demand = [], []
    for day in (DAY, DAY + 1):
        count = int((made.launch[order] <= day).sum())
        libraries.append(library(sizes[:count], views * sizes[:count]))
        demand.append(made.starts[order[:count], day] * (sizes[:count] @ views) * tastes[:, :count])
    source = np.random.default_rng(seed + 2)
    rooms = []
    for site in range(sites):
        parts = np.array(APPLIANCES) / sum(APPLIANCES)
        capacity_bytes = parts * libraries[0].size_bytes.sum() * source.uniform(*HELD)
        asked_bytes = capacity_bytes.sum() * source.uniform(0.3, 1.5)
        limit_bps = parts * asked_bytes * 8 * PEAK_TO_MEAN / DAY_S / PEAK_LOAD
        keys = hashing.keys(f"{site}/{number}" for number in range(len(parts)))
        rooms.append(Room(keys, capacity_bytes, limit_bps, asked_bytes / demand[0][site % regions].sum()))
    return World(libraries, demand, rooms, regions)


def library(sizes: Floats, asked: Floats) -> Library:
    """Of titles × renditions: bytes that they take, and bytes that are asked of them in any unit."""
    title = np.repeat(np.arange(len(sizes)), sizes.shape[1])
    yields = (asked / asked.sum(axis=1)[:, None] / sizes).ravel()
    order = np.lexsort((-yields, title))
    keys = hashing.keys(f"title-{number}" for number in range(len(sizes)))
    return shelve(keys, np.zeros(len(sizes), dtype=np.bool_), title, sizes.ravel()[order], yields[order])


def held(plan: Plan | None, world: World, day: int, site: int) -> Held:
    """The plan (None: nothing) as the library of a day names it."""
    found = nothing(world.libraries[day], world.rooms[site])
    if plan is not None:
        found.files[plan.files] = True
        found.holders[np.divmod(plan.holders, found.holders.shape[1])] = True
    return found


def plan_region(world: World, day: int, region: int, rules: Rules, before: Sequence[Plan | None]) -> list[Plan]:
    """What each site of a region is to hold, given what it holds ``before``."""
    ranked = rank(world.libraries[day], world.demand[day][region])
    plans = []
    for site, was in zip(range(region, len(world.rooms), world.regions), before, strict=True):
        now = pack(world.libraries[day], ranked, world.rooms[site], held(was, world, day, site), rules)
        plans.append(Plan(np.flatnonzero(now.files).astype(np.int32), np.flatnonzero(now.holders).astype(np.int32)))
    return plans


class Fleet:
    """Worker processes that were forked with the world in their memory."""

    def __init__(self, world: World) -> None:
        _shared.append(world)
        self._sites = len(world.rooms)
        self._regions = world.regions
        self._pool = multiprocessing.get_context("fork").Pool(CORES)

    def plan(self, day: int, rules: Rules, before: Sequence[Plan | None]) -> tuple[list[Plan], float]:
        """Every site's plan, and the seconds that took."""
        began_s = time.perf_counter()
        tasks = [(day, region, rules, before[region :: self._regions]) for region in range(self._regions)]
        by_region = list(self._pool.imap(_plan, tasks))
        plans = [by_region[site % self._regions][site // self._regions] for site in range(self._sites)]
        return plans, time.perf_counter() - began_s

    def changes(self, before: list[Plan], after: list[Plan], every: int = 1) -> Change:
        """What a day moved, over all sites or each so-manieth of a region."""
        regions = range(self._regions)
        tasks = [(region, before[region :: self._regions], after[region :: self._regions], every) for region in regions]
        return Change(*np.sum(list(self._pool.imap(_changes, tasks)), axis=0).tolist())

    def close(self) -> None:
        self._pool.close()
        self._pool.join()


_shared: list[World] = []
"""Inherited by forked workers; a world is too large to be sent."""


def _plan(task: tuple[int, int, Rules, Sequence[Plan | None]]) -> list[Plan]:
    return plan_region(_shared[0], *task)


def _changes(task: tuple[int, Sequence[Plan], Sequence[Plan], int]) -> Change:
    return region_changes(_shared[0], *task)


class Change(NamedTuple):
    """From one plan of a site to the next: bytes fetched, the least possible for the same value, value and all demand (bytes a day)."""

    moved_bytes: float
    least_bytes: float
    value_bytes: float
    asked_bytes: float


def change(world: World, ranked: Ranked, site: int, before: Held, after: Held) -> Change:
    library, room = world.libraries[1], world.rooms[site]
    was, now = before.holders.sum(axis=1), after.holders.sum(axis=1)
    new = (after.files[:, None] & after.holders[library.title]) & ~(before.files[:, None] & before.holders[library.title])
    worth = ranked.worth * room.demand_share
    value = float((worth * library.size_bytes)[after.files].sum())
    copies = np.maximum(now, 1)[library.title]
    there = np.where(before.files, np.minimum(was[library.title], copies), 0)
    return Change(
        float((new.sum(axis=1) * library.size_bytes).sum()),
        least_bytes(worth / copies, library.size_bytes * there, library.size_bytes * (copies - there), room.capacity_bytes.sum(), value),
        value,
        float(ranked.demand.sum() * room.demand_share),
    )


def least_bytes(worth: Floats, held_bytes: Floats, absent_bytes: Floats, capacity_bytes: float, value: float) -> float:
    """What must be fetched to reach ``value``, where a byte of each file is ``worth`` so much, and so many bytes are held and absent.

    Fetching x bytes brings the best x absent ones and costs the worst held ones past the room that is free: piecewise linear in x, and
    concave, so the first crossing is the least.
    """
    order = np.argsort(-worth, kind="stable")
    best_bytes, best = sums(absent_bytes[order]), sums((absent_bytes * worth)[order])
    worst_bytes, worst = sums(held_bytes[order[::-1]]), sums((held_bytes * worth)[order[::-1]])
    free_bytes = capacity_bytes - held_bytes.sum()
    fetched = np.unique(np.concatenate([best_bytes, worst_bytes + max(0.0, free_bytes)]))
    reached = worst[-1] + np.interp(fetched, best_bytes, best) - np.interp(fetched - free_bytes, worst_bytes, worst)
    there = int(np.argmax(reached >= value)) if reached.max() >= value else int(np.argmax(reached))
    before = max(0, there - 1)
    return float(np.interp(value, reached[[before, there]], fetched[[before, there]]))


def sums(parts: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(parts)])


def region_changes(world: World, region: int, before: Sequence[Plan], after: Sequence[Plan], every: int) -> Change:
    """Summed over each so-manieth site of a region."""
    ranked = rank(world.libraries[1], world.demand[1][region])
    total = np.zeros(4)
    for number in range(0, len(before), every):
        site = region + number * world.regions
        total += change(world, ranked, site, held(before[number], world, 1, site), held(after[number], world, 1, site))
    return Change(*total.tolist())


def memory_gib() -> float:
    """Of this process and all workers at their largest; pages that they share count for each."""
    kib = 0
    for process in (os.getpid(), *(each.pid for each in multiprocessing.active_children())):
        status = Path(f"/proc/{process}/status").read_text()
        kib += int(status.partition("VmHWM:")[2].split()[0])
    return kib / 2**20


def measure(world: World) -> list[Figure]:
    fleet = Fleet(world)
    nowhere = [None] * len(world.rooms)
    first, first_s = fleet.plan(0, RULES, nowhere)
    again, again_s = zip(*(fleet.plan(1, RULES, first) for _ in range(REPEATS)), strict=True)
    used_gib = memory_gib()
    restless, _ = fleet.plan(1, RULES._replace(churn=0.0), first)
    anew, _ = fleet.plan(1, RULES, nowhere)
    ours = fleet.changes(first, again[0])
    unheld, fresh, sampled = (fleet.changes(first, plans, SAMPLED) for plans in (restless, anew, again[0]))
    fleet.close()
    restless_ratio, fresh_ratio = (each.moved_bytes / sampled.moved_bytes for each in (unheld, fresh))
    size = f"{len(world.libraries[0].keys)} titles x {len(RUNGS)} renditions, {len(world.rooms)} sites x {len(APPLIANCES)} appliances"
    new = len(world.libraries[1].keys) - len(world.libraries[0].keys)
    return [
        Figure(name=f"placement of {size}", unit="s", samples=(first_s,), reach=60, note=f"limit; {CORES} processes"),
        Figure(name="memory of all processes", unit="GiB", samples=(used_gib,), reach=4e9 / 2**30, note="limit; 4 GB"),
        Figure(name=f"a day's change re-planned ({new} new titles)", unit="s", samples=again_s, reach=5),
        Figure(
            name="bytes moved over the least possible for the same value",
            unit="TB",
            samples=(ours.moved_bytes / 1e12,),
            reach=1.2,
            peer=f"by value per byte alone {restless_ratio:.2f} × ours; anew by hashing {fresh_ratio:.2f} × ours; least possible",
            peer_samples=(ours.least_bytes / 1e12,),
        ),
        Figure(
            name="demand not served from what is placed, over a placement anew",
            unit="%",
            samples=(100 - 100 * sampled.value_bytes / sampled.asked_bytes,),
            reach=1.02,
            peer="placed anew",
            peer_samples=(100 - 100 * fresh.value_bytes / fresh.asked_bytes,),
        ),
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--seed", type=int, default=catalogue.SEED, help="of the world (default: %(default)s)")
    parser.add_argument("--titles", type=int, default=TITLES)
    parser.add_argument("--sites", type=int, default=SITES)
    options = parser.parse_args(arguments)
    world = generate(options.seed, options.titles, options.sites, min(REGIONS, options.sites))
    return show("placement", measure(world), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
