from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.routes import NO_MATCH, BadRoute, Table, parse_address
from nearcast.steering.routes import table as tables
from nearcast.steering.settings import SteeringSettings

SITES = tuple(Site(name=each) for each in "abc")


def table(*rows: tuple[str, str]) -> Table:
    return Table.of([Route(prefix=prefix, sites=tuple(sites)) for prefix, sites in rows], SITES)


def test_the_longest_prefix_wins() -> None:
    routes = table(("0.0.0.0/0", "a"), ("10.0.0.0/8", "b"), ("10.1.0.0/16", "c"), ("10.1.2.3/32", "ab"))
    assert routes.match("10.1.2.3").prefix == "10.1.2.3/32"
    assert routes.match("10.1.2.4").sites == ("c", "b", "a")
    assert routes.match("10.2.0.1").sites == ("b", "a")
    assert routes.match("8.8.8.8").sites == ("a",)


def test_ipv6_and_mapped_ipv4() -> None:
    routes = table(("2001:db8::/32", "a"), ("10.0.0.0/8", "b"), ("::/0", "c"))
    assert routes.match("2001:db8::1").sites == ("a", "c")
    assert routes.match("::ffff:10.9.8.7").sites == ("b",)
    assert routes.match("2002::1").sites == ("c",)
    assert routes.match("fe80::1%eth0").sites == ("c",)
    assert table(("::ffff:10.0.0.0/104", "b")).match("10.1.1.1").prefix == "10.0.0.0/8"


def test_without_a_default_nothing_matches() -> None:
    assert table(("10.0.0.0/8", "a")).match("11.0.0.1") == NO_MATCH
    assert table(("10.0.0.0/8", "a")).match("::1") == NO_MATCH


@pytest.mark.parametrize("address", ["", "somebody", "300.1.1.1", "10.0.0", "::g"])
def test_what_is_no_address_gets_the_default(address: str) -> None:
    assert table(("0.0.0.0/0", "a"), ("10.0.0.0/8", "b")).match(address).sites == ("a",)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("10.0.0.1/8", "a")], "host bits"),
        ([("ten", "a")], "not a prefix"),
        ([("10.0.0.0/8", "a"), ("10.0.0.0/8", "b")], "two routes"),
        ([("10.0.0.0/8", "a"), ("::ffff:10.0.0.0/104", "b")], "two routes"),
        ([("10.0.0.0/8", "")], "no site"),
        ([("10.0.0.0/8", "x")], "does not exist"),
    ],
)
def test_routes_that_make_no_sense_are_refused(rows: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(BadRoute, match=says):
        table(*rows)


def test_a_misspelt_site_gets_a_hint() -> None:
    with pytest.raises(BadRoute) as caught:
        Table.of([Route(prefix="::/0", sites=("frankfrut",))], [Site(name="frankfurt"), Site(name="mumbai")])
    assert "frankfurt" in caught.value.hint


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(st.lists(st.tuples(addresses, st.integers(0, 128)), max_size=30), addresses)
def test_agrees_with_a_plain_search(
    seeds: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]], client: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    networks = {
        ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
        for address, length in seeds
        if getattr(address, "ipv4_mapped", None) is None
    }
    routes = Table.of([Route(prefix=str(each), sites=("a",)) for each in networks], SITES)
    effective = getattr(client, "ipv4_mapped", None) or client
    holding = [each for each in networks if each.version == effective.version and effective in each]
    expected = str(max(holding, key=lambda each: each.prefixlen)) if holding else ""
    mapped = [each for each in networks if each.version == 6 and each.prefixlen > 80 and "::ffff:" in str(each)]
    if not mapped:
        assert routes.match(str(client)).prefix == expected


def test_parse_address() -> None:
    assert parse_address("[::1]") == (6, 1)
    assert parse_address("1.2.3.4") == (4, 0x01020304)


def test_the_demo_map_serves_everyone() -> None:
    settings = SteeringSettings()
    routes = Table.of(settings.routes, settings.sites)
    for client in ("127.0.0.1", "::1", "192.168.7.1", "8.8.8.8", "2a00:1450::1", "203.0.113.9", "100.64.0.1"):
        assert set(routes.match(client).sites) == {"frankfurt", "mumbai", "singapore", "dallas"}
    assert routes.match("203.0.113.9").sites[0] == "dallas"
    assert routes.match("192.0.2.1").sites[0] == "mumbai"
    assert routes.match("2001:db8:2::7").sites[0] == "singapore"


@pytest.mark.parametrize("walk_max", [0, 3, 10, 25, 60, 1000])
def test_blocks_never_nest_however_many_changes_lie_within_a_match(monkeypatch: pytest.MonkeyPatch, walk_max: int) -> None:
    monkeypatch.setattr(tables, "WALK_MAX", walk_max)
    told = [Announcement(prefix=f"20.0.{each}.0/24", site="b", source="isp") for each in range(8, 48)]
    before = Table.of([Route(prefix="0.0.0.0/0", sites=("a",)), Route(prefix="20.0.0.0/16", sites=("a",))], SITES, told)
    routes = before.altered((), told)
    blocks = set()
    for third in range(64):
        address = ipaddress.ip_address(f"20.0.{third}.77")
        blocks.add(ipaddress.ip_network((address, routes.block(4, int(address))), strict=False))
    for block in blocks:
        assert not any(block != other and block.overlaps(other) for other in blocks)
    assert len(blocks) == 1 if walk_max == 1000 else len(blocks) >= 1


networks_4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(4, 28)).map(
    lambda each: str(ipaddress.ip_network((each[0] & 0x0FFFFFFF, each[1]), strict=False))
)


@given(st.lists(networks_4, min_size=1, max_size=80), st.lists(networks_4, max_size=80), st.lists(st.integers(0, 2**28 - 1), max_size=20))
def test_a_copy_of_changes_is_as_it_was_whatever_comes_after(first: list[str], second: list[str], clients: list[int]) -> None:
    """Few changes are put between the boundaries, many lay them anew; a copy has its own ones either way."""

    def told(prefixes: list[str], site: str) -> list[Announcement]:
        return [Announcement(prefix=each, site=site, source="isp") for each in prefixes]

    plain = table(("0.0.0.0/0", "a"), ("1.0.0.0/8", "c"))
    routes = plain.altered(told(first, "b"))
    copied, places = routes.altered(()), [(4, each) for each in (*clients, 0)]
    seen = [(routes.match_number(*each), routes.span(*each)) for each in places]
    routes.changed(told(second, "c"), told(first, "b"), routes.version + 1)
    assert [(copied.match_number(*each), copied.span(*each)) for each in places] == seen
    routes = plain.altered(told(first, "b"))
    both, after = copied.altered(told(second, "c"), told(first, "b")), routes.altered(told(second, "c"), told(first, "b"))
    assert [(both.match_number(*each), both.span(*each)) for each in places] == [
        (after.match_number(*each), after.span(*each)) for each in places
    ]
