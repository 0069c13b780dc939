from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.policy import balance
from nearcast.steering.decide import Decider
from nearcast.steering.decision import Limits
from nearcast.steering.plans import Plan
from nearcast.steering.rank import ABLE, domain, level, may_serve
from nearcast.steering.standing import Title
from nearcast.steering.view import View

from .fleets import FILM, OneMatch, decider, health, ids, view

ROUTE = ("a", "b", "c", "d")
SITES = tuple(Site(name=name, zone=f"zone-{name}") for name in ROUTE)


def chosen(*appliances: ApplianceHealth, title: str = "t", sites: tuple[Site, ...] = SITES, **more: Any) -> list[str]:
    seen = view(appliances, **{key: more.pop(key) for key in ("holdings", "demoted") if key in more})
    table = OneMatch(*more.pop("route", ROUTE), announced=more.pop("announced", ()))
    return ids(decider(sites, table, seen).decide("192.0.2.1", title, **more))


def test_the_routes_order_decides() -> None:
    assert chosen(*(health(f"{each}-1") for each in "dcba")) == ["a-1", "b-1", "c-1"]


def test_sick_and_draining_are_dropped_and_full_ones_too() -> None:
    fleet = health("a-1", state="down"), health("b-1", state="draining"), health("c-1", load="full", share=0.96), health("d-1")
    assert chosen(*fleet) == ["d-1"]


def test_when_nobody_is_able_those_go_first_who_still_serve() -> None:
    fleet = [health("a-1", load="full"), health("b-1", state="down"), health("c-1", state="draining")]
    found = decider(SITES, OneMatch(*ROUTE), view(fleet)).decide("192.0.2.1", "t")
    assert not found.healthy
    assert found.unsettled
    assert ids(found) == ["c-1", "a-1"], "nobody is sent to who is down while another is up"
    assert chosen(health("a-1", state="down"), health("b-1", state="down")) == ["a-1", "b-1"], "better a last hope than none"
    assert chosen() == []


def test_sites_that_the_route_does_not_name_come_last() -> None:
    assert chosen(*(health(f"{each}-1") for each in "abd"), route=("d",)) == ["d-1", "a-1", "b-1"]
    assert chosen(health("z-1"), health("d-1")) == ["d-1", "z-1"], "even one that the configuration does not know"


def test_an_isps_site_serves_only_prefixes_announced_to_it() -> None:
    sites = (Site(name="rack", isp="isp-a"), *SITES)
    fleet = health("rack-1"), health("b-1")
    assert chosen(*fleet, sites=sites, route=("rack", "b"), announced=("rack",)) == ["rack-1", "b-1"]
    assert chosen(*fleet, sites=sites, route=("rack", "b")) == ["b-1"]
    assert chosen(health("rack-1"), sites=sites, route=("b",)) == [], "not even as a last resort"
    assert chosen(health("rack-1"), sites=sites, route=("b",), current="rack-1") == [], "nor for who has moved to another network"


def test_failure_domains_come_before_order() -> None:
    sites = tuple(Site(name=name, zone=zone) for name, zone in zip("abcd", "1122", strict=True))
    assert chosen(*(health(f"{each}-1") for each in "abcd"), sites=sites) == ["a-1", "c-1", "b-1"]


def test_one_site_gives_three_appliances() -> None:
    found = chosen(*(health(f"a-{number}") for number in range(5)))
    assert len(set(found)) == 3


def test_a_near_holder_is_preferred_a_far_one_is_not() -> None:
    places = {"a": (50.1, 8.7), "b": (48.1, 11.6), "c": (1.3, 103.8)}
    sites = tuple(Site(name=name, latitude=place[0], longitude=place[1]) for name, place in places.items())
    fleet = [health(f"{each}-1") for each in "abc"]
    assert chosen(*fleet, sites=sites, holdings={"b-1": FILM, "c-1": FILM}) == ["b-1", "a-1", "c-1"]
    assert chosen(*fleet, sites=sites, holdings={"c-1": FILM}) == ["a-1", "b-1", "c-1"]
    parents = replace(sites[0], parents=("c",)), *sites[1:]
    assert chosen(*fleet, sites=parents, holdings={"c-1": FILM}) == ["c-1", "a-1", "b-1"], "it would fetch it from there"


