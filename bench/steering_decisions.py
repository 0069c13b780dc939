"""Full decisions: an address as text and a title go in, three URLs with MACs come out, as the play process answers them.

Forty sites of four unequal appliances each, prefixes of ISPs of very unequal size, 10,000 Zipf titles, of which a site holds what is
asked for most: one decision in seven is for a title that nobody near holds. Every decision is another session's, most are of another
client. The same at 1,000 sites, where hardly anything is asked for twice: there are 40 million pairs of appliance and title, and a
decision sees three. Times are of the CPU, so that what else runs on the machine counts as little as possible.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.report import Figure, quantile
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement, Route
from nearcast.model.services import SteerQuestion
from nearcast.model.site import Site
from nearcast.steering.routes.reader import TableReader
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.service import SteeringService
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View

PREFIXES = 60_000
"""A busy process sees clients of each within seconds; a prefix seen for the first time is a row of its own (``lookup``)."""
HELD_SHARE = 0.4
"""Of the titles, those asked for most: six of seven requests are for what a site holds."""
TITLES = 10_000
EXPONENT = 0.9
ROUNDS, ROUND, BATCH = 10, 20_000, 1_000
WARM = 300_000
"""Decisions made before any is timed: some seconds of a process that is as busy as REACH_PER_S."""
REACH_PER_S, REACH_P99_US = 50_000, 100


class Shown:
    """A view that stays."""

    def __init__(self, shown: View) -> None:
        self.shown = shown

    def view(self) -> View:
        return self.shown


def fleet(sites: int, titles: int, random: Any) -> tuple[tuple[Site, ...], View]:
    """Sites all over the world, and their appliances: each site has holdings of its own, as different machines do."""
    places = tuple(
        Site(
            name=f"site-{number}",
            zone=f"zone-{number % 60}",
            latitude=float(random.uniform(-60, 60)),
            longitude=float(random.uniform(-180, 180)),
        )
        for number in range(sites)
    )
    held = [{f"t{title}": 1 for title in range(int(titles * HELD_SHARE))} for _ in places]
    appliances = tuple(
        ApplianceHealth(
            id=f"{site.name}-{number}",
            site=site.name,
            address=f"https://{site.name}-{number}.cdn.example",
            limit_bps=1e10 * (1 + number),
            share=0.4,
            sent_bps=4e9 * (1 + number),
            holdings_digest="0" * 16,
        )
        for site in places
        for number in range(4)
    )
    holdings = {each.id: held[index // 4] for index, each in enumerate(appliances)}
    return places, View(HealthSnapshot(version=1, published_s=time.monotonic(), appliances=appliances), holdings)


def announcements(sites: int, random: Any) -> list[Announcement]:
    """Each prefix is announced for two sites by two ISPs' ways of different length."""
    chosen = random.integers(0, sites, size=(PREFIXES, 2)).tolist()
    return [
        Announcement(
            prefix=f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24",
            site=f"site-{site}",
            source="isp",
            as_path=(64512,) * (1 + place),
        )
        for number, pair in enumerate(chosen)
        for place, site in enumerate(dict.fromkeys(pair))
    ]


class Viewers:
    """Sessions to come: a few prefixes have most of the viewers, a few titles most of the sessions."""

    def __init__(self, titles: int, random: Any) -> None:
        demand = 1.0 / np.arange(1, titles + 1) ** EXPONENT
        self._shares = demand / demand.sum()
        self._random = random
        self._came = 0

    def questions(self, count: int) -> list[SteerQuestion]:
        """The next sessions. Few at a time, as a process has just decoded what it answers."""
        drawn = self._random.choice(len(self._shares), size=count, p=self._shares).tolist()
        prefixes = (PREFIXES * self._random.random(count) ** 3).astype(int).tolist()
        hosts = self._random.integers(1, 255, size=count).tolist()
        first, self._came = self._came, self._came + count
        return [
            SteerQuestion(
                client_address=f"{10 + (prefix >> 16)}.{prefix >> 8 & 255}.{prefix & 255}.{host}",
                title_id=f"t{title}",
                expires_at=1_800_000_000 + 120 * (title % 90) + number // REACH_PER_S,  # by the title's runtime
                session=f"session-{number}",
            )
            for number, (title, prefix, host) in enumerate(zip(drawn, prefixes, hosts, strict=True), first)
        ]


def measured(sites: int, titles: int, seed: int) -> tuple[list[float], list[float]]:
    """Decisions per CPU-second, and the 99th percentile of their times in µs, round by round."""
    gc.collect()
    gc.freeze()  # as the nursery does with what is loaded when it forks a process
    random = np.random.default_rng(seed)
    places, view = fleet(sites, titles, random)
    default = tuple(each.name for each in places[:12])
    settings = SteeringSettings(sites=places, routes=(Route(prefix="0.0.0.0/0", sites=default), Route(prefix="::/0", sites=default)))
    with TemporaryDirectory() as folder:
        writer = TableWriter(Path(folder), places, settings.routes, ("isp",))
        writer.start()
        try:
            writer.replace("isp", [*announcements(sites, random)])
            service = SteeringService(settings, TableReader(Path(folder)), Shown(view), bytes(range(32)))
            return rounds(service, Viewers(titles, random))
        finally:
            writer.close()


def rounds(service: SteeringService, viewers: Viewers) -> tuple[list[float], list[float]]:
    for _ in range(WARM // BATCH):
        for question in viewers.questions(BATCH):
            service.answer(question)
    gc.collect()
    rates: list[float] = []
    slow: list[float] = []
    for number in range(ROUNDS):
        if number % 2:  # the rate without a clock between any two
            rates.append(ROUND / sum(together_s(service, viewers.questions(BATCH)) for _ in range(ROUND // BATCH)))
        else:
            took_us = [each for _ in range(ROUND // BATCH) for each in each_us(service, viewers.questions(BATCH))]
            slow.append(quantile(took_us, 0.99))
    return rates, slow


def together_s(service: SteeringService, batch: list[SteerQuestion]) -> float:
    begun_s = time.process_time()
    for question in batch:
        service.answer(question)
    return time.process_time() - begun_s


def each_us(service: SteeringService, batch: list[SteerQuestion]) -> list[float]:
    took = []
    for question in batch:
        begun_ns = time.thread_time_ns()
        service.answer(question)
        took.append((time.thread_time_ns() - begun_ns) / 1000)
    return took


def deciding(seed: int) -> list[Figure]:
    """The rows of decisions."""
    figures = []
    for sites in (40, 1_000):
        rates, slow = measured(sites, TITLES, seed)
        where = f"{sites} sites × 4 appliances, {TITLES} titles, {PREFIXES} prefixes"
        figures += [
            Figure(
                name=f"full decisions per CPU-second, {sites} sites",
                unit="/s",
                samples=tuple(rates),
                reach=REACH_PER_S,
                at_least=True,
                note=where,
            ),
            Figure(name=f"99th percentile of a decision, {sites} sites", unit="µs", samples=tuple(slow), reach=REACH_P99_US, note=where),
        ]
    return figures
