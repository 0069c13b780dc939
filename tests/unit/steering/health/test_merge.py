"""The quorum: what one observer can do, what many can, and what silence can."""

from __future__ import annotations

import pytest

from nearcast.model.site import ReachedBy
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import Evidence, discredited, merge, opinions
from tests.unit.steering.health.evidence import LOST, REFUSED, SEEN, STATES, UNKNOWN, evidence, of, states


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
    assert discredited(found, opinions(found)) == {"x"}
    assert set(states(found).values()) == {"up"}


def test_two_edges_one_cut_off() -> None:
    found = {"a": evidence(sight=LOST, votes={"b": False}), "b": evidence(votes={"a": True})}
    assert states(found) == {"a": "down", "b": "up"}
    assert merge(found).verdicts["a"].why.startswith("cut off")


# --- whose edges they are ---------------------------------------------------------------------------------------------


def test_many_edges_of_one_network_report_but_are_cut_off() -> None:
    """Whoever looks from elsewhere fails at all three; it is they who are cut off, not the two who look."""
    inside = dict.fromkeys("de", False) | dict.fromkeys("abc", True)
    found = {name: of("x", sight=LOST, votes={each: good for each, good in inside.items() if each != name}) for name in "abc"}
    found |= {"d": of("d", votes={"e": True, "a": True}), "e": of("e", votes={"d": True, "b": True})}
    assert states(found) == {"a": "down", "b": "down", "c": "down", "d": "up", "e": "up"}
    assert discredited(found, opinions(found)) == frozenset()
    unknown = {name: each._replace(reach="either") for name, each in found.items()}
    assert set(states(unknown).values()) == {"up"}, "where it is not said whose they are, they may be their ISP's alone"


def test_a_network_is_one_voice_however_many_look() -> None:
    found = {"a": of("a", sight=SEEN, votes=dict.fromkeys("xyz", False)), **{name: of("n") for name in "xyz"}}
    assert states(found)["a"] == "up"
    apart = {name: each._replace(network=name) for name, each in found.items()}
    assert states(apart)["a"] == "down"


def test_who_is_reached_from_within_alone_is_cut_off() -> None:
    found = {"a": of("n", fresh=False, sight=LOST, votes={"b": True, "x": False}), "b": of("n"), "x": of("x")}
    assert states(found) == {"a": "down", "b": "up", "x": "up"}
    found["a"] = found["a"]._replace(votes={"b": True})
    assert states(found)["a"] == "up", "one against one"


def test_one_edge_of_an_isp_among_many_that_all_can_reach() -> None:
    votes = dict.fromkeys("bcd", False)
    others = {name: of(name) for name in "bcd"}
    isp = of("isp", reach="isp", sight=UNKNOWN, looked=False, votes=votes)
    assert states({"a": isp, **others})["a"] == "up"
    assert states({"a": isp._replace(reach="public", sight=LOST), **others})["a"] == "down"


@pytest.mark.parametrize(
    ("changes", "state", "heard"),
    [
        ({"fresh": True, "votes": {"b": False}}, "up", True),
        ({"fresh": True, "votes": {"b": False, "c": False}}, "down", True),
        ({"votes": {"b": True}}, "up", False),
        ({"votes": {"b": False}}, "down", False),
        ({"votes": {"x": True}}, "down", False),  # nobody outside can know
        ({}, "down", False),
        ({"silent": False}, "up", False),  # it is discovery that does not tell
        ({"silent": False, "before": "down"}, "down", False),
        ({"silent": False, "before": None}, "down", False),
        ({"silent": False, "votes": {"b": False}}, "down", False),
    ],
)
def test_of_an_isps_edge_those_within_decide(changes: dict[str, object], state: str, heard: bool) -> None:
    each = of("n", reach="isp", sight=UNKNOWN, looked=False, **{"fresh": False, **changes})
    found = {"a": each, "b": of("n", reach="isp", sight=UNKNOWN), "c": of("n", reach="isp", sight=UNKNOWN), "x": of("x")}
    verdict = merge(found).verdicts["a"]
    assert (verdict.state, verdict.heard) == (state, heard)


def test_where_nothing_would_be_left_those_that_report_stay() -> None:
    found = {name: of(name, sight=LOST, votes={each: False for each in "abc" if each != name}) for name in "abc"}
    found["c"] = found["c"]._replace(fresh=False)
    merged = merge(found)
    assert {name: each.state for name, each in merged.verdicts.items()} == {"a": "up", "b": "up", "c": "down"}
    assert "nothing else is left" in merged.verdicts["a"].why


def beside_an_isp(sight: Sight, reach: ReachedBy = "isp", sites: str = "AA") -> dict[str, Evidence]:
    """Public edges that reach each other, of these ``sites``, and two of an ISP's that have no way out. All report."""
    public = {f"p{number}": site for number, site in enumerate(sites)}
    fails = dict.fromkeys(["i0", "i1"], False)
    found = {name: of(site, sight=sight, votes={**dict.fromkeys(set(public) - {name}, True), **fails}) for name, site in public.items()}
    for name, other in (("i0", "i1"), ("i1", "i0")):
        found[name] = of("I", reach=reach, sight=UNKNOWN, looked=False, votes={other: True})
    return found


@pytest.mark.parametrize("sight", [SEEN, LOST, REFUSED])
@pytest.mark.parametrize("reach", ["isp", "either"])
def test_one_observer_that_is_cut_off_takes_no_public_edge_though_an_isps_have_no_way_out(sight: Sight, reach: ReachedBy) -> None:
    assert set(states(beside_an_isp(sight, reach)).values()) == {"up"}


def test_what_is_up_at_an_isps_is_nothing_left_for_the_rest() -> None:
    """Both public sites are cut off from each other and from us."""
    found = beside_an_isp(LOST, sites="AB")
    found = {name: each._replace(votes=dict.fromkeys(each.votes, False)) if name[0] == "p" else each for name, each in found.items()}
    merged = merge(found)
    assert {each.state for each in merged.verdicts.values()} == {"up"}
    assert "nothing else is left" in merged.verdicts["p0"].why


def test_an_isps_edge_that_has_a_way_out_tells_of_what_it_fails_at() -> None:
    found = beside_an_isp(SEEN, sites="AB")
    found["p1"] = found["p1"]._replace(sight=LOST, votes={"i0": False, "i1": False, "p0": True})
    assert states(found)["p1"] == "up", "one against its report and one"
    found["p1"] = found["p1"]._replace(votes={"i0": False, "i1": False})
    found["p0"] = found["p0"]._replace(votes={"i0": True, "i1": True})
    assert states(found)["p1"] == "down"
