"""What viewers ask of one site, slice by slice, for the catalogues and the demand of ``bench.catalogue``.

Viewers fetch a rendition of the picture and one of the sound, slice after slice; four in ten stop before the end. Slices are of one size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench import catalogue
from bench.catalogue import HOURS, RUNGS, Floats, Ints
from nearcast.delivery.fill.packing import Library, shelve
from nearcast.model.rendition import BLOCK_BYTES
from nearcast.policy import hashing

TITLES, LAUNCHES_A_DAY, STARTS_A_DAY = 3_000, 6.0, 5_000.0
SITE_SHARE = 0.25
"""Of its region's demand."""
WARM_DAYS, DAYS = 35, 30
FIRST_HOUR = 5
SLICE_BYTES = BLOCK_BYTES
SCALE = SLICE_BYTES / 64e6
"""Films are so much smaller than real ones, that slices may be as production has them."""
HOUR_S = 3600


class Town(NamedTuple):
    """The catalogue as files. F files, sorted as Library wants them; ``rung`` is each one's index in RUNGS."""

    made: catalogue.Catalogue
    library: Library
    rung: Ints
    slices: Ints
    first_slice: Ints
    file: Ints
    """T × rungs: where a title's file of a rung is among the F."""


class Day(NamedTuple):
    """Requests of slices at the site in the order of time, and what the region asked of each title in each hour."""

    file: Ints
    slice: Ints
    hour: Ints
    region_bytes: Floats  # 24 × T
    region_starts: Floats  # 24 × T
    site_slices: Ints  # F


def build(seed: int, starts_a_day: float) -> Town:
    made = catalogue.generate(
        seed, titles=TITLES, days=WARM_DAYS + DAYS, launches_a_day=LAUNCHES_A_DAY, starts_a_day=starts_a_day / SITE_SHARE
    )
    slices = np.maximum(1, np.ceil(catalogue.sizes_bytes(made.runtime_s) * SCALE / SLICE_BYTES)).astype(np.intp)
    views = np.array([rung.views for rung in RUNGS])
    order = np.argsort(-views, kind="stable")
    count = len(slices)
    rung = np.tile(order, count)
    title = np.repeat(np.arange(count), len(RUNGS))
    asked = views * slices
    yields = (asked / asked.sum(axis=1)[:, None] / slices / SLICE_BYTES)[title, rung]
    size = slices[title, rung]
    keys = hashing.keys(f"title-{number}" for number in range(count))
    library = shelve(keys, np.zeros(count, dtype=np.bool_), title, size.astype(np.float64) * SLICE_BYTES, yields)
    file = np.empty((count, len(RUNGS)), dtype=np.intp)
    file[title, rung] = np.arange(len(title))
    return Town(made, library, rung, size, np.concatenate([[0], np.cumsum(size)[:-1]]), file)


def days(town: Town, seed: int) -> Iterator[Day]:
    source = np.random.default_rng(seed + 10)
    hours = np.roll(np.array(HOURS), -FIRST_HOUR)
    hours = hours / hours.sum()
    for day in range(WARM_DAYS + DAYS):
        expected = np.outer(hours, town.made.starts[:, day])
        here, elsewhere = source.poisson(expected * SITE_SHARE), source.poisson(expected * (1 - SITE_SHARE))
        yield requests(town, here, elsewhere, source)


def requests(town: Town, here: Ints, elsewhere: Ints, source: np.random.Generator) -> Day:
    """One day, from starts by hour and title. Whoever is watching at its end is counted to its last hour."""
    hour, title = (np.repeat(each, here[here > 0]) for each in np.nonzero(here))
    count = len(title)
    kind = source.random(count)
    watched = np.where(kind < 0.25, source.uniform(0.02, 0.3, count), np.where(kind < 0.4, source.uniform(0.3, 0.9, count), 1.0))
    begins_s = (hour + source.random(count)) * HOUR_S
    views = np.array([rung.views for rung in RUNGS])
    parts = []
    for rungs in (np.arange(2), np.arange(2, len(RUNGS))):
        rung = source.choice(rungs, count, p=views[rungs] / views[rungs].sum())
        file = town.file[title, rung]
        fetched = np.ceil(watched * town.slices[file]).astype(np.intp)
        number = np.arange(fetched.sum()) - np.repeat(np.cumsum(fetched) - fetched, fetched)
        pace_s = town.made.runtime_s[title] / town.slices[file]
        at_s = np.repeat(begins_s, fetched) + number * np.repeat(pace_s, fetched)
        parts.append((at_s, np.repeat(file, fetched), number))
    at_s, file, number = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(at_s, kind="stable")
    file, hour_asked = file[order], np.minimum(at_s[order] // HOUR_S, 23).astype(np.intp)
    titles = len(town.made.runtime_s)
    served = np.bincount(hour_asked * titles + town.library.title[file], minlength=24 * titles).reshape(24, titles) * float(SLICE_BYTES)
    a_start = (town.slices[town.file] * views).sum(axis=1) * (0.25 * 0.16 + 0.15 * 0.6 + 0.6) * SLICE_BYTES
    return Day(
        file,
        town.first_slice[file] + number[order],
        hour_asked,
        served + elsewhere * a_start,
        (here + elsewhere).astype(np.float64),
        np.bincount(file, minlength=len(town.rung)),
    )
