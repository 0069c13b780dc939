"""Who changes seldom is followed at once; who flaps is followed within bounds, whatever it does, and never forgotten."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nearcast.steering.routes.pace import BATCH_MAX, BULKS, BULKS_PER_S, CHANGES_PER_S, TABLES, TABLES_PER_S, TURNS, TURNS_PER_S, Pace

TICK_S = 0.25


def test_a_change_now_and_then_is_taken_in_at_once() -> None:
    pace = Pace()
    assert [pace.take(1, float(second)) for second in range(1_000)] == [1] * 1_000


def test_a_whole_table_is_taken_in_at_once_when_a_session_begins_and_when_it_ends() -> None:
    pace = Pace()
    assert pace.take(20_000, 0.0) == 20_000
    assert pace.take(20_000, 1.0) == 20_000


def test_what_is_left_of_a_large_table_comes_in_when_all_of_it_was_told() -> None:
    pace = Pace()
    taken = [pace.take(20_000, part / 10) for part in range(10)]
    assert sum(some > BATCH_MAX for some in taken) == BULKS
    assert pace.take(20_000, 1.0) <= BATCH_MAX
    pace.table_ends(1.1)
    assert pace.take(140_000, 1.1) == 140_000
    pace.table_ends(1.2)  # a session that begins and ends on and on gains nothing by it
    assert pace.take(20_000, 1.2) <= BATCH_MAX


def test_one_prefix_that_flaps_is_followed_every_half_second() -> None:
    pace = Pace()
    turns = [pace.take(1, number / 10) for number in range(600)]
    assert TURNS + 60 * TURNS_PER_S - 2 <= sum(turns) <= TURNS + 60 * TURNS_PER_S
    gaps = [number for number, taken in enumerate(turns) if taken]
    assert max(later - earlier for earlier, later in pairwise(gaps)) <= 6  # tenths of a second


def test_many_prefixes_that_flap_are_taken_in_little_by_little() -> None:
    pace = Pace()
    taken = [pace.take(BATCH_MAX, number * TICK_S) for number in range(241)]
    assert taken[0] == BATCH_MAX
    assert sum(taken) <= BATCH_MAX + 60 * CHANGES_PER_S
    assert sum(taken) >= 60 * CHANGES_PER_S


@given(st.integers(0, 2**32 - 1))
def test_the_bounds_hold_and_whatever_waits_is_taken_in(seed: int) -> None:
    chance, pace, now_s, pending = random.Random(seed), Pace(), 0.0, 0
    turns = bulks = changes = 0
    for _ in range(400):
        now_s += chance.random() * 0.2
        pending += chance.choice((0, 0, 1, 50, 5_000))
        if chance.random() < 0.05:
            pace.table_ends(now_s)
        some = pace.take(pending, now_s)
        assert 0 <= some <= pending
        turns += some > 0
        if some > BATCH_MAX:
            bulks += 1
            assert some == pending
        else:
            changes += some
        pending -= some
    tables = TABLES + now_s * TABLES_PER_S
    assert turns <= TURNS + now_s * TURNS_PER_S + tables + 1
    assert bulks <= BULKS + now_s * BULKS_PER_S + tables + 1
    assert changes <= BATCH_MAX + now_s * CHANGES_PER_S + 1
    while pending:  # now it is calm
        now_s += TICK_S
        pending -= pace.take(pending, now_s)
        assert now_s < 1e4
