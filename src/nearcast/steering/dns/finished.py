"""What the name server keeps so that the next answer is found instead of made: queries understood, and answers finished."""

from __future__ import annotations

import struct
from typing import NamedTuple

from nearcast.steering.dns.compose import Body
from nearcast.steering.dns.wire import BADVERS, FORMERR, NOERROR, NOTAUTH, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, UDP_BYTES, Question

BY_RESOLVER = -1
"""The group of who asks without a subnet: that of the resolver's address."""


class Heard(NamedTuple):
    """An EDNS record (or none) that was understood. ``group`` -1: the client is the resolver itself.

    ``plain`` and ``tailored`` are the OPT records of answers that are for all, and for this client's block.
    """

    group: int
    bytes_max: int
    signed: int
    plain: bytes
    tailored: bytes


NOT_EDNS = Heard(BY_RESOLVER, UDP_BYTES, 0, b"", b"")


Kept = tuple[bytes, bytes, bytes]
"""A finished answer: counts without and with EDNS, and what follows the question."""


class Steered(NamedTuple):
    """A question whose answer depends on who asks. ``leads``: the Chooser's, for its title; ``kept``: finished answers by site, number
    of the group as far as ``mask`` goes, and signed or not.
    """

    asked: Question
    title: str
    mask: int
    leads: dict[int, int]
    kept: dict[int, Kept]


def finished(body: Body) -> Kept:
    """An answer as it is kept."""
    counts = body.answers, body.authorities, body.additional
    return struct.pack("!HHHH", 1, *counts), struct.pack("!HHHH", 1, *counts[:2], counts[2] + 1), body.tail


class Counts:
    """What was done since the start; fast answers are those that were put together from finished ones."""

    def __init__(self) -> None:
        self.by_rcode = dict.fromkeys((NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH, BADVERS), 0)
        self.truncated = self.slipped = self.dropped = self.ignored = self.malformed = 0
        self.malformed_last: tuple[bytes, str] = (b"", "")
        """Who sent it, and what was wrong."""
        self.limited_last = b""
