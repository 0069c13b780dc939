"""What will be asked of each title in each region on the next day, and what is asked for today beyond all expectation. Pure.

A multiplicative local-level model (Harvey 1989; West and Harrison 1997), one step a day: ``demand = level · weekday · noise``. The level
moves with the title's age as titles of that age moved before (launches fade, evergreens hardly do), and then by a Kalman gain from what
was seen: a title with many starts follows its last day, one with few its mean of weeks. Nothing is fitted by hand to a region:
weekday shape, fading by age and what a launch brings are learned from the history that is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from nearcast.model.traffic import DemandDay

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

WEEK_DAYS = 7
AGE_MAX = 28
"""From this age on, in days, titles fade alike."""
DRIFT = 0.02
"""Relative variance that a level gains in a day."""
NOISE = 0.01
"""Relative variance of a day's demand besides that of counting starts."""
TASTE = 0.5
"""Relative variance of a region's demand for a title about what all regions together let expect."""
UNKNOWN = 4.0
"""Relative variance of what is thought of a title that was never seen."""
LAUNCH_DEFAULT = 10.0
"""What a launch brings over the mean of all titles, where none has been seen yet."""
LAUNCHES_ASSUMED = 1.0
"""The weight of that assumption, in launches."""
FADING_ASSUMED = 3.0
"""The weight, in mean launches, of the assumption that demand at an age stays what it is."""
LEAST = 1e-3
"""A level is at least this share of the mean of all titles."""
REGION_LEAST = 0.01
"""A region of which nothing is known is thought to ask for this share of the mean of regions."""
SURPRISE_SIGMA = 4.0


class Forecast(Struct, frozen=True):
    """Of ``day`` (days since 1970-01-01): region → title id → bytes, and starts. All positive."""

    day: int
    bytes: dict[str, dict[str, float]]
    starts: dict[str, dict[str, float]]


class Seen(NamedTuple):
    """The demand of one region: T titles over D days. ``age``: of each title on the first of these days; negative: yet to come."""

    demand: Floats  # T × D, bytes
    starts: Floats  # T × D
    age: Ints  # T


def forecast(
    history: Iterable[DemandDay],
    *,
    day: int,
    titles: Iterable[str],
    launch_days: Mapping[str, int],
    regions: Iterable[str] = (),
    today: int | None = None,
    cycle_days: int = WEEK_DAYS,
) -> Forecast:
    """What is to be expected on ``day``, of each of ``titles`` in each region of the history and of ``regions``.

    ``launch_days``: by title id, where known; a title is taken to be as old as the history, or as its first demand. ``today`` is the day
    that is not over yet: what it shows is held against what the whole region shows so far. ``cycle_days`` 1: days are all alike.
    """
    known = sorted(set(titles))
    days = [each for each in history if each.day < day]
    first = min((each.day for each in days), default=day)
    names = sorted({*(each.region for each in days), *regions})
    seen = gather(days, names, known, launch_days, first, day - first)
    partial = -1 if today is None else today - first
    levels = predict(seen, first % cycle_days, cycle_days, partial)
    found: dict[str, dict[str, float]] = {}
    starts: dict[str, dict[str, float]] = {}
    for name, level, mine in zip(names, levels, seen, strict=True):
        found[name] = dict(zip(known, level.tolist(), strict=True))
        starts[name] = dict(zip(known, (level * starts_per_byte(mine)).tolist(), strict=True))
    return Forecast(day, found, starts)


def gather(
    days: Iterable[DemandDay], regions: list[str], titles: list[str], launch_days: Mapping[str, int], first: int, count: int
) -> list[Seen]:
    """The history of each region as arrays, from day ``first`` on."""
    at = {title: index for index, title in enumerate(titles)}
    place = {region: index for index, region in enumerate(regions)}
    demand = np.zeros((len(regions), len(titles), count))
    starts = np.zeros_like(demand)
    for each in days:
        title = at.get(each.title_id)
        if title is not None:
            demand[place[each.region], title, each.day - first] += max(0.0, each.bytes)
            starts[place[each.region], title, each.day - first] += max(0.0, each.starts)
    asked: Bools = np.any(demand > 0, axis=0)
    appeared = np.full(len(at), -AGE_MAX)
    if count:
        late = asked.any(axis=1) & ~asked[:, 0]
        appeared[late] = asked[late].argmax(axis=1)
    launched = np.array([launch_days[title] - first if title in launch_days else appeared[at[title]] for title in titles], dtype=np.intp)
    return [Seen(demand[index], starts[index], -launched) for index in range(len(regions))]


def starts_per_byte(seen: Seen) -> Floats:
    """T: as seen of the title, and of all of them where little was."""
    start_bytes = max(1.0, float(seen.demand.sum())) / max(1.0, float(seen.starts.sum()))
    ratio: Floats = (seen.starts.sum(axis=1) + 1) / (seen.demand.sum(axis=1) + start_bytes)
    return ratio


