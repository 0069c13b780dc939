"""Who takes part: a restart costs no copy, who is gone for good gives its share up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.fill import members
from nearcast.delivery.fill.members import GONE_S, Member, met, peers, remaining, room_bytes, rooms, shape, signature
from nearcast.model.site import ApplianceReport, Site

SITES = {
    "paris": Site(name="paris", region="eu", parents=("ix",), timezone="Europe/Paris"),
    "london": Site(name="london", region="eu", parents=("ix",)),
    "ix": Site(name="ix", region="eu", tier="exchange"),
}


def report(name: str, site: str = "paris", capacity_bytes: int = 1000, **more: Any) -> ApplianceReport:
    told = {"id": name, "site": site, "address": f"http://{name}/", "health_url": "", "state": "up", "holdings": {}, **more}
    return ApplianceReport(capacity_bytes=capacity_bytes, **told)


def test_who_does_not_know_its_room_yet_takes_no_part_and_loses_none() -> None:
    assert met({}, [report("a", capacity_bytes=0, holdings={"t_one": 5})], ()) == {}
    known = met({}, [report("a")], ("a",))
    assert known == {"a": Member(id="a", site="paris", url="http://a", capacity_bytes=1000, configured=True)}
    assert met(known, [report("a", capacity_bytes=0)], ("a",)) == known


@pytest.mark.parametrize(("told", "counted"), [(1000, 1000), (1001, 1000), (1049, 1000), (1060, 1060), (999, 1000), (990, 990)])
def test_room_that_breathes_is_no_news(told: int, counted: int) -> None:
    known = met(met({}, [report("a")], ()), [report("a", capacity_bytes=told)], ())
    assert known["a"].capacity_bytes == counted


@pytest.mark.parametrize(
    ("before", "held", "free", "counted"),
    [
        (None, 0, 0, 1000),  # an appliance that does not tell
        (None, 0, 400, 400),
        (None, 300, 400, 700),
        (None, 300, 5000, 1000),
        (1000, 300, 620, 1000),  # files under way
        (1000, 300, 580, 880),  # others fill the disk
        (880, 300, 600, 880),
        (880, 300, 5000, 1000),  # there is room again
        (700, 700, 0, 700),
    ],
)
def test_room_that_is_not_there_is_not_counted_on(before: int | None, held: int, free: int, counted: int) -> None:
    assert room_bytes(report("a", held_bytes=held, disk_free_bytes=free), before) == counted


@given(st.lists(st.tuples(*[st.integers(0, 2000)] * 3, st.sampled_from(["", "NC2011: full"])), max_size=30))
def test_room_never_grows_beyond_the_partition_and_settles(told: list[tuple[int, int, int, str]]) -> None:
    counted: int | None = None
    for held, free, missing, problem in told:
        heard = report("a", held_bytes=held, disk_free_bytes=free, missing_bytes=missing, problem=problem)
        counted = room_bytes(heard, counted)
        assert counted <= 1000
        assert room_bytes(heard, counted) == counted, "the same told twice changes nothing"


def test_what_is_under_way_is_no_loss_of_room_and_what_gets_no_further_is() -> None:
    half: dict[str, Any] = {"held_bytes": 300, "disk_free_bytes": 100, "missing_bytes": 600}
    assert room_bytes(report("a", **half), 1000) == 1000
    assert room_bytes(report("a", **half, problem="NC2011: full"), 1000) == 400
    assert room_bytes(report("a", **half), 400) == 400, "not room that came back"


def test_who_is_gone() -> None:
    known = met({}, [report(name) for name in "abcd"], ("a", "b"))
    assert set(remaining(known, {"c": GONE_S - 1}, ("a", "b"), ())) == set("abcd"), "a restart"
    assert set(remaining(known, {"c": GONE_S}, ("a", "b"), ())) == set("abd"), "silent for long"
    assert set(remaining(known, {}, ("a",), ())) == set("acd"), "taken out of the configuration of this host"
    assert set(remaining(known, {}, ("a", "b"), ("d",))) == set("abc"), "shut out"


def test_sites_of_a_region_share_its_demand_and_exchanges_see_all_of_it() -> None:
    fleet = met({}, [report("p1"), report("p2"), report("l1", "london"), report("x1", "ix"), report("z1", "nowhere")], ())
    found = {each.name: (each.region, each.demand_share, [one.id for one in each.appliances]) for each in rooms(fleet, SITES)}
    assert found == {
        "paris": ("eu", 0.5, ["p1", "p2"]),
        "london": ("eu", 0.5, ["l1"]),
        "ix": ("eu", 1.0, ["x1"]),
        "nowhere": ("nowhere", 1.0, ["z1"]),
    }


def test_the_fleet_as_the_schedule_sees_it() -> None:
    fleet = met({}, [report("p1"), report("p2")], ())
    told = {"p1": report("p1", problem="NC2008 full", holdings={"t": 5})}
    first, second = peers(fleet, told, SITES, {"p1": "t1", "p2": "t2"}, {"p1": {"t": 4}, "p2": {"t": 6}})
    assert (first.holdings, second.holdings) == ({"t": 5}, {"t": 6}), "who is silent holds what it last told"
    assert (first.state, first.stuck, first.holdings, first.parents, first.timezone) == ("up", True, {"t": 5}, ("ix",), "Europe/Paris")
    assert (second.state, second.token, second.url) == ("down", "t2", "http://p2"), "silent, and still counted on"


def test_bytes_that_tick_by_are_no_news() -> None:
    fleet = met({}, [report("p1")], ())

    def seen(**more: Any) -> tuple[object, ...]:
        return signature(peers(fleet, {"p1": report("p1", **more)}, SITES, {"p1": ""}, {}), 7)

    assert seen(missing_bytes=10, holdings={"t": 5}) == seen(missing_bytes=9, holdings={"t": 6})
    assert len({seen(), seen(missing_bytes=1), seen(state="draining"), seen(generation=7), seen(problem="x")}) == 5
    assert seen(problem="x", holdings={"t": 5}) != seen(problem="x", holdings={"t": 6}), "what it has of a file decides whether it is asked"


def test_another_room_is_another_shape() -> None:
    assert shape(met({}, [report("a"), report("b")], ())) == shape(met({}, [report("b"), report("a", sent_bps=5.0)], ()))
    assert shape(met({}, [report("a")], ())) != shape(met({}, [report("a", capacity_bytes=2000)], ()))
    assert members.site_of("nowhere", SITES).tier == "edge"


def test_who_has_no_room_takes_part_with_none() -> None:
    """It serves what it fetches on misses, and has to be told from whom."""
    assert met({}, [report("a", capacity_bytes=0)], ())["a"].capacity_bytes == 0
