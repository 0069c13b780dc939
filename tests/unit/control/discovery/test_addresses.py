"""Addresses that appliances tell: only those to which somebody can be sent."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.discovery.addresses import ADDRESSES_MAX, reachable


@pytest.mark.parametrize(
    ("told", "kept", "left_out"),
    [
        (("192.0.2.1", "2001:db8::1"), ("192.0.2.1", "2001:db8::1"), ()),
        (("foo", "", "192.0.2.1 ", "1.2.3", "192.0.2.1"), ("192.0.2.1",), ("foo", "", "192.0.2.1 ", "1.2.3")),
        (("2001:DB8:0::1", "::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "192.0.2.1"), ()),
        (("fe80::1%eth0", "fe80::1", "169.254.1.1"), (), ("fe80::1%eth0", "fe80::1", "169.254.1.1")),
        (("0.0.0.0", "::", "255.255.255.255", "224.0.0.1"), (), ("0.0.0.0", "::", "255.255.255.255", "224.0.0.1")),
        (("10.1.2.3", "fd00::1"), ("10.1.2.3", "fd00::1"), ()),
    ],
)
def test_addresses_to_which_nobody_can_be_sent(told: tuple[str, ...], kept: tuple[str, ...], left_out: tuple[str, ...]) -> None:
    assert reachable(told, "http://a.example") == (kept, left_out)


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        ("http://127.0.0.1:8101", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://a.example", False),
        ("http://[", False),
    ],
)
def test_loopback_is_for_viewers_of_this_machine(origin: str, kept: bool) -> None:
    assert reachable(("127.0.0.1", "::ffff:127.0.0.1"), origin)[0] == (("127.0.0.1",) if kept else ())


@given(st.lists(st.text(max_size=30) | st.ip_addresses().map(str), max_size=40), st.text(max_size=30))
def test_whatever_is_told_only_addresses_are_left(told: list[str], origin: str) -> None:
    kept, _ = reachable(told, origin)
    assert len(kept) <= ADDRESSES_MAX
    assert all(str(ip_address(each)) == each for each in kept)
