"""A month at one site: films placed in the quiet hours and a small reactive partition, against an LRU cache of the same disk.

    python -m bench.fill [--json] [--seed N]... [--starts N]

What production runs is what is run here, with its default settings: forecast (policy.popularity), placement (delivery.fill.packing),
surprises within the day, and for the reactive partition admission and eviction of delivery.edge, without its window in memory. What is
planned at 02:00 is there at 05:00, when a day begins; a surprise is answered within the hour, but for the peak hours (18:00-24:00), which
it waits out. Demand and viewers: ``bench.catalogue`` and ``bench.town``. The forecast sees the region, of which the site is a part.

Disk: where LRU serves 69 % of the bytes in the month. *Oracle*: the better of two placements each night, on all of the same disk, that
know the next day: how often each file will be asked for at this site (exact requests), or what chance draws from (true rates). Both begin
with what ours holds, and fetch each night at most what ours fetched for that day.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from bench import catalogue
from bench.catalogue import RUNGS, Floats
from bench.report import Figure, show
from bench.town import FIRST_HOUR, SITE_SHARE, SLICE_BYTES, STARTS_A_DAY, WARM_DAYS, Day, Town, build, days
from nearcast.delivery.edge.admission import Admission
from nearcast.delivery.edge.eviction import Eviction
from nearcast.delivery.fill.knowledge import peak_at
from nearcast.delivery.fill.packing import Held, Ranked, Room, Rules, falling, nothing, pack, rank
from nearcast.delivery.settings import EdgeSettings, FillSettings
from nearcast.model.traffic import DemandDay
from nearcast.policy import hashing, popularity

PLAN_HOUR = 21
"""02:00, in hours since the day's first."""
LRU_HITS = 0.69
FILL = FillSettings()
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
PEAK_HOURS = frozenset(hour for hour in range(24) if peak_at(FILL, "UTC", MIDNIGHT + timedelta(hours=FIRST_HOUR + hour)).open)
"""In hours since the day's first."""
RULES = Rules(copies_max=1, balance=FILL.balance, churn=FILL.churn)
REACTIVE_SHARE = EdgeSettings(id="edge", site="site", port=8101).reactive_share
SETTLE_DAYS = 7
"""Ours runs so long before the month begins, as LRU does all along."""
CHURN_MAX = 1000.0


class Tally(NamedTuple):
    """Slices of the month: asked for, not served from the disk, and written to it in peak hours, to either partition."""

    asked: int = 0
    missed: int = 0
    placed_peak: int = 0
    reactive_peak: int = 0

    def plus(self, *more: int) -> Tally:
        return Tally(*(mine + each for mine, each in zip(self, more, strict=True)))

    @property
    def hits(self) -> float:
        """Percent of bytes."""
        return 100 * (1 - self.missed / self.asked)


def lru(month: list[Day], capacity: int) -> Tally:
    held: OrderedDict[int, None] = OrderedDict()
    tally = Tally()
    for day, asked in enumerate(month):
        missed = peak = 0
        for name, hour in zip(asked.slice.tolist(), asked.hour.tolist(), strict=True):
            if name in held:
                held.move_to_end(name)
                continue
            missed += 1
            peak += hour in PEAK_HOURS
            held[name] = None
            if len(held) > capacity:
                held.popitem(last=False)
        if day >= WARM_DAYS:
            tally = tally.plus(len(asked.slice), missed, 0, peak)
    return tally


def lru_disk(month: list[Day]) -> tuple[int, Tally]:
    """The disk, in slices, where LRU serves LRU_HITS: its hits grow with the logarithm of the disk, about, so secants find it."""
    low, high = 1000, int(sum(len(set(day.slice.tolist())) for day in month[:7]))
    while True:
        middle = round((low * high) ** 0.5)
        tally = lru(month, middle)
        if abs(tally.hits - 100 * LRU_HITS) < 0.5 or high <= low + 1:
            return middle, tally
        low, high = (middle, high) if tally.hits < 100 * LRU_HITS else (low, middle)


class Reactive:
    """The reactive partition as the agent runs it, without its window in memory."""

    def __init__(self, capacity_bytes: int) -> None:
        self._admission, self._eviction = Admission(capacity_bytes), Eviction(capacity_bytes)
        self._admitted: set[str] = set()

    def request(self, name: str) -> tuple[bool, bool]:
        """Was it held, was it written?"""
        if name in self._eviction:
            self._eviction.request(name, SLICE_BYTES)
            return True, False
        if name in self._admitted:
            self._admitted.discard(name)
            self._eviction.request(name, SLICE_BYTES)
            return False, True
        if self._admission.request(name, SLICE_BYTES, True):
            self._admitted.add(name)
        return False, False


