"""Client subnets: what is taken, and for how many others an answer holds."""

from __future__ import annotations

import ipaddress
import struct

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.model.route import Announcement, Route
from nearcast.steering.dns import ecs
from nearcast.steering.dns.wire import Malformed
from nearcast.steering.routes import Table
from tests.unit.steering.dns.making import APPLIANCES, ROUTES, SITES, answerer, ask, data, option, query, raw, scope

RACK = [APPLIANCES["rack-1"][1][0]]
GERMAN, TEXAN = bytes((8, 8, 8, 8)), bytes((203, 0, 113, 9))


def test_the_answer_repeats_the_subnet() -> None:
    asked = query("play.cdn.example", subnet="203.0.113.0/24")
    for _ in range(2):
        option = ask(answerer(), asked).options[0]
        assert (option.family, option.address, option.srclen, option.scopelen) == (1, "203.0.113.0", 24, 25)


def test_without_a_subnet_the_resolver_counts_and_no_scope_is_told() -> None:
    made = answerer()
    for _ in range(2):
        assert data(ask(made, query("play.cdn.example"), source=TEXAN)) == ["198.18.2.1"]
        assert data(ask(made, query("play.cdn.example"), source=GERMAN)) == ["198.18.1.1", "198.18.1.2"]
        assert scope(ask(made, query("play.cdn.example", payload=1232), source=TEXAN)) == -1
    mapped = bytes(10) + b"\xff\xff" + TEXAN
    assert data(ask(made, query("play.cdn.example"), source=mapped)) == ["198.18.2.1"]


def test_the_default_is_never_for_everybody() -> None:
    table = Table.of((Route(prefix="0.0.0.0/0", sites=("dallas",)), Route(prefix="::/0", sites=("dallas",))), SITES)
    made = answerer(table=table)
    for subnet in ("8.8.8.0/24", "8.0.0.0/8", "0.0.0.0/0", "2a00:1450::/32", "::/0"):
        assert scope(ask(made, query("play.cdn.example", subnet=subnet))) >= (32 if ":" in subnet else 16)


def test_answers_that_are_for_all_say_so() -> None:
    made = answerer()
    for name, kind in (("cdn.example", "SOA"), ("gateway.cdn.example", "A"), ("nothing.cdn.example", "A"), ("play.cdn.example", "MX")):
        for _ in range(2):
            assert scope(ask(made, query(name, kind, subnet="203.0.113.0/24"))) == 0


def test_a_subnet_wider_than_the_block_is_told_how_narrow_the_answer_is() -> None:
    found = ask(answerer(), query("play.cdn.example", subnet="203.0.0.0/16"))
    assert scope(found) > 16


def announced(*prefixes: str) -> list[Announcement]:
    """What acme tells of its own site."""
    return [Announcement(prefix=each, site="rack", source="acme") for each in prefixes]


def test_an_isps_site_is_no_answer_for_a_subnet_that_is_announced_in_part() -> None:
    made = answerer(table=Table.of(ROUTES, SITES, announced("203.0.112.0/25", "2001:db8:9::/48", "198.51.100.128/25")))
    for _ in range(2):
        found = ask(made, query("play.cdn.example", subnet="203.0.112.0/24"))
        assert data(found) == ["198.18.1.1", "198.18.1.2"]
        assert scope(found) == 25
        assert data(ask(made, query("play.cdn.example", subnet="203.0.112.0/25"))) == RACK
        assert data(ask(made, query("play.cdn.example", subnet="203.0.112.7/32"))) == RACK
        assert data(ask(made, query("play.cdn.example", subnet="::ffff:203.0.112.0/120"))) != RACK
        assert data(ask(made, query("play.cdn.example", subnet="::ffff:203.0.112.0/121"))) == RACK
        assert data(ask(made, query("play.cdn.example", subnet="2001:db8:9::/47"))) != RACK
        assert data(ask(made, query("play.cdn.example", subnet="2001:db8:9::/48"))) == RACK