def test_one_who_holds_the_title_is_among_the_answers() -> None:
    sites = tuple(Site(name=name, latitude=0.0, longitude=20.0 * number) for number, name in enumerate("abcd"))
    assert chosen(*(health(f"{each}-1") for each in "abcd"), sites=sites, holdings={"d-1": FILM}) == ["a-1", "b-1", "d-1"]


def test_where_nothing_is_known_of_distances_a_holder_of_the_route_is_preferred() -> None:
    assert chosen(*(health(f"{each}-1") for each in "abcd"), holdings={"d-1": FILM}) == ["d-1", "a-1", "b-1"]
    assert chosen(*(health(f"{each}-1") for each in "abcd"), holdings={"d-1": FILM}, route=("a", "b")) == ["a-1", "b-1", "d-1"]


def test_inside_a_site_a_holder_is_preferred_unless_it_is_full() -> None:
    held = {"a-2": FILM}
    assert chosen(health("a-1"), health("a-2"), holdings=held)[0] == "a-2"
    assert chosen(health("a-1"), health("a-2", share=0.97), holdings=held) == ["a-1"]


def test_half_of_the_best_holding_counts() -> None:
    held = {"a-1": {"t": 499}, "a-2": {"t": 500}, "a-3": {"t": 1000}}
    fleet = [health(f"a-{number}") for number in (1, 2, 3)]
    first = {chosen(*fleet, holdings=held, session=str(n))[0] for n in range(50)}
    assert first <= {"a-2", "a-3"}


def test_titles_spread_over_a_site_and_stay_where_they_are() -> None:
    site = [health(f"a-{number}") for number in range(4)]
    titles = [f"t{number}" for number in range(200)]
    held = {each.id: dict.fromkeys(titles, 1) for each in site}
    before = {title: chosen(*site, title=title, holdings=held)[0] for title in titles}
    assert min(Counter(before.values()).values()) > 25
    after = {title: chosen(replace(site[0], state="down"), *site[1:], title=title, holdings=held)[0] for title in titles}
    assert all(after[title] == where for title, where in before.items() if where != "a-0")


def test_the_pathway_in_use_is_kept_unless_there_is_a_reason() -> None:
    fleet = [health(f"{each}-1") for each in "abcd"]
    assert chosen(*fleet, current="c-1") == ["c-1", "a-1", "b-1"]
    assert chosen(*fleet[:2], health("c-1", state="draining"), current="c-1") == ["a-1", "b-1"]
    assert chosen(*fleet[:2], health("c-1", state="down"), current="c-1") == ["a-1", "b-1"]
    assert chosen(*fleet, current="gone-1") == ["a-1", "b-1", "c-1"]


def test_a_full_site_is_left_by_and_by() -> None:
    seen = view([health("a-1", load="full", share=0.96, limit_bps=1e9), health("b-1"), health("c-1")])
    made = decider(SITES, OneMatch(*ROUTE), seen)

    def leave(now_s: float) -> set[str]:
        made.use(OneMatch(*ROUTE), seen, now_s)
        asked = {str(number): made.decide("192.0.2.1", "t", session=str(number), current="a-1") for number in range(1000)}
        assert all(each.unsettled for each in asked.values())
        return {session for session, each in asked.items() if ids(each)[0] != "a-1"}

    first = leave(1000.0)
    assert 60 < len(first) < 170, "a share that brings it to where it belongs: 11 %"
    assert leave(1000.0 + balance.SHIFT_S / 4) == first, "and until that is seen, no others"
    assert leave(1000.0 + 2 * balance.SHIFT_S) != first
    assert all(ids(made.decide("192.0.2.1", "t", session=each, current="b-1"))[0] == "b-1" for each in first), "nobody comes back"


def test_measured_quality_moves_a_share_and_no_more_than_a_fifth() -> None:
    seen = view([health(f"{each}-1") for each in "abc"], demoted={"a": 0.9})
    made = decider(SITES, OneMatch(*ROUTE), seen)
    orders = Counter(tuple(ids(made.decide("192.0.2.1", "t", session=str(number)))) for number in range(2000))
    assert set(orders) == {("a-1", "b-1", "c-1"), ("b-1", "a-1", "c-1")}
    assert 0.15 < orders["b-1", "a-1", "c-1"] / 2000 < 0.25
    alone = decider(SITES, OneMatch(*ROUTE), view([health("a-1")], demoted={"a": 0.2}))
    assert {alone.decide("192.0.2.1", "t", session=str(number)).appliances[0].id for number in range(50)} == {"a-1"}


