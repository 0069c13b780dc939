"""Which of the addresses that an appliance tells viewers can be sent to. Pure.

Name servers answer with them: what is no address, or one that leads nobody anywhere, must not come so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from nearcast.base import ports

ADDRESSES_MAX = 16


def reachable(told: Iterable[str], origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those to which viewers of an appliance at ``origin`` can be sent, each once, as RFC 5952 has it; and what was told besides."""
    near = ports.on_loopback(_host(origin))
    found: dict[str, str] = {text: _canonical(text, near) for text in told}
    kept = tuple(dict.fromkeys(each for each in found.values() if each))
    return kept[:ADDRESSES_MAX], tuple(text for text, each in found.items() if each not in kept[:ADDRESSES_MAX])


def _canonical(text: str, near: bool) -> str:
    """Empty where nobody can be sent there; to loopback only viewers of this machine can (``near``)."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return str(address) if near else ""
    nowhere = address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved
    return "" if nowhere else str(address)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
