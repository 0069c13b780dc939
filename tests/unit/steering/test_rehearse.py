"""Who would move: the two tables are asked address by address, and the walk below changed prefixes must say the same."""

from __future__ import annotations

import ipaddress
import random

from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.rehearse import SITES, Movement, blocks, difference, movement, outermost
from nearcast.steering.routes import Match, Prefix, Table, parse_prefix

NAMES = ("a", "b", "c", "d")
PLACES = tuple(Site(name=each) for each in NAMES)


def rehearse(before: list[Announcement], after: list[Announcement], limit: int = 1000) -> Movement:
    table = Table.of((), PLACES, before)
    changes = difference(before, after)
    changed = {parse_prefix(each.prefix) for each in (*changes.announce, *changes.withdraw)}
    return movement(table, table.altered(changes.announce, changes.withdraw), changed, lambda match: match.sites, limit)


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


@given(st.integers(0, 2**32 - 1))
def test_who_moves_is_who_would_be_sent_elsewhere(seed: int) -> None:
    """In 10.0.0.0/24, every single address: moved is what the two tables answer differently, once, and nothing else."""
    chance = random.Random(seed)

    def some() -> list[Announcement]:
        found = {}
        for _ in range(chance.randrange(6)):
            length = chance.randrange(22, 33)
            start = (10 << 24) + chance.randrange(256) >> (32 - length) << (32 - length)
            prefix = f"{ipaddress.IPv4Address(start)}/{length}"
            found[prefix] = route(prefix, *chance.sample(NAMES, chance.randrange(1, 4)))
        return [each for told in found.values() for each in told]

    before, after = some(), some()
    old, new = Table.of((), PLACES, before), Table.of((), PLACES, after)
    found = rehearse(before, after)
    covered = [(parse_prefix(each.prefix), each) for each in found.moved]
    for number in range(10 << 24, (10 << 24) + 256):
        here = [each for prefix, each in covered if prefix.number <= number < prefix.end]
        sent: list[Match] = [table.match_number(4, number) for table in (old, new)]
        if sent[0].sites[:SITES] == sent[1].sites[:SITES]:
            assert here == []
        else:
            assert [(each.before, each.after) for each in here] == [(sent[0].sites[:SITES], sent[1].sites[:SITES])]