class History:
    """What the region has asked for so far, as the forecast wants it."""

    def __init__(self, town: Town) -> None:
        self._launch = np.maximum(town.made.launch, -popularity.AGE_MAX)
        self._demand: list[Floats] = []
        self._starts: list[Floats] = []

    def end(self, day: Day) -> None:
        self._demand.append(day.region_bytes.sum(axis=0))
        self._starts.append(day.region_starts.sum(axis=0))

    def tomorrow(self, day: Day) -> tuple[Floats, Floats]:
        """T: bytes and starts forecast for the next day, when PLAN_HOUR hours of this one are over."""
        first = max(0, len(self._demand) - FILL.days)
        demand = np.array([*self._demand[first:], day.region_bytes[:PLAN_HOUR].sum(axis=0)])
        starts = np.array([*self._starts[first:], day.region_starts[:PLAN_HOUR].sum(axis=0)])
        seen = popularity.Seen(demand.T, starts.T, first - self._launch)
        level = popularity.predict([seen], first % popularity.WEEK_DAYS, popularity.WEEK_DAYS, len(demand) - 1)[0]
        level = np.where(self._launch > len(self._demand) + 1, 0.0, level)  # not published
        return level, level * popularity.starts_per_byte(seen)


class Site:
    """One appliance of ``disk`` slices, with both partitions."""

    def __init__(self, town: Town, disk: int) -> None:
        reactive_bytes = int(disk * REACTIVE_SHARE) * SLICE_BYTES
        self._town = town
        self._reactive = Reactive(reactive_bytes)
        self._room = Room(hashing.keys(["edge"]), np.array([float(disk * SLICE_BYTES - reactive_bytes)]), np.zeros(1), SITE_SHARE)
        self.held = nothing(town.library, self._room)
        self.tally = Tally()
        self._expected = popularity.Forecast(0, {}, {})
        self._answered: set[str] = set()

    def place(self, demand: Floats) -> int:
        """Slices that the fill fetches, by bytes expected of the region."""
        before = self.held
        self.held = pack(self._town.library, rank(self._town.library, demand), self._room, before, RULES)
        return int(self._town.slices[self.held.files & ~before.files].sum())

    def expect(self, number: int, level: Floats, starts: Floats) -> None:
        """The forecast of a day that begins now."""
        names = [str(title) for title in range(len(level))]
        kept = np.maximum(level, 1e-9), np.maximum(starts, 1e-12)
        by_name = [dict(zip(names, each.tolist(), strict=True)) for each in kept]
        self._expected = popularity.Forecast(number, {"": by_name[0]}, {"": by_name[1]})
        self._answered.clear()

    def react(self, day: Day, hour: int) -> int:
        """Slices fetched at once for titles that are beyond all expectation when ``hour`` hours of the day are over."""
        asked, begun = day.region_bytes[:hour].sum(axis=0), day.region_starts[:hour].sum(axis=0)
        rows = [DemandDay(self._expected.day, "", str(title), asked[title], begun[title]) for title in np.flatnonzero(begun).tolist()]
        found = popularity.surprises(self._expected, rows, surprise_factor=FILL.surprise_factor).get("", {})
        if not found.keys() - self._answered:
            return 0
        self._answered |= found.keys()
        demand = np.array(list(self._expected.bytes[""].values()))
        demand[[int(title) for title in found]] = list(found.values())
        return self.place(demand)

    def serve(self, day: Day, hour: int, counted: bool) -> None:
        span = slice(*np.searchsorted(day.hour, (hour, hour + 1)).tolist())
        placed = self.held.files[day.file[span]]
        missed = written = 0
        for name in day.slice[span][~placed].tolist():
            was_held, was_written = self._reactive.request(str(name))
            missed += not was_held
            written += was_written
        if counted:
            self.tally = self.tally.plus(len(placed), missed, 0, written if hour in PEAK_HOURS else 0)


class Push(NamedTuple):
    """How the month went: ``held`` at its begin, and the slices that the fill fetched for each of its days, and within it."""

    tally: Tally
    held: Held
    fetched: list[int]


def push(town: Town, month: list[Day], disk: int) -> Push:
    site, history = Site(town, disk), History(town)
    begin, fetched = site.held, [0] * len(month)
    tomorrow = None
    for number, day in enumerate(month):
        if number == WARM_DAYS:
            begin = site.held
        if tomorrow is not None:
            site.expect(number, *tomorrow)
            for hour in range(24):
                if hour and hour not in PEAK_HOURS:  # the fill leaves the peak to viewers
                    fetched[number] += site.react(day, hour)
                site.serve(day, hour, number >= WARM_DAYS)
        if number >= WARM_DAYS - SETTLE_DAYS and number + 1 < len(month):
            tomorrow = history.tomorrow(day)
            fetched[number + 1] += site.place(tomorrow[0])
        history.end(day)
    return Push(site.tally, begin, fetched[WARM_DAYS:])


