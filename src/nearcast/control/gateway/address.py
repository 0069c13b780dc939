"""Whose request it is: the client's address and the address by which it reached us. Pure.

X-Forwarded-For is a list to which each proxy appends the peer it saw (RFC 7239 calls its successor Forwarded); anybody may
send one, so it is read from the right, and only as far as the addresses are those of configured proxies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nearcast.control.gateway.errors import BadProxy

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

HOPS_MAX = 32
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as one kind. Raises BadProxy for what is neither."""
    try:
        return tuple(ip_network(text.strip(), strict=False) for text in texts)
    except ValueError as error:
        raise BadProxy(f"{error}") from error


def parsed(text: str) -> Address | None:
    """An address as proxies and sockets write it: with or without port, brackets or zone; IPv4 in IPv6 as IPv4. None: it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def within(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address.version == each.version and address in each for each in trusted)


def client_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The client's address: ``peer``, or what trusted proxies say in the values of X-Forwarded-For; empty if ``peer`` is no address."""
    address = parsed(peer)
    if address is None:
        return ""
    hops = [hop for value in forwarded for hop in value.split(",")][-HOPS_MAX:]
    for hop in reversed(hops):
        if not within(address, proxies):
            break
        before = parsed(hop)
        if before is None:
            break  # the proxy passed on something odd: the last address that is known stands
        address = before
    return str(address)


def gateway_url(scheme: str, host: str, peer: str, forwarded_proto: str, proxies: Sequence[Network], public_url: str) -> str:
    """How the client reached us, as ``https://films.example.org``; empty when the Host header is no host."""
    if public_url:
        return public_url
    if _HOST.fullmatch(host) is None:
        return ""
    if forwarded_proto in ("http", "https") and within(parsed(peer), proxies):
        scheme = forwarded_proto
    return f"{scheme}://{host}"
