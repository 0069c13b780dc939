"""How far forecasts are off, on Netflix's weekly Top 10 (../shared/data/demand), beside last week's figure and a moving average.

    python -m bench.forecast [--json] [--weeks N]

Each of the last weeks is forecast from the two years before it, by ``policy.popularity`` as production runs it, but for its step: a week
stands for a day, without a weekday shape. Judged are titles that were listed the week before; who left the list was watched for 0 hours.
The error is the sum of absolute errors over the sum of hours watched.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from bench import catalogue
from bench.catalogue import Floats
from bench.report import Figure, show
from nearcast.policy.popularity import AGE_MAX, Seen, predict

HISTORY_WEEKS, WEEKS = 104, 104
SMOOTHING = (0.9, 0.7, 0.5)
"""Weights of the last week in moving averages; the best of them is the peer."""


def averaged(hours: Floats, weight: float) -> Floats:
    """T × W: the exponentially weighted moving average up to each week, of the weeks that a title was listed."""
    level, found = np.zeros(len(hours)), np.zeros_like(hours)
    for week, seen in enumerate(hours.T):
        level = np.where(seen > 0, np.where(level > 0, (1 - weight) * level + weight * seen, seen), level)
        found[:, week] = level
    return found


def measure(weeks: int) -> list[Figure]:
    hours = catalogue.weekly()
    listed = hours > 0
    first = np.where(listed[:, 0], -AGE_MAX, listed.argmax(axis=1))
    averages = {f"moving average ({weight:g})": averaged(hours, weight) for weight in SMOOTHING}
    count = hours.shape[1]
    off = dict.fromkeys(("ours", "last week", *averages), 0.0)
    watched = 0.0
    for week in range(count - weeks, count):
        since = max(0, week - HISTORY_WEEKS)
        known = np.flatnonzero(listed[:, since:week].any(axis=1))
        past, truth = hours[known, since:week], hours[known, week]
        level = predict([Seen(past, past / 2, since - first[known])], 0, 1, -1)[0]
        judged = past[:, -1] > 0
        watched += float(truth[judged].sum())
        guesses = {"ours": level, "last week": past[:, -1], **{name: each[known, week - 1] for name, each in averages.items()}}
        for name, guess in guesses.items():
            off[name] += float(np.abs(guess - truth)[judged].sum())
    percent = {name: 100 * each / watched for name, each in off.items()}
    best = min(averages, key=percent.__getitem__)
    return [
        Figure(
            name=f"error of the forecast, {weeks} weeks",
            unit="%",
            samples=(percent["ours"],),
            reach=1.0,
            peer=peer,
            peer_samples=(percent[peer],),
        )
        for peer in ("last week", best)
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--weeks", type=int, default=WEEKS, help="the last so many are forecast (default: %(default)s)")
    options = parser.parse_args(arguments)
    return show("forecast", measure(options.weeks), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
