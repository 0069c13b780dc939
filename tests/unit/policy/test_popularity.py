import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.model.traffic import DemandDay
from nearcast.policy.popularity import Forecast, forecast, surprises, weekday_shape

TOP10 = Path(__file__).parents[4] / "shared" / "data" / "demand" / "netflix-top10-global.tsv"
A_START = 1e9
MONDAY = 20_003
"""Any day does for a first: weekdays are learned."""
SHAPE = (0.8, 0.8, 0.8, 0.9, 1.1, 1.4, 1.2)


def row(day: int, title: str, starts: float, region: str = "r") -> DemandDay:
    return DemandDay(day, region, title, starts * A_START, starts)


def steady(days: Iterable[int], titles: int = 20, region: str = "r") -> list[DemandDay]:
    return [row(day, f"t{n}", 1000 / (n + 1), region) for day in days for n in range(titles)]


def expected(found: Forecast, title: str, region: str = "r") -> float:
    """Starts' worth of bytes."""
    return found.bytes[region][title] / A_START


def test_what_is_steady_goes_on() -> None:
    found = forecast(steady(range(MONDAY, MONDAY + 28)), day=MONDAY + 28, titles=[f"t{n}" for n in range(20)], launch_days={})
    assert found.day == MONDAY + 28
    for n in range(20):
        assert expected(found, f"t{n}") == pytest.approx(1000 / (n + 1), rel=0.1)
        assert found.starts["r"][f"t{n}"] == pytest.approx(1000 / (n + 1), rel=0.1)


def test_the_weekday_is_learned() -> None:
    history = [
        DemandDay(each.day, each.region, each.title_id, each.bytes * SHAPE[each.day % 7], each.starts * SHAPE[each.day % 7])
        for each in steady(range(MONDAY, MONDAY + 35))
    ]
    for day in range(MONDAY + 28, MONDAY + 35):
        before = [each for each in history if each.day < day]
        found = forecast(before, day=day, titles=["t0"] + [f"t{n}" for n in range(20)], launch_days={})
        assert expected(found, "t0") == pytest.approx(1000 * SHAPE[day % 7], rel=0.12)


def test_every_title_has_a_positive_forecast() -> None:
    history = steady(range(MONDAY, MONDAY + 10), 3)
    found = forecast(
        history, day=MONDAY + 10, titles=["t0", "nobody", "new"], launch_days={"new": MONDAY + 10, "nobody": 3}, regions=["far"]
    )
    for region in ("r", "far"):
        assert set(found.bytes[region]) == {"t0", "nobody", "new"}
        assert all(each > 0 for each in (*found.bytes[region].values(), *found.starts[region].values()))
    assert expected(found, "nobody") < 0.05 * expected(found, "t0")


def test_a_launch_is_expected_to_go_as_launches_went() -> None:
    """Five launches of like size that fade by a fifth a day: the next one is thought to do the same, first day and second."""
    history = steady(range(MONDAY, MONDAY + 40))
    days = {f"new{n}": MONDAY + 5 + 7 * n for n in range(5)}
    for name, launch in days.items():
        history += [row(day, name, 3000 * 0.8 ** (day - launch)) for day in range(launch, MONDAY + 40)]
    days["next"] = MONDAY + 40
    titles = [*(f"t{n}" for n in range(20)), *days]
    found = forecast(history, day=MONDAY + 40, titles=titles, launch_days=days)
    assert expected(found, "next") == pytest.approx(3000, rel=0.2)
    first = [*history, *steady([MONDAY + 40]), row(MONDAY + 40, "next", 5000)]
    found = forecast(first, day=MONDAY + 41, titles=titles, launch_days=days)
    assert expected(found, "next") == pytest.approx(4000, rel=0.15)


def test_many_starts_are_believed_at_once_and_few_are_not() -> None:
    history = steady(range(MONDAY, MONDAY + 21), 300)
    last = [row(MONDAY + 21, f"t{n}", 3000 / (n + 1)) if n in (0, 299) else row(MONDAY + 21, f"t{n}", 1000 / (n + 1)) for n in range(300)]
    found = forecast([*history, *last], day=MONDAY + 22, titles=[f"t{n}" for n in range(300)], launch_days={})
    assert expected(found, "t0") > 2 * 1000
    assert expected(found, "t299") < 1.7 * 1000 / 300


def test_a_region_with_little_of_its_own_learns_from_the_others() -> None:
    history = steady(range(MONDAY, MONDAY + 14), region="large")
    history += [row(day, "t0", 1.0, "small") for day in range(MONDAY, MONDAY + 14)]
    found = forecast(history, day=MONDAY + 14, titles=[f"t{n}" for n in range(20)], launch_days={})
    assert found.bytes["small"]["t1"] > 3 * found.bytes["small"]["t15"]


def test_a_day_that_is_not_over_counts_for_what_it_shows() -> None:
    """Of the day a third is over; one title got thrice its share of what there was."""
    titles = [f"t{n}" for n in range(20)]
    history = steady(range(MONDAY, MONDAY + 21))
    part = [row(MONDAY + 21, f"t{n}", (3 if n == 3 else 1) * 1000 / (n + 1) / 3) for n in range(20)]
    found = forecast([*history, *part], day=MONDAY + 22, titles=titles, launch_days={}, today=MONDAY + 21)
    plain = forecast(history, day=MONDAY + 22, titles=titles, launch_days={}, today=MONDAY + 21)
    assert expected(plain, "t3") == pytest.approx(250, rel=0.1)
    assert expected(found, "t3") > 450
    assert expected(found, "t5") == pytest.approx(1000 / 6, rel=0.25)


