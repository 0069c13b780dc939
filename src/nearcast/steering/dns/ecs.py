"""EDNS Client Subnet (RFC 7871): whose address it is that a resolver asks for, and for how many others the answer holds. Pure.

Scopes are disjoint: the block of addresses that a scope covers is the largest in which the routes are the same, but never larger than
``SCOPE_MIN``. Such blocks either are the same or have no address in common, so no cached answer ever covers a client of another.
"""

from __future__ import annotations

from typing import NamedTuple

from nearcast.steering.dns.wire import Malformed

IPV4, IPV6 = 1, 2
"""Address families (RFC 7871, 6)."""
WIDTH = {4: 32, 6: 128}
SCOPE_MIN = {4: 16, 6: 32}
"""No answer holds for more than such a block: with scope 0 a resolver would give one viewer's edge to everybody, and the wider
a block is, the less its viewers spread over the appliances of their site."""
_MAPPED = 0xFFFF
_MAPPED_BITS = 96


class Subnet(NamedTuple):
    """``version`` 4 or 6 and ``number`` are looked up; ``length`` leading bits of it are known. ``shift``: how much longer lengths are
    in the query than here (96 for an IPv4 address that came mapped into IPv6, else 0). ``wire``: FAMILY, and ADDRESS, to be echoed.
    """

    version: int
    number: int
    length: int
    shift: int
    family: int
    address: bytes


def parse(option: bytes) -> Subnet:
    """The option of a query. Raises Malformed for what RFC 7871 (6, 7.1.2) forbids: a scope, stray bits, a wrong number of octets."""
    if len(option) < 4:
        raise Malformed("a client subnet is cut off")
    family, length, scope, address = int.from_bytes(option[:2], "big"), option[2], option[3], option[4:]
    if family == 0 and length == 0 and scope == 0 and not address:  # "do not tell who I am", of no family
        return Subnet(4, 0, 0, 0, family, address)
    if family not in (IPV4, IPV6):
        raise Malformed("a client subnet of an unknown family")
    width = 32 if family == IPV4 else 128
    if scope or length > width or len(address) != (length + 7) // 8:
        raise Malformed("a client subnet that is not as long as it says")
    number = int.from_bytes(address, "big") << (width - 8 * len(address))
    if number & ((1 << (width - length)) - 1):
        raise Malformed("a client subnet with bits past its length")
    if family == IPV6 and length >= _MAPPED_BITS and number >> 32 == _MAPPED:
        return Subnet(4, number & 0xFFFFFFFF, length - _MAPPED_BITS, _MAPPED_BITS, family, address)
    return Subnet(4 if family == IPV4 else 6, number, length, 0, family, address)


def answered(subnet: Subnet, scope: int) -> bytes:
    """The option of the answer: family, source and address as asked, and our scope."""
    length = subnet.length + subnet.shift
    return subnet.family.to_bytes(2, "big") + bytes((length, scope + subnet.shift if scope else 0)) + subnet.address


def scope(version: int, number: int, block: int) -> int:
    """Leading bits that the answer holds for, of the ``block`` bits within which the routes are the same.

    IPv6 blocks leave out ::ffff:0:0/96, whose addresses are counted as IPv4.
    """
    found = max(block, SCOPE_MIN[version])
    if version == 6:
        apart = number ^ (_MAPPED << 32)
        shared = 128 - apart.bit_length()
        if shared >= found:
            found = min(shared + 1, 128)
    return found


def network(version: int, number: int, bits: int) -> int:
    """The first ``bits`` of an address, as a number of that many bits."""
    return number >> (WIDTH[version] - bits)


def _block(text: str, bits: int) -> tuple[int, int]:
    number = 0
    for part in text.split("."):
        number = number << 8 | int(part)
    return number >> (32 - bits), bits


_UNROUTABLE_4 = tuple(
    _block(text, bits)
    for text, bits in (
        ("0.0.0.0", 8),  # noqa: S104  (a block, not bound)
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.168.0.0", 16),
        ("224.0.0.0", 3),
    )
)
_UNROUTABLE_6 = ((0, 96), (0xFC00 >> 9, 7), (0xFE80 >> 6, 10), (0xFF, 8))
"""IANA's special-purpose registries (RFC 6890), as leading bits and how many: nobody's address on the internet."""


def unroutable(version: int, number: int) -> int:
    """How many leading bits make the block of addresses that nobody has on the internet; 0 where the address may be somebody's."""
    width = WIDTH[version]
    for value, bits in _UNROUTABLE_4 if version == 4 else _UNROUTABLE_6:
        if number >> (width - bits) == value:
            return bits
    return 0
