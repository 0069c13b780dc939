from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.steering.routes import BadRoute, Prefix, parse_address, parse_prefix


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1.2.3.4", (4, 0x01020304)),
        ("[::1]", (6, 1)),
        ("fe80::1%eth0", (6, 0xFE80 << 112 | 1)),
        ("::ffff:10.9.8.7", (4, 0x0A090807)),
        ("::ffff:a09:807", (4, 0x0A090807)),
        ("::10.9.8.7", (6, 0x0A090807)),  # IPv4-compatible addresses are long deprecated (RFC 4291, 2.5.5.1), and no IPv4
        ("192.168.0.1", (4, 0xC0A80001)),
        *((garbage, (4, 0)) for garbage in ("", "somebody", "300.1.1.1", "10.0.0", "::g", "1.2.3.4\0", "１.2.3.4", "010.1.1.1")),
    ],
)
def test_what_counts_as_which_address(text: str, parsed: tuple[int, int]) -> None:
    assert parse_address(text) == parsed


@given(st.text() | st.ip_addresses().map(str))
def test_every_text_is_an_address_as_ipaddress_has_it_or_none(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        assert parse_address(text) == (4, 0)
        return
    expected = getattr(expected, "ipv4_mapped", None) or expected
    assert parse_address(text) == (expected.version, int(expected))


@given(st.ip_addresses(), st.integers(0, 128))
def test_prefixes_are_written_as_they_are_read(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> None:
    network = ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
    prefix = parse_prefix(str(network))
    if prefix.version == network.version:
        assert str(ipaddress.ip_network(str(prefix))) == str(network)
        assert (prefix.number, prefix.end - 1) == (int(network[0]), int(network[-1]))


def test_mapped_prefixes_are_ipv4() -> None:
    assert parse_prefix("::ffff:10.0.0.0/104") == Prefix(4, 10 << 24, 8)
    assert parse_prefix("::ffff:0:0/96") == Prefix(4, 0, 0)
    with pytest.raises(BadRoute, match="host bits"):
        parse_prefix("10.0.0.1/8")


@pytest.mark.parametrize(
    "text",
    [
        "20.4.0.0/0.0.255.255",
        "20.4.0.0/255.255.0.0",
        "2a00:100::%1/32",
        "fe80::%a/64",
        "20.4.0.0/１６",
        "20.4.0.0/ 16",
        "20.4.0.0/",
        "20.4.0.0/+16",
    ],
)
def test_masks_and_zones_are_no_prefixes(text: str) -> None:
    """``ipaddress`` takes some of them: 0.0.255.255 is a host mask to it, and a zone goes without a word."""
    with pytest.raises(BadRoute, match="is not a prefix"):
        parse_prefix(text)