def test_no_herd_between_two_reports() -> None:
    """The least loaded in the last report is not everybody's choice until the next."""
    fleet = [health(f"a-{number}", limit_bps=1e9, sent_bps=1e8 * (number > 0), share=0.1 * (number > 0)) for number in range(4)]
    made = decider(SITES, OneMatch("a"), view(fleet))
    given = Counter(made.decide("192.0.2.1", "t", session=str(number)).appliances[0].id for number in range(60))
    assert given["a-0"] < 40, given


def test_sessions_given_fill_an_appliance_before_its_next_report() -> None:
    fleet = [health("a-1", limit_bps=100e6, sent_bps=80e6, share=0.8), health("b-1")]
    made = decider(SITES, OneMatch(*ROUTE), view(fleet))
    given = [ids(made.decide("192.0.2.1", "t", session=str(number)))[0] for number in range(10)]
    assert given == ["a-1"] * 3 + ["b-1"] * 7
    made.use(OneMatch(*ROUTE), made._view, 1000.0 + 5 * balance.GIVEN_FADES_S)
    assert ids(made.decide("192.0.2.1", "t", session="later"))[0] == "a-1", "what was given is forgotten, as reports have it by then"


def test_what_is_no_session_fills_nobody() -> None:
    made = decider(SITES, OneMatch("a", "b"), view([health("a-1", share=0.949, limit_bps=1e9), health("b-1")]))
    for number in range(100):
        assert ids(made.decide(f"192.0.2.{number}", "t", count=1, counts=False)) == ["a-1"]
    found = {ids(made.decide(f"192.0.2.{number}", "t", count=1))[0] for number in range(100)}
    assert found == {"a-1", "b-1"}


def test_newcomers_start_slowly() -> None:
    old = [health(f"a-{number}", limit_bps=1e9, share=0.3, sent_bps=3e8, up_since_s=1.0) for number in range(3)]
    new = health("a-new", limit_bps=1e9, up_since_s=990.0)
    made = decider(SITES, OneMatch("a"), view([*old, new]))
    given = Counter(made.decide("192.0.2.1", "t", session=str(number)).appliances[0].id for number in range(80))
    assert 0 < given["a-new"] < 20, given
    made = decider(SITES, OneMatch("a"), view([*old, replace(new, up_since_s=500.0)]))
    given = Counter(made.decide("192.0.2.1", "t", session=str(number)).appliances[0].id for number in range(80))
    assert given["a-new"] > 25, given


def test_a_session_that_asks_again_is_told_the_same_and_counts_once() -> None:
    fleet = [health(f"a-{number}", limit_bps=60e6) for number in range(3)]
    made = decider(SITES, OneMatch("a"), view(fleet))
    first = made.decide("192.0.2.1", "t", session="s")
    for _ in range(20):
        assert made.decide("192.0.2.1", "t", session="s") == first


def test_what_the_session_was_given_is_named_again() -> None:
    fleet = [health(f"{site}-{number}") for site in "abc" for number in range(4)]
    found = chosen(*fleet, known=("a-3", "b-2", "c-0"), session="s")
    assert found == ["a-3", "b-2", "c-0"]
    assert chosen(*(replace(each, state="down") if each.id == "b-2" else each for each in fleet), known=("a-3", "b-2", "c-0"))[::2] == [
        "a-3",
        "c-0",
    ]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_burst_between_two_reports_is_never_left_without_an_answer(limits: list[int], count: int, seed: int) -> None:
    """Whoever becomes full by what it was just given is full, not gone."""
    fleet = [health(f"{'abc'[number % 3]}-{number}", limit_bps=size * 1e7) for number, size in enumerate(limits)]
    made = decider(SITES, OneMatch("a", "b", "c"), view(fleet))
    found = [made.decide("192.0.2.1", "t", count=count, session=f"s{seed + number}") for number in range(40 * len(limits))]
    assert all(each.appliances for each in found)
    assert not found[-1].healthy, "all are full by now, and say so"


