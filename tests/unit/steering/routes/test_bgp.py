"""What ExaBGP writes becomes messages, garbage becomes one error, and the filter names the reason of each refusal."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.steering.routes import bgp
from nearcast.steering.routes.bgp import BadMessage, EndOfRib, Filter, Other, Reason, StateChange, Update, parse
from tests.unit.steering.routes import telling
from tests.unit.steering.routes.telling import ISP, OURS

# As ExaBGP 5.0.15 wrote them on a loopback session with BIRD 2.0.12 and with another ExaBGP.
REAL_UPDATE = (
    b'{ "exabgp": "5.0.0", "time": 1795278968.0, "host" : "h", "pid" : 1, "ppid" : 1, "counter": 3, "type": "update", "neighbor": '
    b'{ "address": { "local": "127.0.0.1", "peer": "127.0.0.11" }, "asn": { "local": 64500, "peer": 64511 }, "router-id": "127.0.0.1" , '
    b'"direction": "receive", "message": { "update": { "attribute": { "origin": "igp", "as-path": {"0": {"element": "as-sequence", '
    b'"value": [64511, 64999]}}, "med": 5 }, "announce": { "ipv4 unicast": { "127.0.0.11": [ { "nlri": "203.0.113.0/24" } ] } } } } } }'
)
REAL_WITHDRAWAL = (
    b'{ "exabgp": "5.0.0", "time": 1.0, "host" : "h", "pid" : 1, "ppid" : 1, "counter": 3, "type": "update", "neighbor": { "address": '
    b'{ "local": "127.0.0.1", "peer": "::1" }, "asn": { "local": 64500, "peer": 64511 }, "direction": "receive", "message": '
    b'{ "update": { "withdraw": { "ipv6 unicast": [ { "nlri": "2001:db8::/48" } ] } } } } }'
)
REAL_DOWN = (
    b'{ "exabgp": "5.0.0", "time": 1.0, "host" : "h", "pid" : 1, "ppid" : 1, "counter": 8, "type": "state", "neighbor": { "address": '
    b'{ "local": "127.0.0.1", "peer": "127.0.0.12" }, "asn": { "local": 64500, "peer": 64512 }, "router-id": "127.0.0.1" , '
    b'"state": "down", "reason": "notification received (6,2)" } }'
)


def test_an_update_tells_prefixes_path_and_med() -> None:
    assert parse(REAL_UPDATE) == Update("127.0.0.11", (ipaddress.ip_network("203.0.113.0/24"),), (), (64511, 64999), True, 5)


def test_a_withdrawal_needs_no_attributes() -> None:
    assert parse(REAL_WITHDRAWAL) == Update("::1", (), (ipaddress.ip_network("2001:db8::/48"),))


def test_a_session_that_ends_on_purpose_is_told_from_a_lost_one() -> None:
    found = parse(REAL_DOWN)
    assert isinstance(found, StateChange)
    assert found.on_purpose
    assert found.router == "127.0.0.12"
    lost = parse(telling.state("down", "closing connection"))
    assert isinstance(lost, StateChange)
    assert not lost.on_purpose


def test_ends_of_rib_tell_their_version() -> None:
    assert [parse(telling.end_of_rib(4)), parse(telling.end_of_rib(6))] == [EndOfRib("127.0.0.11", 4), EndOfRib("127.0.0.11", 6)]


def test_a_set_in_the_path_is_seen() -> None:
    found = parse(telling.announce("20.0.0.0/16", path=(64511, 64999), element="as-set"))
    assert isinstance(found, Update)
    assert not found.plain


def test_what_is_of_no_use_is_no_error() -> None:
    farewell = b'{ "exabgp": "5.0.0", "time": 1, "host" : "h", "pid" : 1, "ppid" : 1, "type": "notification", "notification": "shutdown" }'
    assert parse(farewell) == Other("notification")
    assert parse(telling.line("keepalive", direction="receive")) == Other("keepalive")
    assert parse(telling.line("update", direction="receive", message={"eor": {"afi": "l2vpn", "safi": "evpn"}})) == Other("eor")
    own = telling.line("update", direction="send", message={"update": {"withdraw": {"ipv4 unicast": [{"nlri": "20.0.0.0/16"}]}}})
    assert parse(own) == Other("update")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type": 5}',
        telling.announce("nonsense"),
        telling.announce("1.2.3.4/99"),
        telling.announce("20.0.0.0/16", path=(-1,)),
        telling.announce("20.0.0.0/16", path=(2**32,)),
        telling.announce("20.0.0.0/16", med=2**32),
        telling.line("state", router="not an address", state="up"),
        REAL_UPDATE[:200],
        REAL_UPDATE.replace(b'"0"', b'"zero"'),
        b"Traceback (most recent call last):",
    ],
)
def test_garbage_is_one_error_with_a_code(garbage: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        parse(garbage)
    assert caught.value.code == "NC3020"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _keys(document: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    below = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    return [at, *(found for key, value in below for found in _keys(value, (*at, key)))]


def _put(document: object, at: tuple[object, ...], value: object) -> object:
    if not at:
        return value
    if isinstance(document, dict):
        return {key: _put(each, at[1:], value) if key == at[0] else each for key, each in document.items()}
    assert isinstance(document, list)
    return [_put(each, at[1:], value) if index == at[0] else each for index, each in enumerate(document)]


@given(data=st.data())
def test_a_message_with_anything_in_any_place_never_raises_anything_else(data: st.DataObject) -> None:
    document = json.loads(data.draw(st.sampled_from([REAL_UPDATE, REAL_WITHDRAWAL, REAL_DOWN, telling.end_of_rib(4)])))
    place = data.draw(st.sampled_from(_keys(document)))
    try:
        parse(json.dumps(_put(document, place, data.draw(_json))).encode())
    except BadMessage as error:
        assert error.message  # noqa: PT017  (that it is this error and no other is the point)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_that_error(garbage: bytes) -> None:
    with pytest.raises(BadMessage):
        parse(b"\0" + garbage)


# --- the filter -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("20.0.0.0/12", None),
        ("20.1.2.0/24", None),
        ("20.1.2.16/28", None),
        ("2a00:100::/24", None),
        ("2a00:100:5::/48", None),
        ("203.0.113.0/24", None),  # for documentation, but named in the allow list
        ("203.0.113.64/26", None),
        ("20.200.0.9/32", None),  # too long, but named in the allow list
        ("0.0.0.0/0", Reason.DEFAULT),
        ("::/0", Reason.DEFAULT),
        ("20.0.0.0/7", Reason.LENGTH),
        ("20.1.2.0/29", Reason.LENGTH),
        ("20.1.2.3/32", Reason.LENGTH),
        ("2a00::/15", Reason.LENGTH),
        ("2a00:100::/65", Reason.LENGTH),
        ("10.0.0.0/8", Reason.BOGON),
        ("127.0.0.0/8", Reason.BOGON),
        ("198.51.100.0/24", Reason.BOGON),
        ("224.0.0.0/8", Reason.BOGON),
        ("fd00::/16", Reason.BOGON),
        ("2001:db8::/32", Reason.BOGON),
        ("ff00::/16", Reason.BOGON),
        ("20.0.0.0/11", Reason.FOREIGN),  # more than is theirs
        ("20.16.0.0/12", Reason.FOREIGN),  # their neighbour's
        ("8.8.8.0/24", Reason.FOREIGN),
        ("2a00:200::/32", Reason.FOREIGN),
    ],
)
def test_prefixes_are_judged(prefix: str, reason: Reason | None) -> None:
    assert Filter(ISP, OURS).prefix(ipaddress.ip_network(prefix)) is reason


@pytest.mark.parametrize(
    ("path", "plain", "reason"),
    [
        ((64511,), True, None),
        ((64511, 64999, 64998), True, None),
        ((64511,) * bgp.AS_PATH_MAX, True, None),
        ((), True, Reason.NOT_THEIRS),
        ((64999, 64511), True, Reason.NOT_THEIRS),
        ((64511, 64500), True, Reason.LOOP),
        ((64511,) * (bgp.AS_PATH_MAX + 1), True, Reason.PATH),
        ((64511, 64999), False, Reason.PATH),
        ((64511, 0), True, Reason.PATH),
        ((64511, 23456), True, Reason.PATH),
    ],
)
def test_paths_are_judged(path: tuple[int, ...], plain: bool, reason: Reason | None) -> None:
    assert Filter(ISP, OURS).path(path, plain) is reason


def test_reasons_have_codes_of_their_own() -> None:
    assert sorted(each.code for each in Reason) == [f"NC30{number}" for number in range(22, 30)]


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_the_filter_agrees_with_the_standard_library(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.ip_network((address, length), strict=False)
    taken = Filter(ISP, OURS).prefix(network) is None
    within = any(isinstance(each, ipaddress.IPv4Network) and network.subnet_of(each) for each in map(ipaddress.ip_network, ISP.allow))  # type: ignore[arg-type]
    named = str(network) in ISP.allow
    assert taken == (within and (named or 8 <= length <= 28))
