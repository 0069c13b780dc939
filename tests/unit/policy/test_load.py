from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import Load
from nearcast.policy.load import FULL, FULL_ENDS, HIGH, HIGH_ENDS, level, share

LOADS: list[Load] = ["normal", "high", "full"]


@pytest.mark.parametrize(
    ("used", "told", "before", "now"),
    [
        (0.5, "normal", "normal", "normal"),
        (0.5, "full", "normal", "full"),
        (0.5, "high", "normal", "high"),
        (0.95, "normal", "normal", "full"),
        (0.949, "normal", "normal", "high"),
        (0.90, "normal", "full", "full"),
        (0.87, "normal", "full", "high"),
        (0.75, "normal", "high", "high"),
        (0.75, "normal", "normal", "normal"),
        (0.69, "normal", "full", "normal"),
    ],
)
def test_levels(used: float, told: Load, before: Load, now: Load) -> None:
    assert level(used, told, before) == now


@given(st.floats(0, 2), st.sampled_from(LOADS), st.sampled_from(LOADS))
def test_the_same_again_changes_nothing(used: float, told: Load, before: Load) -> None:
    now = level(used, told, before)
    assert level(used, told, now) == now
    assert LOADS.index(now) >= LOADS.index(told)


@given(st.lists(st.floats(0.89, 0.94)), st.sampled_from(LOADS))
def test_around_one_figure_nobody_swings(shares: list[float], before: Load) -> None:
    assert HIGH_ENDS < HIGH < FULL_ENDS < FULL
    changes, now = 0, before
    for each in shares:
        then, now = now, level(each, "normal", now)
        changes += then != now
    assert changes <= 1


@pytest.mark.parametrize(
    ("sent", "limit", "found"),
    [(5.0, 10.0, 0.5), (5.0, 0.0, 0.0), (float("nan"), 1.0, 0.0), (1.0, float("inf"), 0.0), (-1.0, 1.0, 0.0), (1.0, -1.0, 0.0)],
)
def test_shares(sent: float, limit: float, found: float) -> None:
    assert share(sent, limit) == found