def test_where_all_are_full_what_still_comes_is_spread() -> None:
    fleet = [health(f"a-{number}", limit_bps=10e9, share=0.955, load="full") for number in range(8)]
    made = decider(SITES, OneMatch("a"), view(fleet))
    first = Counter(ids(made.decide("192.0.2.1", "t", session=f"s{number}"))[0] for number in range(800))
    assert set(first.values()) == {100}, "one edge is not made to refuse while others have room"
    again = [ids(made.decide("192.0.2.1", "t", session=f"s{number}"))[0] for number in range(800)]
    assert Counter(again) == first


def test_a_small_system_is_settled_with_fewer_answers_than_asked_for() -> None:
    made = decider(SITES, OneMatch("a", "b"), view([health("a-1"), health("b-1")]))
    assert not made.decide("192.0.2.1", "t").unsettled
    made = decider(SITES, OneMatch("a", "b"), view([health("a-1"), health("b-1", state="down")]))
    assert made.decide("192.0.2.1", "t").unsettled


def test_unsettled_while_a_first_site_takes_nobody_or_an_answer_is_missing() -> None:
    fleet = [health(f"{each}-1") for each in "abcd"]
    made = decider(SITES, OneMatch(*ROUTE), view(fleet))
    assert not made.decide("192.0.2.1", "t").unsettled
    made.use(OneMatch(*ROUTE), view([replace(fleet[1], state="draining"), *(fleet[index] for index in (0, 2, 3))]))
    assert made.decide("192.0.2.1", "t").unsettled
    made.use(OneMatch(*ROUTE), view([*fleet[:2], *(replace(each, state="down") for each in fleet[2:])]))
    assert made.decide("192.0.2.1", "t").unsettled


def test_spare_ones_stand_beside_an_answer_that_stays_as_it_is() -> None:
    fleet = [health(f"{each}-{number}") for each in "abcd" for number in range(2)]
    for more in ({}, {"current": "c-1"}, {"known": ("a-1", "b-0", "d-1")}):
        alone = decider(SITES, OneMatch(*ROUTE), view(fleet)).decide("192.0.2.1", "t", **more)
        found = decider(SITES, OneMatch(*ROUTE), view(fleet)).decide("192.0.2.1", "t", **more, spare=2)
        assert (found.appliances, found.unsettled, alone.spare) == (alone.appliances, False, ())
        assert len({*ids(found), *(each.id for each in found.spare)}) == 5
        assert {each.site for each in (*found.appliances, *found.spare)} == set(ROUTE), "a site more comes before an appliance more"


def test_sick_spare_ones_unsettle_nothing_and_are_a_last_hope_at_most() -> None:
    fleet = [health(f"{each}-1") for each in "abc"]
    made = decider(SITES, OneMatch(*ROUTE), view([*fleet, health("d-1", state="down")]))
    found = made.decide("192.0.2.1", "t", spare=1)
    assert (found.spare, found.unsettled) == ((), False)
    made.use(OneMatch(*ROUTE), view([replace(each, state="down") for each in fleet]))
    found = made.decide("192.0.2.1", "t", count=1, spare=1)
    assert (len(found.appliances), len(found.spare), found.healthy) == (1, 1, False)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["up", "up", "draining", "down"])), min_size=1, max_size=8),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_spare_ones_are_never_among_the_answers(states: list[tuple[str, Any]], spare: int) -> None:
    fleet = [health(f"{site}-{number}", state=state) for number, (site, state) in enumerate(states)]
    alone = decider(SITES, OneMatch(*ROUTE), view(fleet)).decide("192.0.2.1", "t", session="s")
    found = decider(SITES, OneMatch(*ROUTE), view(fleet)).decide("192.0.2.1", "t", session="s", spare=spare)
    assert (found.appliances, found.unsettled) == (alone.appliances, alone.unsettled)
    named = [*ids(found), *(each.id for each in found.spare)]
    assert len(set(named)) == len(named)
    assert len(found.spare) <= spare


def test_what_is_kept_is_bounded() -> None:
    fleet = [health(f"{each}-1") for each in "abc"]
    made = Decider(SITES, Limits(planned=8, orders=20, sessions=10))
    for number in range(200):
        made.use(OneMatch(*random.Random(number).sample(ROUTE, 3)), view(fleet))
        made.decide("192.0.2.1", f"t{number}", session=str(number))
    assert len(made._plans) <= 2
    assert len(made._recent) <= 11
    assert len(made._titles) <= 7
    assert sum(len(each._numbers) for each in made._standings.values()) <= 24


