"""Addresses and prefixes as numbers. IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) counts as the IPv4 that it holds."""

from __future__ import annotations

import ipaddress
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from nearcast.base.errors import BadInput

WIDTH = {4: 32, 6: 128}
_MAPPED = 0xFFFF


class BadRoute(BadInput):
    """A route in the configuration makes no sense."""

    code = "NC3001"
    cure = 'a route is prefix = "203.0.113.0/24", sites = ["dallas", "frankfurt"]'


class Prefix(NamedTuple):
    """``version`` is 4 or 6, ``number`` the first address as an integer."""

    version: int
    number: int
    length: int

    def __str__(self) -> str:
        family, size_bytes = (AF_INET, 4) if self.version == 4 else (AF_INET6, 16)
        return f"{inet_ntop(family, self.number.to_bytes(size_bytes, 'big'))}/{self.length}"

    @property
    def end(self) -> int:
        """The first number behind it."""
        return self.number + (1 << (WIDTH[self.version] - self.length))


def parse_address(address: str) -> tuple[int, int]:
    """Version and number. Brackets and zone ids are cut off; what is no address (a name, an empty text) is (4, 0): 0.0.0.0.

    A private address is an address like any other: it is served by the routes that hold it, else by the default.
    """
    if ":" not in address:
        try:
            return 4, int.from_bytes(inet_pton(AF_INET, address), "big")
        except (OSError, ValueError):
            pass
    return _parse_other(address)


def _parse_other(address: str) -> tuple[int, int]:
    text = address.partition("%")[0].strip("[]")
    try:
        number = int.from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, ValueError):
        try:
            return 4, int.from_bytes(inet_pton(AF_INET, text), "big")
        except (OSError, ValueError):
            return 4, 0
    return (4, number & 0xFFFFFFFF) if number >> 32 == _MAPPED else (6, number)


def parse_prefix(text: str) -> Prefix:
    """A prefix in CIDR notation, without host bits; one within ::ffff:0:0/96 becomes IPv4. Raises BadRoute."""
    version, number, length = _parse_quickly(text) or _parse_wholly(text)
    if version == 6 and length >= 96 and number >> 32 == _MAPPED:
        return Prefix(4, number & 0xFFFFFFFF, length - 96)
    return Prefix(version, number, length)


def _parse_quickly(text: str) -> tuple[int, int, int] | None:
    """A fifth of the time of ``ipaddress``, which routers that tell ten thousand prefixes at once make worth it. None: look again."""
    address, _, digits = text.partition("/")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 3):
        return None
    version, family = (6, AF_INET6) if ":" in address else (4, AF_INET)
    try:
        number = int.from_bytes(inet_pton(family, address), "big")
    except (OSError, ValueError):
        return None
    free = WIDTH[version] - int(digits)
    return (version, number, int(digits)) if free >= 0 and number >> free << free == number else None


def _parse_wholly(text: str) -> tuple[int, int, int]:
    """With what is wrong, in words. Masks and zones, which ``ipaddress`` takes, are refused."""
    address, slash, digits = text.partition("/")
    if slash and not (digits.isascii() and digits.isdigit()):
        raise BadRoute(f"{text!r} is not a prefix: behind the slash stands how many bits are its own, as in 203.0.113.0/24")
    if "%" in address:
        raise BadRoute(f"{text!r} is not a prefix: a zone is known to one machine alone", hint="leave out what begins with %")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise BadRoute(f"{text!r} is not a prefix: {error}") from error
    return network.version, int(network.network_address), network.prefixlen
