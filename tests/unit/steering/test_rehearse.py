"""Who would move: the two tables are asked address by address, and the comparison of whole tables must say the same."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering import rank
from nearcast.steering.cidr import blocks, blocks_of
from nearcast.steering.rehearse import ALL, Movement, World, difference, movement, outermost
from nearcast.steering.routes import Prefix, Table, parse_prefix
from nearcast.steering.routes.compile import distinct
from nearcast.steering.routes.places import geography_of

NAMES = ("a", "b", "c", "d")
PLACES = tuple(Site(name=each) for each in NAMES)


def world(table: Table, sites: Sequence[Site] = PLACES) -> World:
    return World(table, {each.name: each for each in sites})


def rehearse(before: list[Announcement], after: list[Announcement], limit: int = 1000) -> Movement:
    table = Table.of((), PLACES, before)
    changes = difference(before, after)
    changed = {parse_prefix(each.prefix) for each in (*changes.announce, *changes.withdraw)}
    return movement(world(table), world(table.altered(changes.announce, changes.withdraw)), changed, limit)


def route(prefix: str, *sites: str) -> list[Announcement]:
    return [Announcement(prefix=prefix, site=site, order=order) for order, site in enumerate(sites)]


def test_nobody_moves_where_nothing_changes() -> None:
    told = route("20.0.0.0/8", "a", "b")
    assert rehearse(told, told) == Movement((), 0)


def test_a_new_prefix_takes_its_own_addresses_and_what_lies_below_keeps_its_own_site() -> None:
    before = [*route("20.0.0.0/8", "a", "b"), *route("20.1.0.0/16", "c")]
    found = rehearse(before, [*before, *route("20.0.0.0/14", "b")])
    assert [(each.prefix, each.addresses, each.before, each.after) for each in found.moved] == [
        ("20.2.0.0/15", 131072.0, ("a", "b"), ("b", "a")),
        ("20.0.0.0/16", 65536.0, ("a", "b"), ("b", "a")),
        ("20.1.0.0/16", 65536.0, ("c", "a", "b"), ("c", "b", "a")),
    ]
    assert found.total == 3


def test_the_order_of_alternates_counts_too() -> None:
    found = rehearse(route("20.0.0.0/8", "a", "b", "c"), route("20.0.0.0/8", "a", "c", "b"))
    assert [(each.before, each.after) for each in found.moved] == [(("a", "b", "c"), ("a", "c", "b"))]


def test_what_a_session_is_not_given_moves_nobody() -> None:
    assert rehearse(route("20.0.0.0/8", "a", "b", "c", "d"), route("20.0.0.0/8", "a", "b", "c")).total == 0


def test_the_largest_come_first_and_the_rest_is_counted() -> None:
    before = route("0.0.0.0/0", "a")
    after = [*before, *route("20.0.0.0/16", "b"), *route("30.0.0.0/10", "b"), *route("2a00::/32", "b")]
    found = rehearse(before, after, limit=2)
    assert [each.prefix for each in found.moved] == ["2a00::/32", "30.0.0.0/10"]
    assert found.moved[0].addresses == 2.0**32  # networks of length 64
    assert found.total == 3


@pytest.mark.parametrize("part", [1, 3])
@pytest.mark.parametrize("limit", [5, 1000])
def test_worked_out_in_parts_it_is_the_same(monkeypatch: pytest.MonkeyPatch, part: int, limit: int) -> None:
    rng = random.Random(part)
    prefixes = [*(f"20.{rng.randrange(32)}.{16 * rng.randrange(16)}.0/20" for _ in range(40)), "20.8.0.0/13", "0.0.0.0/0", "2a00::/12"]
    before = [each for prefix in dict.fromkeys(prefixes) for each in route(prefix, *rng.sample(NAMES, 2))]
    after = [*(each for each in before if rng.random() < 0.8), *route("20.0.0.0/9", "d", "a"), *route("2a00:8000::/17", "b")]
    whole = rehearse(before, after, limit)
    for name in ("rehearse.PART", "given.PART", "routes.rows._PART", "routes.compile._PART"):
        monkeypatch.setattr(f"nearcast.steering.{name}", part)
    assert whole.total > 10
    assert rehearse(before, after, limit) == whole


@given(st.lists(st.integers(0, 40)), st.integers(41, 50))
def test_distinct_numbers_are_those_of_numpy(numbers: list[int], count: int) -> None:
    found = distinct(np.array(numbers, dtype=np.intp), count)
    assert [each.tolist() for each in found] == [each.tolist() for each in np.unique(np.array(numbers, dtype=np.intp), return_inverse=True)]


def test_outermost_prefixes_hold_the_others() -> None:
    told = [parse_prefix(each) for each in ("20.1.0.0/16", "20.0.0.0/8", "20.0.0.0/16", "21.0.0.0/8", "2a00::/16", "2a00:1::/32")]
    assert [str(each) for each in outermost(told)] == ["20.0.0.0/8", "21.0.0.0/8", "2a00::/16"]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32))
def test_blocks_are_those_of_the_standard_library(low: int, high: int) -> None:
    if low >= high:
        assert list(blocks(4, low, high)) == []
        return
    wanted = ipaddress.summarize_address_range(ipaddress.IPv4Address(low), ipaddress.IPv4Address(high - 1))
    assert [str(each) for each in blocks(4, low, high)] == [str(each) for each in wanted]


def test_all_addresses_are_one_block() -> None:
    assert list(blocks(6, 0, 1 << 128)) == [Prefix(6, 0, 0)]


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)).map(sorted), max_size=20))
def test_blocks_of_many_ranges_are_those_of_each(ranges: list[list[int]]) -> None:
    ranges += [[0, 2**64 - 1], [2**63, 2**64 - 1], [0, 0], [2**64 - 1, 2**64 - 1]]
    first, last = np.array(ranges, dtype=np.uint64).T
    made = blocks_of(first, last)
    for index, (low, high) in enumerate(ranges):
        mine = made.range == index
        found = sorted(zip(made.start[mine].tolist(), made.power[mine].tolist(), strict=True))
        assert found == [(each.number >> 64, 64 - each.length) for each in blocks(6, low << 64, high + 1 << 64)]


# --- against the tables themselves ------------------------------------------------------------------------------------

ISPS = ("riverbank", "hillside")


def some_sites(chance: random.Random) -> tuple[Site, ...]:
    found = []
    for name in NAMES:
        if chance.random() < 0.85:
            place = (chance.randrange(-80, 80), chance.randrange(-170, 170)) if chance.random() < 0.7 else (None, None)
            zone, isp = chance.choice(("", "", "x", "y")), chance.choice(("", "", "", *ISPS))
            found.append(Site(name=name, zone=zone, isp=isp, latitude=place[0], longitude=place[1]))
    return tuple(found) or PLACES


def some_announcements(chance: random.Random, sites: Sequence[Site]) -> list[Announcement]:
    """Whatever sources say, even of a site in another one's network: in 10.0.0.0/24, 2a00::/120, or of everything."""
    found = []
    for _ in range(chance.randrange(8)):
        version, length = chance.choice((4, 6)), chance.randrange(8)
        low, width = (10 << 24, 32) if version == 4 else (0x2A00 << 112, 128)
        number = low + (chance.randrange(256) >> (8 - length) << (8 - length))
        prefix = Prefix(version, number, width - 8 + length) if chance.random() < 0.8 else Prefix(version, 0, 0)
        for order, site in enumerate(chance.sample(sites, chance.randrange(1, len(sites) + 1))):
            source = chance.choice(("config", *ISPS))
            path = () if source == "config" else (64511,) * chance.randrange(1, 3)
            found.append(Announcement(prefix=str(prefix), site=site.name, source=source, as_path=path, order=order))
    return found