def nightly(town: Town, month: list[Day], disk: int, ours: Push, asked: list[Floats]) -> float:
    """Percent of bytes served by a placement each night for demand that is known: slices ``asked`` of each file (days of the month × F).

    It begins with what ours held, has all of the disk, and fetches each night what ours fetched for that day at most.
    """
    library = town.library
    room = Room(hashing.keys(["edge"]), np.array([float(disk * SLICE_BYTES)]), np.zeros(1), 1.0)
    held, missed, total = ours.held, 0, 0
    for number, day in enumerate(month[WARM_DAYS:]):
        worth = asked[number] / town.slices
        order = falling(worth)
        demand = np.bincount(library.title, asked[number] * SLICE_BYTES).astype(np.float64)
        ranked = Ranked(demand, worth, order, np.cumsum(library.size_bytes[order]), falling(demand))
        budget = ours.fetched[number] + (int(disk * REACTIVE_SHARE) if number == 0 else 0)
        low, high = 0.0, CHURN_MAX  # the price of fetching at which the night's budget is just not spent
        for _ in range(16):
            price = (low + high) / 2
            now = pack(library, ranked, room, held, RULES._replace(churn=price))
            low, high = (low, price) if town.slices[now.files & ~held.files].sum() <= budget else (price, high)
        held = pack(library, ranked, room, held, RULES._replace(churn=high))
        missed += int((~held.files[day.file]).sum())
        total += len(day.file)
    return 100 * (1 - missed / total)


class Outcome(NamedTuple):
    seed: int
    disk_share: float
    lru: Tally
    ours: Tally
    exact: float
    rates: float
    yesterday: float
    fetched_share: float
    """Of the disk, by the fill on a mean day."""

    @property
    def oracle(self) -> float:
        return max(self.exact, self.rates)

    @property
    def gap(self) -> float:
        """What is left of the way from LRU to the oracle."""
        return (self.oracle - self.ours.hits) / (self.oracle - self.lru.hits)


def simulate(seed: int, starts_a_day: float) -> Outcome:
    town = build(seed, starts_a_day)
    month = list(days(town, seed))
    disk, cache = lru_disk(month)
    ours = push(town, month, disk)
    views = np.array([rung.views for rung in RUNGS])[town.rung]
    counted = [day.site_slices.astype(np.float64) for day in month]
    rates = [town.made.starts[town.library.title, number] * views * town.slices * SITE_SHARE for number in range(WARM_DAYS, len(month))]
    exact, known, yesterday = (nightly(town, month, disk, ours, each) for each in (counted[WARM_DAYS:], rates, counted[WARM_DAYS - 1 : -1]))
    fetched = float(np.mean(ours.fetched)) / disk
    return Outcome(seed, disk / float(town.slices.sum()), cache, ours.tally, exact, known, yesterday, fetched)


def figures(found: list[Outcome]) -> list[Figure]:
    def each(name: str, unit: str, value: Callable[[Outcome], float], reach: float, note: str, at_least: bool = False) -> Figure:
        samples = tuple(value(one) for one in found)
        return Figure(name=name, unit=unit, samples=samples, reach=reach, note=note, at_least=at_least, quantile=0.0 if at_least else 1.0)

    def mean(value: Callable[[Outcome], float]) -> float:
        return float(np.mean([value(one) for one in found]))

    hits = f"{mean(lambda one: one.lru.hits):.1f} % to {mean(lambda one: one.ours.hits):.1f} %"
    oracles = f"exact requests {mean(lambda one: one.exact):.1f} %, true rates {mean(lambda one: one.rates):.1f} %"
    yesterday = f"who places what was asked yesterday: {mean(lambda one: one.yesterday):.1f} %"
    disk = f"disk {mean(lambda one: 100 * one.disk_share):.1f} % of all bytes"
    filled = f"fill: {mean(lambda one: 100 * one.fetched_share):.1f} % of the disk a day"
    return [
        each("byte hits of LRU, off 69 %", "points", lambda one: abs(one.lru.hits - 100 * LRU_HITS), 2, disk),
        each("byte hits, push + reactive above LRU", "points", lambda one: one.ours.hits - one.lru.hits, 6, hits, at_least=True),
        each("left of the gap from LRU to the better oracle", "of it", lambda one: one.gap, 0.5, f"{oracles}; {yesterday}; {filled}"),
        each("disk writes in peak hours, placed", "slices", lambda one: one.ours.placed_peak, 0, "limit"),
        each(
            "disk writes in peak hours, reactive over LRU", "×", lambda one: one.ours.reactive_peak / one.lru.reactive_peak, 0.25, "limit"
        ),
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fill", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--seed", type=int, action="append", help=f"of catalogue and viewers, may come often (default: {catalogue.SEED})")
    parser.add_argument("--starts", type=float, default=STARTS_A_DAY, help="playbacks a day at the site (default: %(default)s)")
    options = parser.parse_args(arguments)
    found = []
    for seed in options.seed or [catalogue.SEED]:
        began_s = time.perf_counter()
        found.append(simulate(seed, options.starts))
        one = found[-1]
        print(
            f"seed {seed}: LRU {one.lru.hits:.2f} %, ours {one.ours.hits:.2f} %, oracles {one.exact:.2f} and {one.rates:.2f} %"
            f" ({time.perf_counter() - began_s:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    return show("fill", figures(found), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