def test_a_mapped_subnet_has_a_mapped_scope() -> None:
    found = ask(answerer(), query("play.cdn.example", subnet="::ffff:203.0.113.0/120"))
    assert data(found) == ["198.18.2.1"]
    assert scope(found) == 96 + 25


def test_who_does_not_want_to_be_told_of_counts_as_the_resolver() -> None:
    made = answerer()
    for _ in range(2):
        found = ask(made, query("play.cdn.example", subnet="0.0.0.0/0"), source=TEXAN)
        assert data(found) == ["198.18.2.1"]
        assert scope(found) > 0
        assert data(ask(made, query("play.cdn.example", subnet="0.0.0.0/0"), source=GERMAN)) != ["198.18.2.1"]


@pytest.mark.parametrize("subnet", ["192.168.1.0/24", "10.8.0.0/16", "127.0.0.0/8", "100.64.3.0/24", "fd00::/48", "fe80::/64", "::1/128"])
def test_private_subnets_say_nothing(subnet: str) -> None:
    made = answerer()
    for _ in range(2):
        found = ask(made, query("play.cdn.example", subnet=subnet), source=TEXAN)
        assert data(found) == ["198.18.2.1"]
        assert scope(found) >= (32 if ":" in subnet else 8)
        assert data(ask(made, query("play.cdn.example", subnet=subnet), source=GERMAN)) != ["198.18.2.1"]


def test_a_private_subnet_with_a_route_of_its_own_counts() -> None:
    found = ask(answerer(), query("play.cdn.example", subnet="10.7.3.0/24"), source=GERMAN)
    assert data(found) == ["198.18.2.1"]
    assert scope(found) == 16