def test_days_that_nobody_counted_are_not_zeros() -> None:
    history = [each for each in steady(range(MONDAY, MONDAY + 28)) if each.day not in (MONDAY + 9, MONDAY + 27)]
    found = forecast(history, day=MONDAY + 28, titles=[f"t{n}" for n in range(20)], launch_days={})
    assert expected(found, "t4") == pytest.approx(200, rel=0.1)


def test_without_history_all_titles_are_alike() -> None:
    assert forecast([], day=5, titles=["a", "b"], launch_days={}).bytes == {}
    found = forecast([], day=5, titles=["a", "b"], launch_days={}, regions=["x"])
    assert found.bytes["x"]["a"] == found.bytes["x"]["b"] > 0


def today_of(found: Forecast, over: float, factor: dict[str, float]) -> list[DemandDay]:
    return [
        DemandDay(found.day, "r", name, found.bytes["r"][name] * over * times, found.starts["r"][name] * over * times)
        for name, times in ((each, factor.get(each, 1.0)) for each in found.bytes["r"])
    ]


def test_a_surprise_is_told_with_what_the_day_will_bring() -> None:
    found = forecast(steady(range(MONDAY, MONDAY + 21)), day=MONDAY + 21, titles=[f"t{n}" for n in range(20)], launch_days={})
    over = 0.3
    hit = surprises(found, today_of(found, over, {"t8": 8.0}), surprise_factor=3.0)
    assert set(hit) == {"r"}
    assert set(hit["r"]) == {"t8"}
    assert 5 < hit["r"]["t8"] / found.bytes["r"]["t8"] < 8.5


def test_chance_is_no_surprise() -> None:
    """Four starts where one was expected happen every day somewhere, and an evening is not a hit."""
    found = forecast(steady(range(MONDAY, MONDAY + 21), 1000), day=MONDAY + 21, titles=[f"t{n}" for n in range(1000)], launch_days={})
    rows = today_of(found, 1.0, {})
    few = [DemandDay(each.day, "r", each.title_id, 4 * A_START, 4) if each.title_id == "t900" else each for each in rows]
    assert surprises(found, few, surprise_factor=3.0) == {}
    evening = [DemandDay(each.day, "r", each.title_id, 5 * each.bytes, 5 * each.starts) for each in rows]
    assert not set(surprises(found, evening[:1] + rows[1:], surprise_factor=8.0))
    source = np.random.default_rng(1)
    for _ in range(20):
        chance = [DemandDay(each.day, "r", each.title_id, each.bytes, float(source.poisson(each.starts))) for each in rows]
        assert surprises(found, chance, surprise_factor=3.0) == {}


def test_yesterday_and_titles_unknown_are_no_surprise() -> None:
    found = forecast(steady(range(MONDAY, MONDAY + 21)), day=MONDAY + 21, titles=["t0"], launch_days={})
    rows = [row(MONDAY + 20, "t0", 1e6), row(MONDAY + 21, "unknown", 1e6), row(MONDAY + 21, "t0", 1e6, "elsewhere")]
    assert surprises(found, rows, surprise_factor=3.0) == {}


@given(st.lists(st.floats(0, 1e15), max_size=40), st.integers(1, 7))
@settings(max_examples=60)
def test_shapes_are_one_on_the_mean(totals: list[float], cycle: int) -> None:
    shape = weekday_shape(np.array(totals), np.arange(len(totals)) % cycle, cycle)
    assert len(shape) == cycle
    assert (shape > 0).all()
    assert shape.mean() == pytest.approx(1, abs=0.5)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats(0, 1e15), st.floats(0, 1e6)), max_size=40), st.booleans())
@settings(max_examples=80)
def test_whatever_is_reported_forecasts_are_positive_and_finite(rows: list[tuple[int, int, float, float]], partial: bool) -> None:
    history = [DemandDay(day, f"r{title % 2}", f"t{title}", size, starts) for day, title, size, starts in rows]
    found = forecast(
        history, day=10, titles=[f"t{n}" for n in range(5)], launch_days={"t4": 10, "t3": 8, "t2": 14}, today=9 if partial else None
    )
    for each in (*found.bytes.values(), *found.starts.values()):
        assert all(0 < value < float("inf") for value in each.values())


@pytest.mark.skipif(not TOP10.exists(), reason="../shared/data/demand is not here")
def test_netflix_weeks_are_forecast_better_than_by_last_week() -> None:
    """The last two years, week by week, of titles that were listed the week before: absolute error over what was watched."""
    with TOP10.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    weeks = {week: index for index, week in enumerate(sorted({each["week"] for each in rows}))}
    watched: dict[str, dict[int, float]] = {}
    for each in rows:
        key = "/".join((each["category"], each["show_title"], each["season_title"]))
        watched.setdefault(key, {})[weeks[each["week"]]] = float(each["weekly_hours_viewed"])
    launch = {key: min(seen) for key, seen in watched.items() if min(seen) > 0}
    ours = last = smoothed = actual = 0.0
    for week in range(len(weeks) - 104, len(weeks), 4):
        history = [
            DemandDay(at, "", key, hours, hours / 2)
            for key, seen in watched.items()
            for at, hours in seen.items()
            if week - 104 <= at < week
        ]
        titles = {each.title_id for each in history}
        found = forecast(history, day=week, titles=titles, launch_days=launch, cycle_days=1).bytes[""]
        for key in titles:
            seen = watched[key]
            if week - 1 in seen:
                truth = seen.get(week, 0.0)
                actual += truth
                ours += abs(found[key] - truth)
                last += abs(seen[week - 1] - truth)
                smoothed += abs(0.7 * seen[week - 1] + 0.3 * seen.get(week - 2, seen[week - 1]) - truth)
    assert ours < 0.75 * last
    assert ours < 0.75 * smoothed
    assert ours / actual < 0.65
