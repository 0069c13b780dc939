"""What a site announces of itself, over every course of events that hypothesis thinks of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.health import ApplianceHealth
from nearcast.steering.anycast import load
from nearcast.steering.anycast.check import EXCUSED_S, HELD_UP_SHARE, Look, Row, after
from nearcast.steering.anycast.decide import START, Seen, Stand, decide, offer, penance_s
from nearcast.steering.anycast.settings import AnycastSettings
from nearcast.steering.anycast.speaker import forgiven

RULES = AnycastSettings()
TOP = len(RULES.steps)
TICK_S = 0.1
START_ROW = Row()
shares = st.one_of(st.none(), st.floats(0, 2))
looks = st.builds(
    Seen,
    passed=st.integers(0, 9),
    draining=st.booleans(),
    share=shares,
) | st.builds(Seen, failed=st.integers(1, 5), draining=st.booleans(), share=shares)
stands = st.builds(
    Stand,
    phase=st.sampled_from(["down", "up", "draining", "drained"]),
    since_s=st.floats(-200, 0),
    level=st.integers(0, TOP),
    level_since_s=st.floats(-200, 0),
    falls=st.integers(0, 8),
)


def run(course: list[Seen], rules: AnycastSettings = RULES, stand: Stand = START, tick_s: float = TICK_S) -> list[Stand]:
    found = []
    for number, seen in enumerate(course):
        stand = decide(rules, stand, seen, number * tick_s)
        found.append(stand)
    return found


def up(share: float | None = None) -> Stand:
    return replace(run([Seen(passed=9, share=share)])[-1], since_s=-100.0, level_since_s=-100.0)


@given(stands, st.lists(looks, max_size=60))
def test_what_is_not_well_is_never_announced(stand: Stand, course: list[Seen]) -> None:
    for seen, now in zip(course, run(course, stand=stand), strict=True):
        if seen.failed >= RULES.failures:
            assert offer(RULES, now) is None
    row, count = Row(), 0
    for failed in [bool(each.failed) for each in course]:
        row = after(row, Look(("it fails",) if failed else ()))
        count = 0 if failed else count + 1
        stand = decide(RULES, stand, Seen(passed=row.passed, failed=row.failed), 1000.0)
        if row.failed >= RULES.failures:
            assert stand.phase == "down"


def rows(course: Sequence[Look], row: Row = START_ROW) -> list[Row]:
    return list(itertools.accumulate(course, after, initial=row))


def held_up(took_s: float = 0.16) -> Look:
    return Look(("late",), slow=True, took_s=took_s, late_s=took_s / 2)


@given(st.integers(1, 5), st.floats(0.01, 0.19), st.data())
def test_a_host_that_is_short_of_time_withdraws_nothing_that_is_well(count: int, took_s: float, data: st.DataObject) -> None:
    """However its looks fall, while one passes now and then, and none fails when this process was run in time."""
    course = []
    for _ in range(data.draw(st.integers(1, 10))):
        course += [held_up(took_s)] * data.draw(st.integers(0, count)) + [Look()]
    assert all(row.failed == 0 for row in rows(course))


@given(st.floats(0.01, 2.0), st.floats(HELD_UP_SHARE + 0.01, 1.0))
def test_what_stays_silent_is_dead_on_a_busy_host_too(took_s: float, share: float) -> None:
    look = Look(("late",), slow=True, took_s=took_s, late_s=share * took_s)
    found = rows([look] * (math.ceil(EXCUSED_S / took_s) + 2 + RULES.failures))
    assert found[-1].failed >= RULES.failures
    excused = sum(row.failed == 0 for row in found[1:])
    assert excused * took_s < EXCUSED_S + took_s + 1e-6


@given(st.floats(0, 1), st.booleans(), st.floats(0, 5))
def test_what_is_refused_counts_at_once_and_so_does_silence_while_we_are_run_in_time(took_s: float, slow: bool, excused_s: float) -> None:
    late_s = HELD_UP_SHARE * took_s if slow else took_s
    row = after(Row(passed=3, excused_s=excused_s), Look(("no",), slow=slow, took_s=took_s, late_s=late_s))
    assert (row.passed, row.failed, row.why) == (0, 1, "no")


def test_a_look_that_passes_excuses_anew() -> None:
    assert rows([held_up()] * 3 + [Look()])[-1] == Row(passed=1)


def test_waiting_for_an_acknowledgement_while_we_were_not_run() -> None:
    assert forgiven([(1.0, "a"), (1.1, "b")], 0.5) == [(1.5, "a"), (1.6, "b")]
    assert forgiven([(1.0, "a")], 0.01) == [(1.0, "a")]


@given(stands, looks)
def test_back_only_after_enough_good_checks_and_the_penance(stand: Stand, seen: Seen) -> None:
    now = decide(RULES, replace(stand, phase="down"), seen, 0.0)
    if now.phase != "down":
        assert seen.passed >= RULES.passes
        assert -stand.since_s >= penance_s(stand.falls)


def test_one_failed_check_withdraws_nothing_and_the_second_does() -> None:
    one, two = run([Seen(failed=1), Seen(failed=2)], stand=up())
    assert offer(RULES, one) == offer(RULES, up())
    assert offer(RULES, two) is None


@given(stands, st.floats(0, 2), st.floats(0, 2))
def test_more_load_never_makes_a_site_more_wanted(stand: Stand, one: float, other: float) -> None:
    less, more = (decide(RULES, stand, Seen(passed=9, share=each), 0.0) for each in sorted((one, other)))
    assert more.level >= less.level
    told = [offer(RULES, each) for each in (less, more)]
    if told[0] and told[1]:
        assert (told[1].prepends, told[1].med) >= (told[0].prepends, told[0].med)


@given(stands, looks)
def test_one_step_at_a_time_with_a_pause(stand: Stand, seen: Seen) -> None:
    now = decide(RULES, replace(stand, phase="up"), seen, 0.0)
    if now.phase == "up":
        assert abs(now.level - stand.level) <= 1
        if now.level > stand.level:
            assert -stand.level_since_s >= RULES.raise_s
        if now.level < stand.level:
            assert -stand.level_since_s >= RULES.lower_s


@settings(max_examples=30)
@given(st.lists(st.floats(-0.04, 0.04), min_size=100, max_size=100), st.sampled_from([0.5, 0.84, 0.9, 0.95, 1.1]))
def test_noise_around_a_load_does_not_make_it_swing(noise: list[float], around: float) -> None:
    """Ten minutes, a decision each 6 s: the level rises to where it stays, and never comes down."""
    course = [Seen(passed=9, share=around + each) for each in noise]
    levels = [each.level for each in run(course, stand=up(), tick_s=6.0)]
    assert levels == sorted(levels)


def test_overload_raises_med_first_and_then_prepends_and_relief_takes_it_back() -> None:
    course = run([Seen(passed=9, share=1.0)] * 200, stand=up())
    told = [offer(RULES, each) for each in course]
    assert [(each.med, each.prepends) for each in dict.fromkeys(each for each in told if each)] == [(200, 0), (300, 1), (400, 2)]
    changes = [number for number in range(1, 200) if told[number] != told[number - 1]]
    assert [later - sooner for sooner, later in itertools.pairwise(changes)] == [pytest.approx(RULES.raise_s / TICK_S, abs=1)]
    down = run([Seen(passed=9, share=0.5)] * 130, stand=replace(course[-1], level_since_s=0.0), tick_s=1.0)
    assert [each.level for each in down][::31] == [3, 2, 1, 0, 0]
    held = run([Seen(passed=9, share=0.86)] * 130, stand=replace(course[-1], level_since_s=0.0), tick_s=1.0)
    assert held[-1].level == TOP, "within the hysteresis nothing is taken back"
    unknown = run([Seen(passed=9, share=None)] * 130, stand=course[-1], tick_s=1.0)
    assert unknown[-1].level == TOP


def test_a_drain_is_least_wanted_first_then_gone_and_over_when_it_is_taken_back() -> None:
    stay = int(RULES.drain_s / TICK_S)
    course = run([Seen(passed=9, draining=True)] * (stay + 2), stand=up())
    first = offer(RULES, course[0])
    assert first is not None
    assert first.prepends == TOP
    assert all(offer(RULES, each) == first for each in course[:stay])
    assert offer(RULES, course[-1]) is None
    (back,) = run([Seen(passed=9)], stand=course[-1])
    assert (back.phase, back.level) == ("up", 0)
    assert offer(RULES, run([Seen(passed=9, draining=True)])[0]) is None, "who drains from the start is never announced"
    assert offer(RULES, run([Seen(failed=2, draining=True)], stand=course[0])[0]) is None


def test_who_falls_again_and_again_waits_longer_and_comes_back_gently() -> None:
    stand, now_s, waited = up(), 0.0, []
    for _ in range(9):
        stand = decide(RULES, stand, Seen(failed=2), now_s)
        fell_s = now_s
        while stand.phase == "down":
            now_s += 0.25
            stand = decide(RULES, stand, Seen(passed=99), now_s)
        waited.append(now_s - fell_s)
        now_s += 1.0
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert stand.level == TOP
    steady = decide(RULES, stand, Seen(failed=2), now_s + 100.0)
    assert steady.falls == 1


@given(st.lists(st.sampled_from(["up", "draining", "down"]), max_size=5), st.floats(0, 1e9), st.floats(1, 1e9))
def test_a_sites_load_is_that_of_who_serves(states: list[str], sent: float, limit: float) -> None:
    here = [
        ApplianceHealth(id=str(n), site="s", address="a", state=each, sent_bps=sent, limit_bps=limit)  # type: ignore[arg-type]
        for n, each in enumerate(states)
    ]
    elsewhere = ApplianceHealth(id="x", site="t", address="a", sent_bps=9e9, limit_bps=1.0, load="full")
    found = load.of([*here, elsewhere], "s")
    assert found.down == (bool(states) and set(states) == {"down"})
    assert found.draining == ("up" not in states and "draining" in states)
    assert (found.share is None) == ("up" not in states)
    if found.share is not None:
        assert found.share == pytest.approx(sent / limit)


def test_full_by_connections_is_full() -> None:
    full = ApplianceHealth(id="a", site="s", address="a", load="full", sent_bps=10, limit_bps=100)
    assert load.of([full], "s").share == 1.0
    assert load.of([full, replace(full, id="b", load="high")], "s").share == pytest.approx(0.1)
    assert load.of([replace(full, limit_bps=0.0, load="normal")], "s").share is None
