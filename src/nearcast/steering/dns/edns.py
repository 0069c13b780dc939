"""EDNS(0) in a query (RFC 6891), with the options that are answered: client subnet, cookie, NSID. Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

from nearcast.steering.dns import ecs
from nearcast.steering.dns.wire import EDNS_BYTES_MAX, OPT, UDP_BYTES, Malformed, Record

NSID = 3
CLIENT_SUBNET = 8
COOKIE = 10
DO = 0x8000
CO = 0x4000
"""Compact answers are understood: NXDOMAIN may be said aloud beside them (RFC 9824, 5.1)."""
CLIENT_COOKIE_BYTES = 8


class Edns(NamedTuple):
    """``payload_bytes``: the largest answer over UDP. ``flags`` come back as they were. ``cookie``: the client's and, perhaps, ours."""

    payload_bytes: int
    version: int
    flags: int
    subnet: ecs.Subnet | None
    cookie: bytes
    nsid: bool


def parse(record: Record) -> Edns:
    """Raises Malformed: for an option that is cut off, twice there where it may be once, or not as its RFC has it."""
    if record.name != b"\0":
        raise Malformed("OPT belongs to the root")
    version, flags = record.ttl >> 16 & 255, record.ttl & 0xFFFF
    payload_bytes = min(max(record.klass, UDP_BYTES), EDNS_BYTES_MAX)
    if version:  # what its options mean, only who knows that version knows
        return Edns(payload_bytes, version, flags, None, b"", False)
    subnet, cookie, nsid = None, b"", False
    data, at = record.rdata, 0
    while at < len(data):
        if at + 4 > len(data):
            raise Malformed("an option is cut off")
        code, length = struct.unpack_from("!HH", data, at)
        at += 4 + length
        if at > len(data):
            raise Malformed("an option's data is cut off")
        value = data[at - length : at]
        if code == CLIENT_SUBNET:
            if subnet is not None:
                raise Malformed("two client subnets")
            subnet = ecs.parse(value)
        elif code == COOKIE:
            if cookie or not (length == CLIENT_COOKIE_BYTES or 16 <= length <= 40):  # RFC 7873, 5.2.2
                raise Malformed("a cookie of no known length")
            cookie = value
        elif code == NSID:
            nsid = True
    return Edns(payload_bytes, version, flags, subnet, cookie, nsid)


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def reply(flags: int, options: bytes = b"", extended_rcode: int = 0) -> bytes:
    """The OPT record of an answer: our payload size, version 0, the flags DO and CO as asked; ``extended_rcode``: the upper 8 bits."""
    ttl = extended_rcode << 24 | flags & (DO | CO)
    return b"\0" + struct.pack("!HHIH", OPT, EDNS_BYTES_MAX, ttl, len(options)) + options
