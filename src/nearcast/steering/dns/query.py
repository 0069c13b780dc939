"""A query taken apart with care: every record looked at, everything counted. Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

from nearcast.steering.dns import edns, wire
from nearcast.steering.dns.wire import HEADER_BYTES, Malformed

RECORDS_MAX = 8


class Query(NamedTuple):
    """A query on the careful way."""

    packet: bytes
    flags: int
    end: int
    """Behind the question."""
    edns: edns.Edns | None

    @property
    def question(self) -> bytes:
        """The question as bytes, whatever its case: answers to it are the same answer."""
        return self.packet[HEADER_BYTES : self.end].lower()


def parsed(packet: bytes, flags: int, asked: wire.Question | None) -> tuple[Query, bool]:
    """The query, and whether it is signed with a key (TSIG, SIG(0)) that we cannot have. Raises Malformed."""
    answers, authorities, additional = struct.unpack_from("!HHH", packet, 6)
    if asked is None or answers or authorities > (asked.type == wire.IXFR) or additional > RECORDS_MAX:
        raise Malformed("the sections of a query are wrong")
    at, found, foreign = asked.end, None, False
    for _ in range(authorities):
        _, at = wire.record_at(packet, at)
    for _ in range(additional):
        record, at = wire.record_at(packet, at)
        if record.type == wire.OPT:
            if found is not None:
                raise Malformed("two OPT records")
            found = edns.parse(record)
        foreign |= record.type in (wire.TSIG, wire.SIG)
    if at != len(packet):
        raise Malformed("something follows the last record")
    return Query(packet, flags, asked.end, found), foreign


def bits(prefix: str) -> int:
    """The length of a prefix in CIDR notation; 0 for none."""
    return int(prefix.rpartition("/")[2] or 0)


def address(source: bytes) -> tuple[int, int]:
    """Version and number of 4 or 16 bytes; IPv4-mapped IPv6 becomes IPv4."""
    if len(source) == 16 and source[:12] == bytes(10) + b"\xff\xff":
        source = source[12:]
    return (4 if len(source) == 4 else 6), int.from_bytes(source, "big")
