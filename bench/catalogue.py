"""Catalogues of films and what is asked of them, day after day, made from ../shared/data/demand and a seed.

Launches fade as titles of Netflix's weekly Top 10 did (2021-2026); those that never made the list are as much smaller as a log-normal
says. Beside them stands a library by Zipf's law whose favourites wander, and of which a title now and then catches fire.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

TOP10 = Path(__file__).parents[1].parent / "shared" / "data" / "demand" / "netflix-top10-global.tsv"
SEED = 20261121
WEEKDAYS = (0.87, 0.85, 0.86, 0.90, 1.06, 1.27, 1.19)
HOURS = (2.9, 1.8, 1.1, 0.7, 0.5, 0.5, 0.8, 1.4, 2.0, 2.5, 2.9, 3.3, 3.8, 4.1, 4.2, 4.3, 4.6, 5.3, 6.5, 8.0, 9.7, 10.3, 9.0, 5.9)
"""Weights of the hours of a day, local time."""
LAUNCH_SHARE = 0.5
"""Of all starts, those of titles in their first 28 days, on the mean."""
LISTED = 0.25
"""Of all launches, those that the Top 10 lists would name."""
FIRE_DAYS = 4.0
"""A title that catches fire burns down by e in so many days."""


class Rung(NamedTuple):
    """``views``: share of playbacks that fetch it."""

    label: str
    bitrate_bps: float
    views: float


RUNGS = (
    Rung("audio", 128e3, 0.70),
    Rung("audio-surround", 384e3, 0.30),
    Rung("avc-360p", 0.6e6, 0.04),
    Rung("avc-480p", 1.1e6, 0.08),
    Rung("avc-720p", 2.4e6, 0.12),
    Rung("avc-1080p", 4.6e6, 0.17),
    Rung("av1-360p", 0.35e6, 0.03),
    Rung("av1-480p", 0.65e6, 0.07),
    Rung("av1-720p", 1.4e6, 0.12),
    Rung("av1-1080p", 2.8e6, 0.22),
    Rung("av1-1440p", 5.2e6, 0.05),
    Rung("av1-2160p", 9.5e6, 0.10),
)
"""Each playback fetches one of the first two and one of the others."""


class Catalogue(NamedTuple):
    """T titles over D days, the first of which is a Monday. ``launch``: day of launch, negative: long ago. ``starts``: expected, T × D."""

    runtime_s: Floats
    launch: Ints
    starts: Floats


def weekly() -> Floats:
    """Hours of each title in each week of the lists, 0 where it was not listed."""
    with TOP10.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    weeks = {week: index for index, week in enumerate(sorted({row["week"] for row in rows}))}
    titles: dict[tuple[str, str, str], int] = {}
    found = np.zeros((len(rows), len(weeks)))
    for row in rows:
        title = titles.setdefault((row["category"], row["show_title"], row["season_title"]), len(titles))
        found[title, weeks[row["week"]]] = float(row["weekly_hours_viewed"])
    return found[: len(titles)]


def courses() -> Floats:
    """Weekly hours of every title that entered the lists after their first week: N × 12, from its first week on; 0 where not listed."""
    hours = weekly()
    first = (hours > 0).argmax(axis=1)
    return np.array([row[week : week + 12] for row, week in zip(hours, first, strict=True) if 0 < week <= hours.shape[1] - 12])


def daily(course: Floats, days: int) -> Floats:
    """One title's weekly course as a rate for each day since launch: log-linear between weeks; a fading tail once it left the list.

    A launch's first week on the lists has 4.5 days on the mean (most come out from Wednesday to Friday).
    """
    listed = int(np.argmin(course > 0)) if (course == 0).any() else len(course)
    rates = course[:listed] / np.array([4.5] + [7.0] * (listed - 1))
    middles = np.array([2.0] + [8.0 + 7 * week for week in range(listed - 1)])
    day = np.arange(days, dtype=np.float64)
    inside: Floats = np.exp(np.interp(day, middles, np.log(rates)))
    tail: Floats = np.where(day > middles[-1], ((day + 7) / (middles[-1] + 7)) ** -1.6, 1.0)
    return inside * tail


def generate(seed: int, *, titles: int, days: int, launches_a_day: float, starts_a_day: float) -> Catalogue:
    """``titles`` are there at first, others come: ``starts_a_day`` is the expected sum over all, on a day like any other."""
    source = np.random.default_rng(seed)
    recent = 90
    launch = np.sort(source.integers(-recent, days, source.poisson(launches_a_day * (recent + days))))
    known = courses()
    new = np.zeros((len(launch), days))
    for index, day in enumerate(launch):
        course = daily(known[source.integers(len(known))], days + recent)
        scale = 1.0 if source.random() < LISTED else float(np.exp(source.normal(-3.0, 1.2)))
        new[index, max(0, day) :] = scale * course[max(0, -day) : days - day]
    young = np.arange(days)[None, :] - launch[:, None]
    new *= starts_a_day * LAUNCH_SHARE / (new * (young < 28)).sum(axis=0).mean()

    old = source.permutation(1.0 / np.arange(1, titles + 1) ** 0.9)[:, None] * np.exp(
        np.cumsum(source.normal(0, 0.05, (titles, days)), axis=1)
    )
    day = np.arange(days)
    for _ in range(source.poisson(days / 4)):
        title, begins = source.integers(titles), source.integers(days)
        peak = old.sum(axis=0).mean() * source.uniform(0.004, 0.03)
        old[title] += np.where(day >= begins, peak * np.exp((begins - day) / FIRE_DAYS), 0.0)
    rest = max(0.05 * starts_a_day, starts_a_day - float(new.sum(axis=0).mean()))
    old *= rest / old.sum(axis=0)

    starts = np.concatenate([old, new]) * np.array(WEEKDAYS)[day % 7]
    runtime_s = 60 * np.clip(source.lognormal(np.log(75), 0.5, len(starts)), 20, 200)
    return Catalogue(runtime_s, np.concatenate([np.full(titles, -10_000), launch]), starts)


def tastes(seed: int, titles: int, regions: int, spread: float = 0.8) -> Floats:
    """How much more or less each region asks of each title than all do: regions × titles, log-normal, 1 on the mean."""
    source = np.random.default_rng(seed + 1)
    return source.lognormal(-spread * spread / 2, spread, (regions, titles))


def sizes_bytes(runtime_s: Floats) -> Floats:
    """T × rungs: what each rendition takes."""
    return np.outer(runtime_s, [rung.bitrate_bps / 8 for rung in RUNGS])