def test_the_explanation_goes_by_the_decision() -> None:
    sites = (*SITES, Site(name="rack", isp="isp-a"))
    fleet = [
        health("a-1", share=0.96, load="full", limit_bps=1e9),
        health("a-2", share=0.9, load="full", limit_bps=1e9),
        health("b-1"),
        health("b-2"),
        health("c-1", state="down", why="nobody has seen it answer for 3 s"),
        health("d-1", state="draining"),
        health("rack-1"),
    ]
    made = decider(sites, OneMatch(*ROUTE), view(fleet))
    found = {each.appliance: each for each in made.consider("192.0.2.1", "t")}
    assert [each for each in found if found[each].verdict == "chosen"] == ids(made.decide("192.0.2.1", "t"))
    assert found.keys() == {each.id for each in fleet}
    assert "holds the title" in found["b-1"].why
    assert found["a-1"].why == "sends 96 % of its limit"
    assert found["a-2"].why == "was full, and gets sessions again below 88 % of its limit: it sends 90 %"
    assert found["c-1"].why == "nobody has seen it answer for 3 s"
    assert found["d-1"].verdict == "rejected"
    assert found["rack-1"].why == "stands in the network of isp-a, to which no prefix of this address was announced"


# --- properties -------------------------------------------------------------------------------------------------------

APPLIANCES = st.builds(
    health,
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 4)).map(lambda each: f"{each[0]}-{each[1]}"),
    state=st.sampled_from(["up", "up", "up", "draining", "down"]),
    load=st.sampled_from(["normal", "normal", "high", "full"]),
    share=st.floats(0, 1.1),
    limit_bps=st.sampled_from([0.0, 1e9, 5e10]),
    up_since_s=st.floats(0, 1000),
    heard=st.booleans(),
)
FLEETS = st.lists(APPLIANCES, max_size=14, unique_by=lambda each: each.id)
PLACES = st.lists(
    st.builds(Site, name=st.sampled_from("abcdef"), zone=st.sampled_from(["", "1", "2", "3"]), isp=st.sampled_from(["", "", "isp"])),
    max_size=6,
    unique_by=lambda each: each.name,
)
TABLES = st.builds(
    lambda sites, announced: OneMatch(*sites, announced=set(announced) & set(sites)),
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef")),
)
HELD = st.dictionaries(st.sampled_from([f"{site}-{number}" for site in "abcdef" for number in range(5)]), st.just(FILM))


