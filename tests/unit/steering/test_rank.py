from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.site import Appliance
from nearcast.steering.rank import holders, is_healthy, rank

from .making import appliance

ROUTE = ("site-a", "site-b", "site-c", "site-d")
FILM = {"t": 1000}


def names(*appliances: Appliance, count: int = 3, title: str = "t") -> list[str]:
    return [each.report.id for each in rank(ROUTE, appliances, title, count=count, stale_s=2.5).appliances]


def test_the_routes_order_decides_among_holders() -> None:
    assert names(*(appliance(each, holds=FILM) for each in "dcba")) == ["a", "b", "c"]


def test_sick_draining_and_stale_are_dropped() -> None:
    found = names(
        appliance("a", state="down", holds=FILM),
        appliance("b", state="draining", holds=FILM),
        appliance("c", age_s=9.0, holds=FILM),
        appliance("d", holds=FILM),
    )
    assert found == ["d"]


def test_holders_come_before_nearer_ones_that_lack_the_title() -> None:
    assert names(appliance("a"), appliance("b", holds={"other": 5}), appliance("c", holds=FILM)) == ["c", "a", "b"]


def test_a_holder_inside_a_site_is_preferred() -> None:
    pair = [appliance("a1", "site-a"), appliance("a2", "site-a", holds=FILM)]
    assert names(*pair) == ["a2"]


def test_half_of_the_best_holding_counts_as_holding() -> None:
    fleet = [appliance("a", holds={"t": 499}), appliance("b", holds={"t": 500}), appliance("c", holds={"t": 1000})]
    assert holders(fleet, "t") == {"b", "c"}


def test_titles_spread_over_a_site_and_stay_where_they_are() -> None:
    site = [appliance(f"a{index}", "site-a", holds={f"t{n}": 1 for n in range(200)}) for index in range(4)]
    placed = {f"t{n}": names(*site, title=f"t{n}")[0] for n in range(200)}
    counts = [list(placed.values()).count(each.report.id) for each in site]
    assert min(counts) > 25
    without = {title: names(*site[1:], title=title)[0] for title in placed}
    assert all(without[title] == where for title, where in placed.items() if where != "a0")


def test_when_nothing_is_healthy_the_last_known_are_given() -> None:
    found = rank(
        ROUTE, [appliance("a", state="down"), appliance("b", age_s=60), appliance("c", state="draining")], "t", count=3, stale_s=2.5
    )
    assert not found.healthy
    assert [each.report.id for each in found.appliances] == ["c", "b", "a"]


def test_sites_outside_the_route_come_last() -> None:
    assert names(appliance("z", holds=FILM), appliance("d", holds=FILM)) == ["d", "z"]


states = st.sampled_from(["up", "draining", "down"])
fleets = st.lists(
    st.builds(
        appliance,
        st.text("abcdef", min_size=3, max_size=6),
        st.sampled_from([*ROUTE, "elsewhere"]),
        states,
        st.floats(0, 5),
        st.fixed_dictionaries({"t": st.integers(0, 3)}),
    ),
    max_size=20,
    unique_by=lambda each: each.report.id,
)


@given(fleets, st.integers(1, 5), st.integers())
def test_properties(fleet: list[Appliance], count: int, seed: int) -> None:
    found = rank(ROUTE, fleet, "t", count=count, stale_s=2.5)
    sites = [each.report.site for each in found.appliances]
    assert len(set(sites)) == len(sites) <= count
    assert bool(found.appliances) == bool(fleet)
    assert found.healthy == any(is_healthy(each, 2.5) for each in fleet)
    if found.healthy:
        assert all(is_healthy(each, 2.5) for each in found.appliances)
    mixed = list(fleet)
    random.Random(seed).shuffle(mixed)
    assert rank(ROUTE, mixed, "t", count=count, stale_s=2.5) == found


def test_who_drains_or_is_full_is_asked_only_when_nobody_else_is_there() -> None:
    full, high = appliance("a", holds=FILM), appliance("c")
    full, high = (replace(each, report=replace(each.report, load=load)) for each, load in ((full, "full"), (high, "high")))
    draining, silent = appliance("b", state="draining", holds=FILM), appliance("d", age_s=3.0)
    assert names(full, draining, high, silent) == ["c"], "though it lacks the title and is busy"
    assert names(full, draining, silent) == ["b", "a", "d"], "who drains still serves; who is full refuses"