def some_world(chance: random.Random, sites: Sequence[Site]) -> World:
    blocks = {"DE": ("10.0.0.0/26", "2a00::/122"), "JP": ("10.0.0.128/25",)}
    geography = geography_of(blocks if chance.random() < 0.5 else {"US": ("10.0.0.64/26",)}) if chance.random() < 0.6 else None
    table = Table.of((), sites, some_announcements(chance, sites), geography=geography)
    if chance.random() < 0.5:
        table = table.altered(some_announcements(chance, sites), some_announcements(chance, sites))
    return world(table, [each for each in sites if chance.random() < 0.95])


def sent(here: World, version: int, number: int) -> tuple[str, ...]:
    """Who is given at one address, by the rules of the decision."""
    match = here.table.match_number(version, number)
    sites = [here.sites[each] for each in match.sites if each in here.sites and rank.may_serve(here.sites[each], match.announced)]
    if not sites:
        return ()
    placed = [Placed(each) for each in sites]
    return tuple(each.name for each in (placed[0], *rank.distinct(placed[1:], 2, 99, placed[0])))


class Placed:
    def __init__(self, site: Site) -> None:
        self.name, self.domain = site.name, rank.domain(site)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_who_moves_is_who_would_be_sent_elsewhere(seed: int) -> None:
    """Sites, ISPs, zones, places, geography and prefixes differ; every address of two blocks is asked of both tables."""
    chance = random.Random(seed)
    before = some_world(chance, sites := some_sites(chance))
    if chance.random() < 0.5:
        told, gone = some_announcements(chance, sites), some_announcements(chance, sites)
        after = World(before.table.altered(told, gone), before.sites)
        changed = {parse_prefix(each.prefix) for each in (*told, *gone)}
    else:
        after, changed = some_world(chance, some_sites(chance)), set(ALL)
    found = movement(before, after, changed, 10_000)
    covered = [(parse_prefix(each.prefix), (each.before, each.after)) for each in found.moved]
    assert found.total == len(covered)
    probes = [(4, (10 << 24) + low) for low in range(-1, 257)] + [(6, (0x2A00 << 112) + low) for low in range(-1, 257)]
    for version, number in [*probes, (4, 0), (4, 2**32 - 1), (6, 0), (6, 2**128 - 1)]:
        here = [moved for prefix, moved in covered if prefix.version == version and prefix.number <= number < prefix.end]
        old, new = sent(before, version, number), sent(after, version, number)
        assert here == ([] if old == new else [(old, new)])