@given(FLEETS, PLACES, TABLES, HELD, st.integers(1, 4), st.sampled_from(["", "a-1", "b-0"]), st.floats(0, 0.3), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_properties(
    fleet: list[ApplianceHealth],
    places: list[Site],
    table: OneMatch,
    held: dict[str, dict[str, int]],
    count: int,
    current: str,
    share: float,
    session: int,
) -> None:
    seen = view(fleet, held, demoted={"a": share, "b": share})
    sites = {each.name: each for each in places} | {each: Site(name=each) for each in "abcdef" if each not in {p.name for p in places}}
    made = decider(places, table, seen)
    found = made.decide("192.0.2.1", "t", count=count, session=str(session), current=current)
    serving = [each for each in fleet if may_serve(sites[each.site], table.found.announced)]
    able = [each for each in serving if level(each) == ABLE]
    answers = found.appliances
    assert len({each.id for each in answers}) == len(answers) <= count
    assert all(each in serving for each in answers), "an ISP's site serves nobody else"
    assert found.healthy == bool(able) or (current in ids(found) and found.healthy)
    assert bool(answers) == bool(serving)
    if able:
        assert len(answers) >= min(count, len(able)), "as many as can serve"
        assert all(level(each) == ABLE for each in answers if each.id != current), "no full, draining or dead one while another can serve"
    elif any(each.state != "down" for each in serving):
        assert all(each.state != "down" for each in answers)
    if able and found.healthy:
        domains = {domain(sites[each.site]) for each in able}
        named = {domain(sites[each.site]) for each in answers}
        assert len(named) >= min(count, len(domains)), "distinct failure domains as far as there are any"
        assert len({each.site for each in answers}) >= min(count, len({each.site for each in able}))
    same = made.decide("192.0.2.1", "t", count=count, session=str(session), current=current)
    assert same.appliances == answers, "the same while nothing changes, even where the session itself was the last that found room"
    shuffled = [*fleet]
    random.Random(session).shuffle(shuffled)
    again = decider(places, table, view(shuffled, held, demoted={"a": share, "b": share}))
    assert again.decide("192.0.2.1", "t", count=count, session=str(session), current=current) == found
    assert {each.appliance for each in made.consider("192.0.2.1", "t")} == {each.id for each in fleet}


class LongWay(Decider):
    """Never takes the short way."""

    def _usual(self, plan: Plan, title: Title, wanted: int, name: str, known: Sequence[str]) -> None:
        return None


@given(FLEETS, PLACES, TABLES, HELD, st.lists(st.integers(1, 4), max_size=6))
@settings(max_examples=150, deadline=None)
def test_the_short_way_leads_where_the_long_way_does(
    fleet: list[ApplianceHealth], places: list[Site], table: OneMatch, held: dict[str, dict[str, int]], counts: list[int]
) -> None:
    up = [replace(each, state="up", load="normal", share=each.share / 2) for each in fleet]
    for seen in (view(fleet, held), view(up, held)):
        short, long = Decider(places), LongWay(places)
        for number, count in enumerate(counts):
            for each in (short, long):
                each.use(table, seen)
            assert short.decide("192.0.2.1", "t", count=count, session=str(number)) == long.decide(
                "192.0.2.1", "t", count=count, session=str(number)
            )


@given(st.lists(st.integers(1, 20), min_size=3, max_size=30), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_who_goes_moves_only_its_own(sizes: list[int], seed: int) -> None:
    fleet = [health(f"a-{number}", limit_bps=size * 1e9) for number, size in enumerate(sizes)]
    titles = [f"t{seed + number}" for number in range(60)]
    held = {each.id: dict.fromkeys(titles, 1) for each in fleet}

    def placed(seen: View) -> dict[str, str]:
        return {title: ids(decider(SITES, OneMatch("a"), seen).decide("192.0.2.1", title, count=1))[0] for title in titles}

    before = placed(view(fleet, held))
    after = placed(view([replace(fleet[0], state="down"), *fleet[1:]], held))
    assert all(after[title] == where for title, where in before.items() if where != "a-0")
    assert all(where != "a-0" for where in after.values())


@pytest.mark.parametrize("address", ["", "somebody", "10.1.2.3", "::ffff:192.0.2.1", "fe80::1%eth0", "300.1.1.1"])
def test_any_address_gets_an_answer(address: str) -> None:
    assert chosen(*(health(f"{each}-1") for each in "abc"), session="s") == ["a-1", "b-1", "c-1"]
    from nearcast.model.route import Route
    from nearcast.steering.routes import Table

    made = Decider(SITES)
    made.use(
        Table.of([Route(prefix="0.0.0.0/0", sites=("a",)), Route(prefix="::/0", sites=("b",))], SITES), view([health("a-1"), health("b-1")])
    )
    expected = "b-1" if address.startswith("fe80") else "a-1"
    assert ids(made.decide(address, "t"))[0] == expected


@given(FLEETS, PLACES, HELD, st.permutations(ROUTE), st.permutations(ROUTE), st.sampled_from(["t", "u"]))
@settings(max_examples=150, deadline=None)
def test_who_leads_does_so_for_every_route_with_the_same_first_able_site(
    fleet: list[ApplianceHealth],
    places: list[Site],
    held: dict[str, dict[str, int]],
    route: list[str],
    other: list[str],
    title: str,
) -> None:
    seen = view(fleet, held)
    made = decider(places, OneMatch(*route), seen)
    found = made.decide("192.0.2.1", title, count=1, session="dns", counts=False)
    if not found.leads:
        return
    made.use(OneMatch(*other), seen)
    first = made.decide("192.0.2.2", "", count=1, session="dns", counts=False)
    if first.leads and first.appliances[0].site == found.appliances[0].site:
        again = made.decide("192.0.2.2", title, count=1, session="dns", counts=False)
        assert (again.appliances, again.leads) == (found.appliances, True)
