"""The quorum: what one observer can do, what many can, and what silence can."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import ApplianceState
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import OURSELVES, Evidence, blind, counted, discredited, judge, merge

SEEN, LOST, REFUSED, UNKNOWN = Sight(True), Sight(False, 0, True), Sight(False, 0, False), Sight()
STATES: list[ApplianceState] = ["up", "draining", "down"]


def evidence(**changes: object) -> Evidence:
    return Evidence(**{"told": "up", "fresh": True, "sight": SEEN, "before": "up", **changes})  # type: ignore[arg-type]


def states(found: Mapping[str, Evidence]) -> dict[str, ApplianceState]:
    return {name: verdict.state for name, verdict in merge(found).verdicts.items()}


@pytest.mark.parametrize(
    ("each", "state", "heard"),
    [
        (evidence(), "up", True),
        (evidence(told="draining"), "draining", True),
        (evidence(told="down"), "down", True),
        (evidence(told="down", votes={"b": True, "c": True}), "down", True),
        (evidence(sight=UNKNOWN, before=None), "up", True),
        (evidence(sight=REFUSED), "up", True),  # one against one: a tie is for the appliance
        (evidence(sight=REFUSED, votes={"b": False}), "down", True),  # cut off, though it reports
        (evidence(sight=SEEN, votes={"b": False, "c": False}), "up", True),
        (evidence(sight=SEEN, votes={"b": False, "c": False, "d": False}), "down", True),
        (evidence(sight=REFUSED, votes={"b": True, "c": True}), "up", True),
        (evidence(fresh=False), "up", False),  # the agent is dead, nginx serves on
        (evidence(fresh=False, told="draining"), "draining", False),
        (evidence(fresh=False, told="down"), "up", False),
        (evidence(fresh=False, sight=REFUSED), "down", False),
        (evidence(fresh=False, sight=REFUSED, votes={"b": True}), "up", False),
        (evidence(fresh=False, sight=REFUSED, votes={"b": True, "c": False}), "down", False),
        (evidence(fresh=False, sight=UNKNOWN), "up", False),  # we have just begun to look
        (evidence(fresh=False, sight=UNKNOWN, before=None), "down", False),
        (evidence(fresh=False, sight=UNKNOWN, looked=False), "down", False),
        (evidence(fresh=False, shut_out=True), "down", False),
        (evidence(fresh=True, shut_out=True), "up", True),  # it joined anew
    ],
)
def test_the_table(each: Evidence, state: str, heard: bool) -> None:
    verdict = merge({"a": each}).verdicts["a"]
    assert (verdict.state, verdict.heard) == (state, heard)
    assert bool(verdict.why) == (state != "up" or not heard)


def test_it_has_no_vote_on_itself() -> None:
    assert states({"a": evidence(fresh=False, sight=REFUSED, votes={"a": True})}) == {"a": "down"}


def test_we_are_cut_off_and_hear_the_reports() -> None:
    found = {name: evidence(sight=LOST) for name in "abcd"}
    assert (merge(found).blind, merge(found).isolated) == (True, False)
    assert set(states(found).values()) == {"up"}


def test_we_are_cut_off_from_everything() -> None:
    found = {name: evidence(fresh=False, sight=LOST, before=before) for name, before in zip("abcd", [*STATES, "up"], strict=True)}
    merged = merge(found)
    assert merged.isolated
    assert [each.state for each in merged.verdicts.values()] == [*STATES, "up"]
    assert all(each.held for each in merged.verdicts.values())


def test_edges_that_only_their_viewers_reach() -> None:
    """Nobody reaches any from outside; their reports decide, and their silence."""
    votes = dict.fromkeys("abcd", False)
    found = {name: evidence(sight=LOST, votes=votes) for name in "abc"} | {"d": evidence(fresh=False, sight=LOST, votes=votes)}
    assert states(found) == {"a": "up", "b": "up", "c": "up", "d": "down"}


def test_closed_ports_are_answers() -> None:
    """All edges of a machine are really dead: nobody is cut off."""
    found = {name: evidence(fresh=False, sight=REFUSED) for name in "abcd"}
    assert not merge(found).blind
    assert set(states(found).values()) == {"down"}


def test_what_is_on_this_machine_is_never_out_of_reach_through_our_fault() -> None:
    found = {name: evidence(fresh=False, sight=LOST, near=True) for name in "abc"} | {"d": evidence()}
    assert states(found) == {"a": "down", "b": "down", "c": "down", "d": "up"}


def test_most_are_dead_and_others_agree() -> None:
    """We and the last one that lives see the same: it is not we who are cut off."""
    found = {name: evidence(fresh=False, sight=LOST, votes={"d": False}) for name in "abc"} | {"d": evidence()}
    assert states(found) == {"a": "down", "b": "down", "c": "down", "d": "up"}


def test_an_edge_on_our_machine_is_cut_off_with_us() -> None:
    found = {name: evidence(fresh=False, sight=LOST, votes={"near": False}) for name in "abc"} | {"near": evidence(near=True)}
    assert set(states(found).values()) == {"up"}


def test_a_site_that_is_cut_off_does_not_count() -> None:
    found = {name: evidence(votes={"x": False, "y": True}) for name in "abc"} | {"x": evidence(), "y": evidence()}
    assert discredited(found) == {"x"}
    assert set(states(found).values()) == {"up"}


def test_two_edges_one_cut_off() -> None:
    found = {"a": evidence(sight=LOST, votes={"b": False}), "b": evidence(votes={"a": True})}
    assert states(found) == {"a": "down", "b": "up"}
    assert merge(found).verdicts["a"].why.startswith("cut off")


# --- whatever the world looks like ------------------------------------------------------------------------------------

SIGHTS = st.sampled_from([SEEN, LOST, REFUSED, UNKNOWN])
NAMES = list("abcdefgh")


@st.composite
def worlds(draw: st.DrawFn, healthy: bool = False) -> dict[str, Evidence]:
    names = NAMES[: draw(st.integers(2, 8))]
    found = {}
    for name in names:
        others = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
        good = st.just(True) if healthy else st.booleans()
        found[name] = Evidence(
            told="up" if healthy else draw(st.sampled_from(STATES)),
            fresh=healthy or draw(st.booleans()),
            sight=SEEN if healthy else draw(SIGHTS),
            votes={other: draw(good) for other in others if other != name},
            near=draw(st.booleans()),
            before="up" if healthy else draw(st.sampled_from([None, *STATES])),
        )
    return found


@given(worlds(healthy=True), st.data())
def test_no_single_observer_takes_anything_from_a_healthy_map(found: dict[str, Evidence], data: st.DataObject) -> None:
    liar = data.draw(st.sampled_from([OURSELVES, *found]))
    for name in found:
        if liar == OURSELVES:
            found[name] = found[name]._replace(sight=data.draw(st.sampled_from([SEEN, LOST, REFUSED])))
        elif liar != name:
            found[name] = found[name]._replace(votes={**found[name].votes, liar: data.draw(st.booleans())})
    assert set(states(found).values()) == {"up"}


@given(worlds(healthy=True), st.sampled_from([LOST, REFUSED]), st.booleans())
def test_we_alone_never_empty_the_map(found: dict[str, Evidence], sight: Sight, heard: bool) -> None:
    """Whatever we fail to reach: with reports nothing goes; without, what others still see stays."""
    for name, each in found.items():
        found[name] = each._replace(sight=sight, fresh=heard)
    for name, state in states(found).items():
        if heard or any(other != name for other in found[name].votes):
            assert state == "up"


@given(st.integers(3, 8), st.booleans())
def test_a_majority_takes_what_it_fails_at(count: int, fresh: bool) -> None:
    names = NAMES[:count]
    votes = dict.fromkeys(names[1:], False)
    found = {name: evidence() for name in names} | {names[0]: evidence(sight=LOST, votes=votes, fresh=fresh)}
    assert states(found)[names[0]] == "down"
    assert set(states(found).values()) == {"up", "down"}


@given(worlds())
def test_its_own_word_counts_at_once(found: dict[str, Evidence]) -> None:
    for name, state in states(found).items():
        if found[name].fresh and found[name].told != "up":
            assert state in ("down", found[name].told)


@given(worlds(), st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_one_more_who_reaches_it_never_harms_and_one_who_fails_never_helps(
    found: dict[str, Evidence], fails: int, reaches: int, alone: bool
) -> None:
    worth = {"down": 0, "draining": 1, "up": 1}
    for each in found.values():
        now = worth[judge(each, fails, reaches, alone).state]
        if fails + reaches:
            assert worth[judge(each, fails, reaches + 1, alone).state] >= now
        assert worth[judge(each, fails + 1, reaches, alone).state] <= now


@given(worlds())
def test_it_is_the_same_in_any_order(found: dict[str, Evidence]) -> None:
    turned = {name: each._replace(votes=dict(reversed(list(each.votes.items())))) for name, each in reversed(list(found.items()))}
    assert states(turned) == states(found)


@given(worlds())
def test_who_does_not_count_is_not_counted(found: dict[str, Evidence]) -> None:
    merged = merge(found)
    assert merged.blind == blind(found.values())
    for name, each in found.items():
        fails, reaches = counted(each, name, merged.discredited, merged.blind, ())
        opinions = [*each.votes, *([OURSELVES] if each.sight.reached is not None else [])]
        assert fails + reaches <= sum(observer not in merged.discredited for observer in opinions)
