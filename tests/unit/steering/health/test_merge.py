"""The quorum: what one observer can do, what many can, and what silence can."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import ApplianceState, ReachedBy
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import OURSELVES, Evidence, blind, counted, discredited, judge, merge, opinions

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
    assert discredited(found, opinions(found)) == {"x"}
    assert set(states(found).values()) == {"up"}


def test_two_edges_one_cut_off() -> None:
    found = {"a": evidence(sight=LOST, votes={"b": False}), "b": evidence(votes={"a": True})}
    assert states(found) == {"a": "down", "b": "up"}
    assert merge(found).verdicts["a"].why.startswith("cut off")


# --- whose edges they are ---------------------------------------------------------------------------------------------


def of(network: str, **changes: object) -> Evidence:
    return evidence(network=network, **{"reach": "public", **changes})


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


# --- whatever the world looks like ------------------------------------------------------------------------------------

SIGHTS = st.sampled_from([SEEN, LOST, REFUSED, UNKNOWN])
NAMES = list("abcdefgh")
REACHES: list[ReachedBy] = ["public", "isp", "either"]


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
            network=draw(st.sampled_from(["", "m", "n"])),
            reach=draw(st.sampled_from(REACHES)),
            silent=draw(st.booleans()),
        )
    return found


@st.composite
def peopled(draw: st.DrawFn, reaches: st.SearchStrategy[ReachedBy]) -> dict[str, Evidence]:
    """Public sites that all reach, and ISPs' that nobody outside reaches and that may have a way out. All report and are well."""
    public = [f"p{site}.{each}" for site in range(draw(st.integers(1, 3))) for each in range(draw(st.integers(1, 3)))]
    closed = [f"i{isp}.{each}" for isp in range(draw(st.integers(1, 4))) for each in range(draw(st.integers(1, 2)))]
    network = {name: name.partition(".")[0] for name in [*public, *closed]}
    reach = {each: draw(reaches) for each in sorted({network[name] for name in closed})}
    way_out = {each: draw(st.booleans()) for each in reach}
    found = {}
    for name, own in network.items():
        observers = draw(st.lists(st.sampled_from(sorted(network)), max_size=6, unique=True))
        votes = {
            each: network[each] == own or (own not in reach and way_out.get(network[each], True)) for each in observers if each != name
        }
        found[name] = of(own, reach=reach.get(own, "public"), votes=votes, sight=UNKNOWN if own in reach else SEEN, looked=own not in reach)
    return found


def within(found: Mapping[str, Evidence], name: str) -> set[str]:
    """Who stands in the network of ``name``."""
    return {each for each in found if each != name and found[each].network == found[name].network != ""}


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
        others = set(found[name].votes) & (within(found, name) if found[name].reach == "isp" else set(found))
        if heard or others:
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
        fails, reaches = counted(found, opinions(found), name, merged.discredited, [OURSELVES] if merged.blind else [])
        everybody = [*each.votes, *([OURSELVES] if each.sight.reached is not None else [])]
        assert fails + reaches <= sum(observer not in merged.discredited for observer in everybody)


@given(worlds(healthy=True), st.sampled_from(["m", "n"]), st.data())
def test_no_network_that_is_cut_off_takes_anything_of_the_public_map(found: dict[str, Evidence], network: str, data: st.DataObject) -> None:
    """However many observers it has, and whatever they say of whom."""
    liars = [name for name, each in found.items() if each.network == network]
    for name, each in found.items():
        lies = {liar: data.draw(st.booleans()) for liar in liars if liar != name}
        found[name] = each._replace(reach="public", votes={**each.votes, **lies})
    assert set(states(found).values()) == {"up"}


@given(st.integers(1, 6), st.integers(1, 5), st.booleans(), st.data())
def test_however_many_of_a_network_are_cut_off_it_is_seen(inside: int, outside: int, both_ways: bool, data: st.DataObject) -> None:
    """They report and reach each other; we and at least one elsewhere fail at each."""
    cut, others = [f"c{number}" for number in range(inside)], [f"o{number}" for number in range(outside)]
    found = {}
    for name in cut:
        seen_by = data.draw(st.lists(st.sampled_from(others), min_size=1, max_size=3, unique=True))
        neighbours = data.draw(st.lists(st.sampled_from(cut), max_size=3, unique=True))
        found[name] = of("n", sight=LOST, votes=dict.fromkeys(seen_by, False) | dict.fromkeys(set(neighbours) - {name}, True))
    for name in others:
        seen_by = data.draw(st.lists(st.sampled_from(others), max_size=3, unique=True))
        by_cut = data.draw(st.lists(st.sampled_from(cut), max_size=3, unique=True))
        found[name] = of(name, votes=dict.fromkeys(set(seen_by) - {name}, True) | dict.fromkeys(by_cut, not both_ways))
    assert states(found) == dict.fromkeys(cut, "down") | dict.fromkeys(others, "up")


@given(peopled(st.just("isp")), st.data())
def test_beside_isps_no_single_observer_takes_anything(found: dict[str, Evidence], data: st.DataObject) -> None:
    """Whoever it is, we or any edge, and whatever it says of whom."""
    liar = data.draw(st.sampled_from([OURSELVES, *found]))
    for name, each in found.items():
        if liar == OURSELVES and each.looked:
            found[name] = each._replace(sight=data.draw(st.sampled_from([SEEN, LOST, REFUSED, UNKNOWN])))
        elif liar not in (OURSELVES, name):
            found[name] = each._replace(votes={**each.votes, liar: data.draw(st.booleans())})
    assert set(states(found).values()) == {"up"}


@given(peopled(st.sampled_from(REACHES[1:])), st.data())
def test_beside_isps_of_which_nothing_is_said_no_single_observer_empties_the_public_map(
    found: dict[str, Evidence], data: st.DataObject
) -> None:
    liar = data.draw(st.sampled_from([OURSELVES, *found]))
    for name, each in found.items():
        if liar == OURSELVES:
            found[name] = each._replace(sight=data.draw(st.sampled_from([SEEN, LOST, REFUSED])))
        elif liar != name:
            found[name] = each._replace(votes={**each.votes, liar: data.draw(st.booleans())})
    public = [state for name, state in states(found).items() if name.startswith("p")]
    assert "up" in public


@given(worlds(), st.data())
def test_nobody_outside_moves_an_isps_edge_nor_is_judged_by_it(found: dict[str, Evidence], data: st.DataObject) -> None:
    closed = [name for name, each in found.items() if each.reach == "isp"]
    found |= {name: found[name]._replace(sight=UNKNOWN, near=False) for name in closed}
    before = merge(found)
    for name in closed:
        strangers = set(found) - within(found, name) - {name}
        said = {each: data.draw(st.booleans()) for each in strangers if data.draw(st.booleans())}
        kept = {each: good for each, good in found[name].votes.items() if each not in strangers}
        found[name] = found[name]._replace(votes={**kept, **said})
    after = merge(found)
    assert after == before


@given(worlds())
def test_a_public_map_is_never_empty_while_somebody_reports(found: dict[str, Evidence]) -> None:
    public = {name for name, each in found.items() if each.reach == "public"}
    if any(found[name].fresh and found[name].told != "down" for name in public):
        assert {states(found)[name] for name in public} != {"down"}
