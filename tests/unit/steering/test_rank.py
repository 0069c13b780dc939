from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import Site
from nearcast.steering.rank import ABLE, DOWN, DRAINING, FULL, behind, distance_km, distinct, domain, level, may_serve, no_detour

from .fleets import health


class Place(NamedTuple):
    name: str
    domain: str


def places(text: str) -> list[Place]:
    """``a1 b1 c2``: names with their domains."""
    return [Place(each[0], each[1:]) for each in text.split()]


def names(found: list[Place]) -> str:
    return "".join(each.name for each in found)


def test_levels() -> None:
    assert level(health("a")) == ABLE
    assert level(health("a", load="high", share=0.9)) == ABLE, "busy is not full"
    assert level(health("a", share=0.95)) == FULL
    assert level(health("a", load="full")) == FULL
    assert level(health("a", state="draining", load="full")) == DRAINING
    assert level(health("a", state="down")) == DOWN


def test_an_isps_site_serves_what_was_announced() -> None:
    assert may_serve(Site(name="a"), frozenset())
    assert may_serve(Site(name="a", isp="i"), frozenset({"a"}))
    assert not may_serve(Site(name="a", isp="i"), frozenset({"b"}))


def test_a_site_without_a_zone_is_a_domain_of_its_own() -> None:
    assert domain(Site(name="a", zone="z")) == domain(Site(name="b", zone="z"))
    assert domain(Site(name="a")) != domain(Site(name="b"))
    assert domain(Site(name="z")) != domain(Site(name="a", zone="z"))


def test_distances() -> None:
    frankfurt, munich = Site(name="f", latitude=50.11, longitude=8.68), Site(name="m", latitude=48.14, longitude=11.58)
    assert distance_km(frankfurt, munich) == pytest.approx(305, abs=5)
    assert distance_km(frankfurt, frankfurt) == 0
    assert distance_km(frankfurt, Site(name="x")) < 0
    antipodes = Site(name="a", latitude=-50.11, longitude=-171.32)
    assert distance_km(frankfurt, antipodes) == pytest.approx(20015, abs=5)
    assert no_detour(frankfurt, munich)
    assert not no_detour(frankfurt, antipodes)


def test_who_is_demoted_comes_behind_the_next() -> None:
    def order(text: str, demoted: str) -> str:
        return names(list(behind(places(text), lambda each: each.name in demoted)))

    assert order("a1 b1 c1", "a") == "bac"
    assert order("a1 b1 c1", "ab") == "cab"
    assert order("a1 b1 c1", "c") == "abc"
    assert order("a1 b1", "ab") == "ab"
    assert order("a1 b1 c1 d1", "ac") == "badc"


@pytest.mark.parametrize(
    ("sites", "count", "found"),
    [
        ("b2 c3 d4", 2, "bc"),
        ("b1 c1 d2", 2, "db"),
        ("b1 c1 d1", 2, "bc"),
        ("b1", 2, "b"),
        ("", 2, ""),
        ("a1 b2", 2, "b"),
        ("b2", 0, ""),
    ],
)
def test_distinct(sites: str, count: int, found: str) -> None:
    first = Place("a", "1")
    among = [first if each.name == "a" else each for each in places(sites)]
    assert names(distinct(among, count, len({each.domain for each in among} | {"1"}), first)) == found


SOME = st.lists(st.tuples(st.sampled_from("bcdefgh"), st.sampled_from("1234")), unique_by=lambda each: each[0])


@given(SOME, st.integers(0, 5))
def test_no_failure_domain_twice_while_another_is_left(sites: list[tuple[str, str]], count: int) -> None:
    first, among = Place("a", "1"), [Place(*each) for each in sites]
    found = distinct(among, count, len({each.domain for each in among} | {"1"}), first)
    assert len(found) == min(count, len(among))
    others = {each.domain for each in among} - {"1"}
    assert len({each.domain for each in found} - {"1"}) == min(count, len(others))
    new = [each for index, each in enumerate(found) if each.domain not in {"1", *(other.domain for other in found[:index])}]
    assert found[: len(new)] == new, "other domains come first"
    assert new == sorted(new, key=among.index)
