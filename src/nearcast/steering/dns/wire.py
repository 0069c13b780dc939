"""DNS on the wire (RFC 1035, 3596, 6891): names, records and queries as bytes. Pure.

Names are lower-case wire form throughout (length and label, a zero at the end); a query's own spelling is only ever copied back.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from functools import lru_cache
from typing import Final, NamedTuple

A: Final = 1
NS: Final = 2
SOA: Final = 6
HINFO: Final = 13
TXT: Final = 16
SIG: Final = 24
AAAA: Final = 28
OPT: Final = 41
RRSIG: Final = 46
NSEC: Final = 47
DNSKEY: Final = 48
CDS: Final = 59
CDNSKEY: Final = 60
NXNAME: Final = 128
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
MAILB: Final = 253
MAILA: Final = 254
ANY: Final = 255
IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
NOTAUTH: Final = 9
BADVERS: Final = 16

HEADER_BYTES: Final = 12
NAME_BYTES_MAX: Final = 255
LABEL_BYTES_MAX: Final = 63
UDP_BYTES: Final = 512
"""What an answer over UDP may have where the query has no EDNS (RFC 1035, 2.3.4)."""
EDNS_BYTES_MAX: Final = 1232
"""What it may have at most: fits IPv6's least MTU, so that nothing is fragmented (DNS flag day 2020, RFC 9715)."""
STREAM_BYTES_MAX: Final = 65535
QUESTION_POINTER: Final = b"\xc0\x0c"
"""Points at the name of the question (RFC 1035, 4.1.4)."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
_LOCAL = re.compile(r"[!-?A-~]{1,63}")
_QR, _OPCODE, _AA, _RD, _CD = 0x8000, 0x7800, 0x0400, 0x0100, 0x0010


class Malformed(Exception):
    """The message is not DNS as the RFCs have it. Answered with FORMERR, it never leaves this room."""


class Question(NamedTuple):
    """``name`` in lower case; ``end`` is the offset behind the question, which begins at 12."""

    name: bytes
    type: int
    klass: int
    end: int


class Record(NamedTuple):
    """One record of a query's additional section. ``klass`` and ``ttl`` mean other things in OPT."""

    name: bytes
    type: int
    klass: int
    ttl: int
    rdata: bytes


def response_flags(flags: int, rcode: int = NOERROR, *, authoritative: bool = True) -> int:
    """Flags of the answer: QR, AA, and opcode, RD and CD as they were asked (RFC 1035, 4.1.1; RFC 4035, 3.1.6)."""
    return _QR | (_AA if authoritative else 0) | flags & (_OPCODE | _RD | _CD) | rcode & 15


def is_response(flags: int) -> bool:
    return bool(flags & _QR)


def opcode(flags: int) -> int:
    return (flags & _OPCODE) >> 11


def plain_flags() -> dict[bytes, bytes]:
    """Flags of every standard query (QR 0, opcode 0), as two bytes, to those of its answer without an error."""
    found = {}
    for flags in range(0x10000):
        if not flags & (_QR | _OPCODE):
            found[flags.to_bytes(2, "big")] = response_flags(flags).to_bytes(2, "big")
    return found


def is_label(text: str) -> bool:
    """Whether ``text``, lower case, can be a label of a machine's name."""
    return len(text) <= LABEL_BYTES_MAX and _LABEL.fullmatch(text) is not None


def name(text: str) -> bytes:
    """``cdn.example`` in wire form, lower case. Raises ValueError for what is no name of a machine or a zone."""
    labels = text.lower().removesuffix(".").split(".") if text != "." else []
    for label in labels:
        if not label:
            raise ValueError(f"{text!r} has an empty label")
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{label!r} is no label")
        if len(label) > LABEL_BYTES_MAX:
            raise ValueError(f"{text!r} has a label of {len(label)} characters")
    found = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"
    if len(found) > NAME_BYTES_MAX:
        raise ValueError(f"{text!r} is too long for a name")
    return found


def mailbox(zone: str, text: str) -> bytes:
    """A mailbox as a name (RFC 1035, 8): the dots of its local part stay in one label. Raises ValueError."""
    local, at, domain = text.partition("@")
    if not _LOCAL.fullmatch(local):
        raise ValueError(f"{text!r} is no mailbox")
    return bytes((len(local),)) + local.lower().encode() + name(domain if at else zone)


def labels(wire: bytes) -> list[bytes]:
    """The labels of a name, without the root."""
    found = []
    at = 0
    while wire[at]:
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return found


def text(wire: bytes) -> str:
    """A name for people; what is not printable as ``\\ddd`` (RFC 1035, 5.1)."""
    shown = ("".join(chr(each) if 32 < each < 127 and each != 46 else f"\\{each:03d}" for each in label) for label in labels(wire))
    return ".".join(shown) or "."


def name_end(packet: bytes, at: int) -> int:
    """The offset behind the name at ``at``. Raises Malformed; pointers are none of ours to follow in a query."""
    start, size = at, len(packet)
    while True:
        if at >= size:
            raise Malformed("a name runs past the end")
        length = packet[at]
        at += 1 + length
        if length == 0:
            break
        if length > LABEL_BYTES_MAX:
            raise Malformed("a label is too long, or compressed")
    if at - start > NAME_BYTES_MAX:
        raise Malformed("a name is too long")
    return at


def question(packet: bytes) -> Question:
    """The one question of a query. Raises Malformed."""
    end = name_end(packet, HEADER_BYTES)
    if end + 4 > len(packet):
        raise Malformed("the question is cut off")
    kind, klass = struct.unpack_from("!HH", packet, end)
    return Question(packet[HEADER_BYTES:end].lower(), kind, klass, end + 4)


def record_at(packet: bytes, at: int) -> tuple[Record, int]:
    """A record and the offset behind it. Raises Malformed."""
    if packet[at : at + 1] and packet[at] >= 0xC0:  # an owner may point back into the question
        end = at + 2
        owner = b""
    else:
        end = name_end(packet, at)
        owner = packet[at:end].lower()
    if end + 10 > len(packet):
        raise Malformed("a record is cut off")
    kind, klass, ttl, length = struct.unpack_from("!HHIH", packet, end)
    end += 10 + length
    if end > len(packet):
        raise Malformed("a record's data is cut off")
    return Record(owner, kind, klass, ttl, packet[end - length : end]), end


def record(owner: bytes, kind: int, ttl_s: int, rdata: bytes) -> bytes:
    """A record of the class IN; ``owner`` is a whole name or a pointer."""
    return owner + struct.pack("!HHIH", kind, IN, ttl_s, len(rdata)) + rdata


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


@lru_cache(maxsize=65536)
def packed(address: str) -> bytes:
    """An IP address as 4 or 16 bytes; empty for what is none, and for what can be no single machine's to all who ask."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return b""
    if found.is_multicast or found.is_unspecified or found.is_link_local or int(found) == 0xFFFFFFFF:
        return b""
    return found.packed


@lru_cache(maxsize=65536)
def addresses(found: tuple[str, ...]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The data of A and of AAAA records for IP addresses, each address once, in order. What is none is left out."""
    known = tuple(dict.fromkeys(map(packed, found)))
    return tuple(each for each in known if len(each) == 4), tuple(each for each in known if len(each) == 16)


def txt(*texts: str) -> bytes:
    """The data of a TXT record: strings of at most 255 bytes."""
    encoded = [each.encode()[:255] for each in texts]
    return b"".join(bytes((len(each),)) + each for each in encoded)
