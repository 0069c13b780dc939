"""How evenly sessions lie on the appliances of one site, and what moves when one of them goes: the very decider of play answers.

A day's busiest minutes in simulated time: sessions of Zipf titles begin and end at 100 appliances of unequal size, all of which hold
everything (the hardest case: no placement spreads the titles beforehand). Loads are reported twice a second, smoothed as an edge
smooths them, so that the decider never sees what it has just done. Sizes, exponents and catalogues are several, the setting is one.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from bench.report import Figure
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.site import Site
from nearcast.steering.decide import Decider
from nearcast.steering.routes import Match
from nearcast.steering.view import View

APPLIANCES = 100
SESSIONS = 40_000
"""That play at once; as many begin and end again while it is looked at."""
BITRATE_BPS = 5e6
UTILISATION = 0.6
REPORT_S, SMOOTHED_S = 0.5, 3.0
BATCH = 50
"""Sessions that begin between two reports."""
VIRTUAL = 160
"""Points on the ring of plain consistent hashing for the smallest appliance; larger ones have more."""


class World(NamedTuple):
    exponent: float
    titles: int
    sizes: tuple[int, ...]


WORLDS = (World(0.6, 20_000, (1, 3, 9)), World(0.8, 10_000, (1, 2, 4, 8)), World(1.0, 10_000, (1, 2, 4, 8)), World(1.2, 3_000, (1, 10, 40)))


class Everybody:
    """A route table of one site."""

    found = Match("0.0.0.0/0", ("site",), frozenset())

    def match(self, address: str, /) -> Match:
        return self.found


class Busy:
    """One site in simulated time."""

    def __init__(self, world: World, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        sizes = self.random.permutation([world.sizes[each % len(world.sizes)] for each in range(APPLIANCES)])
        unit = SESSIONS * BITRATE_BPS / UTILISATION / sizes.sum()
        self.weights = sizes / sizes.sum()
        self.titles = [f"t{number}" for number in range(world.titles)]
        demand = 1.0 / np.arange(1, world.titles + 1) ** world.exponent
        self.demand = demand / demand.sum()
        self.holdings = dict.fromkeys(self.titles, 1)
        self.appliances = [
            ApplianceHealth(id=f"edge-{seed}-{number}", site="site", address="", limit_bps=float(size * unit), holdings_digest="all")
            for number, size in enumerate(sizes)
        ]
        self.number = {each.id: number for number, each in enumerate(self.appliances)}
        self.count = np.zeros(APPLIANCES)
        self.smooth = np.zeros(APPLIANCES)
        self.playing: list[tuple[str, str, str]] = []
        self.now_s, self.begun = 1000.0, 0
        self.decider = Decider([Site(name="site")])

    def report(self) -> None:
        self.now_s += REPORT_S
        self.smooth += (self.count * BITRATE_BPS - self.smooth) * REPORT_S / SMOOTHED_S
        self.appliances = [
            replace(each, sent_bps=float(sent), share=float(sent) / each.limit_bps)
            for each, sent in zip(self.appliances, self.smooth, strict=True)
        ]
        self.show()

    def show(self) -> None:
        snapshot = HealthSnapshot(version=1, published_s=self.now_s, appliances=tuple(self.appliances))
        self.decider.use(Everybody(), View(snapshot, {each.id: self.holdings for each in self.appliances}))

    def run(self, sessions: int) -> None:
        """Let so many begin; beyond SESSIONS, as many end."""
        drawn = self.random.choice(len(self.titles), size=sessions, p=self.demand)
        ends = self.random.random(sessions)
        for index, (title, end) in enumerate(zip(drawn.tolist(), ends.tolist(), strict=True)):
            if index % BATCH == 0:
                self.report()
            if len(self.playing) >= SESSIONS:
                place = int(end * len(self.playing))
                _, _, where = self.playing[place]
                self.playing[place] = self.playing[-1]
                self.playing.pop()
                self.count[self.number[where]] -= 1
            self.begun += 1
            session, name = f"s{self.begun}", self.titles[title]
            where = self.decider.decide("192.0.2.1", name, count=1, session=session).appliances[0].id
            self.count[self.number[where]] += 1
            self.playing.append((session, name, where))

    def peak(self) -> float:
        """Largest load over limit, over the mean."""
        return float((self.count / self.weights).max() / self.count.sum())

    def places(self) -> list[str]:
        """Where a new session of each title would go now. (What is already known somewhere is not counted as given.)"""
        return [
            self.decider.decide("192.0.2.1", each, count=1, session=f"probe {each}", known=("nowhere",)).appliances[0].id
            for each in self.titles
        ]

    def lose(self, number: int) -> tuple[float, float]:
        """Titles that move over those it had, and sessions in course that move over its own, when the appliance dies."""
        lost = self.appliances[number].id
        before = self.places()
        self.appliances[number] = replace(self.appliances[number], state="down")
        self.show()
        after = [
            self.decider.decide("192.0.2.1", name, count=1, session=session, current=where).appliances[0].id
            for session, name, where in self.playing
        ]
        moved = sum(one != other for (_, _, one), other in zip(self.playing, after, strict=True))
        titles = sum(one != other for one, other in zip(before, self.places(), strict=True))
        self.appliances[number] = replace(self.appliances[number], state="up")
        self.show()
        return titles / max(1, before.count(lost)), moved / max(1.0, float(self.count[number]))


def ring(busy: Busy) -> float:
    """Largest load over limit over the mean, with plain consistent hashing (Karger et al. 1997): points on a ring, by size."""
    smallest = busy.weights.min()
    points = sorted(
        (_point(f"{each.id} {number}"), index)
        for index, each in enumerate(busy.appliances)
        for number in range(round(VIRTUAL * busy.weights[index] / smallest))
    )
    places = [point for point, _ in points]
    load = np.zeros(APPLIANCES)
    for title, demand in zip(busy.titles, busy.demand, strict=True):
        load[points[bisect.bisect(places, _point(title)) % len(points)][1]] += demand
    return float((load / busy.weights).max() / load.sum())


def _point(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def balancing(seed: int) -> list[Figure]:
    """The rows of balance and of movement."""
    peaks: list[float] = []
    plain: list[str] = []
    titles: list[float] = []
    sessions: list[float] = []
    for turn, world in enumerate(WORLDS):
        busy = Busy(world, seed + turn)
        busy.run(SESSIONS)
        for _ in range(4):
            busy.run(SESSIONS // 4)
            peaks.append(busy.peak())
        plain.append(f"{ring(busy):.1f}")
        held = Counter(busy.places())
        for number in busy.random.choice(APPLIANCES, size=4, replace=False).tolist():
            if held[busy.appliances[number].id] >= 20:  # of fewer, one title is a large share
                of_titles, of_sessions = busy.lose(number)
                titles.append(of_titles)
                sessions.append(of_sessions)
    settings = ", ".join(f"Zipf {each.exponent} over {each.titles}" for each in WORLDS)
    return [
        Figure(
            name="load over limit of 100 unequal appliances, max over mean",
            unit="x",
            samples=tuple(peaks),
            reach=1.25,
            quantile=1.0,
            note=f"{settings}; plain consistent hashing: {', '.join(plain)}",
        ),
        Figure(name="titles that move when one goes, over those it had", unit="x", samples=tuple(titles), reach=1.5, quantile=1.0),
        Figure(name="sessions in course that move, over its own", unit="x", samples=tuple(sessions), reach=1.5, quantile=1.0),
    ]