def predict(seen: list[Seen], first_weekday: int, cycle_days: int, partial: int) -> list[Floats]:
    """For each region, T: bytes on the day after the last. ``partial``: the index of the day that is not over; -1: all are."""
    if not seen:
        return []
    count = seen[0].demand.shape[1]
    whole = count if partial < 0 else partial
    weekday = (first_weekday + np.arange(count + 1)) % cycle_days
    shapes = [weekday_shape(each.demand[:, :whole].sum(axis=0), weekday[:whole], cycle_days)[weekday] for each in seen]
    flat = [each.demand[:, :whole] / shape[:whole] for each, shape in zip(seen, shapes, strict=True)]
    totals = np.array([each.sum() / max(1, whole) for each in flat])
    shares = totals / max(1.0, float(totals.sum()))
    shares = np.maximum(shares, (REGION_LEAST if totals.any() else 1.0) / len(seen))
    age, mean = seen[0].age, max(1.0, float(totals.sum()) / max(1, len(seen[0].age)))
    together = np.sum(flat, axis=0)
    launch = launch_level(together, age, mean)
    fading = fading_by_age(together, age, launch)
    levels, doubts = [], []
    for each, shape, share in zip(seen, shapes, shares, strict=True):
        level, doubt = follow(each, shape, fading, launch * share, mean * share, partial)
        levels.append(level)
        doubts.append(doubt)
    if len(seen) > 1:
        everywhere = np.sum(levels, axis=0)
        own = [TASTE / (TASTE + doubt) for doubt in doubts]
        levels = [weight * level + (1 - weight) * everywhere * share for weight, level, share in zip(own, levels, shares, strict=True)]
    return [level * shape[-1] for level, shape in zip(levels, shapes, strict=True)]


def weekday_shape(totals: Floats, weekday: Ints, cycle_days: int) -> Floats:
    """One factor for each day of the cycle, 1 on the mean: each day against the mean of the cycle around it, and one cycle of ones."""
    sums, counts = np.ones(cycle_days), np.ones(cycle_days)
    for index in range(len(totals) - cycle_days + 1):
        around = totals[index : index + cycle_days]
        middle = index + cycle_days // 2
        if (around > 0).all():
            sums[weekday[middle]] += totals[middle] / around.mean()
            counts[weekday[middle]] += 1
    shape = sums / counts
    found: Floats = np.maximum(shape / shape.mean(), 0.05)
    return found


def launch_level(flat: Floats, age: Ints, mean: float) -> float:
    """Bytes, everywhere, that a title brings on its first day, on the mean of the launches seen."""
    titles = np.flatnonzero((age <= 0) & (-age < flat.shape[1]))
    brought = float(flat[titles, -age[titles]].sum())
    return (brought + LAUNCHES_ASSUMED * LAUNCH_DEFAULT * mean) / (len(titles) + LAUNCHES_ASSUMED)


def fading_by_age(flat: Floats, age: Ints, launch: float) -> Floats:
    """AGE_MAX + 1 factors: demand on the day after, over that at the age. Titles count by their demand."""
    before, after = (np.full(AGE_MAX + 1, FADING_ASSUMED * launch) for _ in range(2))
    told = flat.sum(axis=0) > 0
    for index in np.flatnonzero(told[:-1] & told[1:]).tolist():
        there = np.flatnonzero(age + index >= 0)
        ages = np.minimum(age[there] + index, AGE_MAX)
        before += np.bincount(ages, flat[there, index], minlength=AGE_MAX + 1)
        after += np.bincount(ages, flat[there, index + 1], minlength=AGE_MAX + 1)
    factors: Floats = after / before
    return factors


def follow(seen: Seen, shape: Floats, fading: Floats, launch: float, mean: float, partial: int) -> tuple[Floats, Floats]:
    """Level, in bytes of a mean day, and its relative variance for the day after the last."""
    per_start = max(1.0, float(seen.demand.sum())) / max(1.0, float(seen.starts.sum()))
    least = LEAST * mean
    level = np.where(seen.age > 0, mean, least)
    doubt = np.full(len(level), UNKNOWN)
    for index in range(seen.demand.shape[1] + 1):
        age = seen.age + index
        level = np.where(age > 0, np.maximum(level * fading[np.clip(age - 1, 0, AGE_MAX)], least), np.where(age == 0, launch, least))
        doubt = np.where(age > 0, doubt + DRIFT, UNKNOWN)
        if index == seen.demand.shape[1]:
            break
        demand = seen.demand[:, index]
        exposure = float(demand.sum() / max(float(level.sum()), 1e-300)) if index == partial else float(shape[index])
        if not demand.any():
            continue  # nobody counted that day
        expected = level * exposure
        expected = np.maximum(expected, 1e-9 * per_start)
        noise = NOISE + per_start / expected
        gain = np.where(age >= 0, doubt / (doubt + noise), 0.0)
        level = np.maximum(level * (1 + gain * (demand / expected - 1)), least)
        doubt = doubt * (1 - gain)
    return level, doubt


def surprises(expected: Forecast, today: Iterable[DemandDay], *, surprise_factor: float) -> dict[str, dict[str, float]]:
    """Region → title id → bytes that the whole day will bring at this pace, of titles beyond ``surprise_factor`` × their forecast.

    ``expected`` is the forecast of today. How much of the day is over is read from the region's whole demand against its forecast, so
    that evenings surprise nobody. Counts of starts must be so far above their expectation that chance does not explain it
    (SURPRISE_SIGMA standard deviations, by Anscombe's square root, which makes Poisson counts of like variance).
    """
    by_region: dict[str, list[DemandDay]] = {}
    for each in today:
        if each.day == expected.day and each.title_id in expected.bytes.get(each.region, {}):
            by_region.setdefault(each.region, []).append(each)
    found: dict[str, dict[str, float]] = {}
    for region, rows in sorted(by_region.items()):
        over = min(1.0, sum(each.bytes for each in rows) / sum(expected.bytes[region].values()))
        for each in rows:
            starts = expected.starts[region][each.title_id] * over
            beyond = each.starts > surprise_factor * starts
            sigma = 2 * ((each.starts + 0.375) ** 0.5 - (starts + 0.375) ** 0.5)
            if beyond and sigma > SURPRISE_SIGMA:
                found.setdefault(region, {})[each.title_id] = max(each.bytes / over, expected.bytes[region][each.title_id])
    return found