def subnet(family: int, source: int, scope_bits: int, address: bytes) -> bytes:
    return struct.pack("!HBB", family, source, scope_bits) + address


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\0\1\x18",
        subnet(1, 24, 24, b"\xcb\0\x71"),
        subnet(1, 24, 0, b"\xcb\0"),
        subnet(1, 24, 0, b"\xcb\0\x71\0"),
        subnet(1, 33, 0, b"\xcb\0\x71\0\0"),
        subnet(1, 20, 0, b"\xcb\0\x71"),
        subnet(2, 129, 0, bytes(17)),
        subnet(3, 24, 0, b"\xcb\0\x71"),
        subnet(0, 8, 0, b"\xcb"),
    ],
)
def test_a_malformed_subnet_is_told_so(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        ecs.parse(wrong)
    asked = query("play.cdn.example", options=[option(8, wrong)])
    found = dns.message.from_wire(raw(answerer(), asked.to_wire()))
    assert found.rcode() == dns.rcode.FORMERR


def test_two_subnets_are_too_many() -> None:
    asked = query("play.cdn.example", options=[dns.edns.ECSOption("203.0.113.0", 24), dns.edns.ECSOption("8.8.8.0", 24)])
    assert ask(answerer(), asked).rcode() == dns.rcode.FORMERR


def test_a_subnet_of_no_family_and_no_length_is_one() -> None:
    asked = query("play.cdn.example", options=[option(8, bytes(4))])
    answer = raw(answerer(), asked.to_wire())
    assert answer[3] & 15 == dns.rcode.NOERROR
    assert answer.endswith(b"\0\x08\0\4\0\0\0\x10")


TAKEN = ("8.8.8.0/24", "203.0.113.7/32", "2a00:1450::/32", "2001:db8:3::1/128", "::ffff:8.8.8.0/120")
SAYS_NOTHING = (
    "0.0.0.0/0",
    "0.0.0.0/1",
    "10.0.0.0/8",
    "192.168.1.0/24",
    "127.0.0.1/32",
    "::/0",
    "fd00::/48",
    "::1/128",
    "::ffff:10.0.0.0/104",
)


@pytest.mark.parametrize("told", TAKEN + SAYS_NOTHING)
@pytest.mark.parametrize("source", [TEXAN, bytes.fromhex("2a001450") + bytes(12)])
def test_every_scope_is_one_that_there_can_be(told: str, source: bytes) -> None:
    """dnspython reads no answer with another. What ``whoami`` says is for the asker alone."""
    made, width = answerer(), 128 if ":" in told else 32
    assert 0 < scope(ask(made, query("play.cdn.example", subnet=told), source=source)) <= width
    found = scope(ask(made, query("whoami.cdn.example", "TXT", subnet=told), source=source))
    assert found == width if told in SAYS_NOTHING else int(told.partition("/")[2]) <= found <= width


def test_ipv6_scopes_leave_out_the_mapped_addresses() -> None:
    assert ecs.scope(6, 1, 0) > 80
    assert ecs.scope(6, 0x2001 << 112, 20) == 32
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    for number in (0, 1, 1 << 47, 0xFFFE << 32, 0x1_0000 << 32):
        block = ipaddress.ip_network((number, ecs.scope(6, number, 0)), strict=False)
        assert not mapped.overlaps(block)


# --- the property that matters: no cached answer covers a client who would be given another ------------------------------------

lengths = st.integers(8, 30)
prefixes = st.builds(
    lambda number, bits: str(ipaddress.ip_network((number << 12 & 0xFFFFFFFF, bits), strict=False)), st.integers(0x0B000, 0x0B03F), lengths
)
routes = st.dictionaries(prefixes, st.permutations(("dallas", "frankfurt", "mumbai")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(routes, st.lists(st.tuples(st.integers(0x0B000000, 0x0B03FFFF), st.integers(8, 32)), min_size=2, max_size=12))
def test_scopes_are_safe_and_disjoint(found: dict[str, tuple[str, ...]], clients: list[tuple[int, int]]) -> None:
    table = Table.of([Route(prefix=prefix, sites=tuple(sites)) for prefix, sites in found.items()], SITES)
    made = answerer(table=table)
    blocks = {}
    for number, bits in clients:
        network = ipaddress.ip_network((number, bits), strict=False)
        answer = ask(made, query("play.cdn.example", subnet=str(network)))
        covered = ipaddress.ip_network((int(network.network_address), scope(answer)), strict=False)
        blocks[covered] = data(answer)
    for block, addresses in blocks.items():
        for other in blocks:
            assert block == other or not block.overlaps(other)
        for number in (int(block[0]), int(block[-1]), int(block[block.num_addresses // 2])):
            again = ask(made, query("play.cdn.example", subnet=f"{ipaddress.ip_address(number)}/32"))
            assert data(again) == addresses
            assert scope(again) == block.prefixlen


within_acme = st.lists(
    st.builds(lambda number, bits: str(ipaddress.ip_network((number << 12, bits), strict=False)), st.integers(0x0B030, 0x0B033), lengths),
    min_size=1,
    max_size=6,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(within_acme, st.lists(st.tuples(st.integers(0x0B030000, 0x0B033FFF), st.integers(8, 32)), min_size=1, max_size=12))
def test_nobody_in_a_subnet_is_sent_to_a_site_that_may_not_serve_them(prefixes: list[str], clients: list[tuple[int, int]]) -> None:
    table = Table.of(ROUTES, SITES, announced(*prefixes))
    made = answerer(table=table)
    edges = {int(end) for each in map(ipaddress.ip_network, prefixes) for end in (each[0] - 1, each[0], each[-1], each[-1] + 1)}
    for number, bits in clients:
        network = ipaddress.ip_network((number, bits), strict=False)
        sent = data(ask(made, query("play.cdn.example", subnet=str(network)))) == RACK
        first, last = int(network[0]), int(network[-1])
        inside = [first, last, *(each for each in edges if first <= each <= last)]
        if sent:
            assert all("rack" in table.match_number(4, each).announced for each in inside)
        if any(network.subnet_of(ipaddress.ip_network(each)) for each in prefixes):  # type: ignore[arg-type]
            assert sent
