"""Whose request it is."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.gateway.address import client_address, gateway_url, networks, parsed, within
from nearcast.control.gateway.errors import BadProxy

PROXIES = networks(["10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.9:8080", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("1.2.3", None),
        ("999.1.1.1", None),
        ("::g", None),
        ("127.1", None),
    ],
)
def test_addresses_as_they_are_written(text: str, address: str | None) -> None:
    assert parsed(text) == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, junk, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["junk"], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8:2::5"], "2001:db8:2::5"),
        ("2001:db8:1::1", ["2001:db8:2::5"], "2001:db8:2::5"),
        ("2001:db8:2::1", ["1.2.3.4"], "2001:db8:2::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("unix", ["198.51.100.1"], ""),
        ("", [], ""),
    ],
)
def test_only_proxies_are_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@given(st.ip_addresses(), st.lists(st.text(max_size=60), max_size=5))
def test_a_peer_that_is_no_proxy_is_the_client_whatever_it_says(peer: object, forwarded: list[str]) -> None:
    address = parsed(str(peer))
    assert address is not None
    if not within(address, PROXIES):
        assert client_address(str(peer), forwarded, PROXIES) == str(address)


@given(st.text(max_size=80), st.lists(st.text(max_size=200), max_size=4))
def test_nothing_that_is_sent_raises(peer: str, forwarded: list[str]) -> None:
    found = client_address(peer, forwarded, PROXIES)
    assert found == "" or ip_address(found)


def test_long_chains_are_cut() -> None:
    hops = ",".join(["10.0.0.1"] * 1000)
    assert client_address("10.0.0.1", [f"6.6.6.6,{hops}"], PROXIES) == "10.0.0.1"


def test_networks_that_are_none() -> None:
    with pytest.raises(BadProxy):
        networks(["10.0.0.0/99"])
    with pytest.raises(BadProxy):
        networks(["proxy.example.org"])


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("films.example.org", "http://films.example.org"),
        ("films.example.org:8080", "http://films.example.org:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost", "http://localhost"),
        ("", ""),
        ("evil.org/path", ""),
        ("user@evil.org", ""),
        ("a b", ""),
        ("x" * 300, ""),
        ("films.example.org\r\nx: y", ""),
    ],
)
def test_how_the_client_reached_us(host: str, url: str) -> None:
    assert gateway_url("http", host, "203.0.113.9", "", PROXIES, "") == url


def test_the_scheme_is_believed_from_proxies_only() -> None:
    assert gateway_url("http", "a.org", "10.0.0.1", "https", PROXIES, "") == "https://a.org"
    assert gateway_url("http", "a.org", "203.0.113.9", "https", PROXIES, "") == "http://a.org"
    assert gateway_url("http", "a.org", "10.0.0.1", "gopher", PROXIES, "") == "http://a.org"
    assert gateway_url("http", "a.org", "203.0.113.9", "", PROXIES, "https://films.example.org") == "https://films.example.org"
