"""Whatever the world looks like: what no single observer, no network that is cut off and no stale word may do to the map."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import ReachedBy
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import OURSELVES, Evidence, blind, counted, judge, merge, opinions
from tests.unit.steering.health.evidence import LOST, REFUSED, SEEN, STATES, UNKNOWN, evidence, of, states

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
