"""Packets that are no good queries: real ones with damage done to them, and noise. Seeded."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

NAMES = (
    "play",
    "whoami",
    "t_aaaabbbbccccdddd.titles",
    "fra-1.appliances",
    "mumbai.sites",
    "nothing.here",
    "titles",
    "ns1",
    "\x00odd",
    "x" * 63,
)
TYPES = (0, 1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 41, 43, 46, 47, 48, 64, 65, 128, 249, 250, 251, 252, 253, 254, 255, 257, 65535)


def _name(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(each) & 255,)) + each for each in labels) + b"\0"


def _option(chance: random.Random) -> bytes:
    code = chance.choice((3, 8, 8, 8, 10, 10, 12, chance.randrange(65536)))
    if code == 8:
        length = chance.choice((0, 8, 16, 24, 32, 48, 56, 128, chance.randrange(256)))
        value = struct.pack("!HBB", chance.choice((0, 1, 1, 2, 2, 3)), length, chance.choice((0, 0, 0, 24)))
        value += chance.randbytes(chance.choice(((length + 7) // 8, chance.randrange(20))))
    else:
        value = chance.randbytes(chance.choice((0, 7, 8, 16, 24, 40, 41, chance.randrange(80))))
    return struct.pack("!HH", code, chance.choice((len(value), len(value), chance.randrange(200)))) + value


def query(chance: random.Random, zone: str) -> bytes:
    """A query much as resolvers send them; most of them are good ones."""
    host = chance.choice(NAMES).encode().split(b".")
    labels = [*host, *zone.encode().split(b".")] if chance.random() < 0.9 else [chance.randbytes(chance.randrange(1, 70)) for _ in range(5)]
    flags = chance.choice((0, 0x0100, 0x0110, 0x8180, 0x2000, 0x2800, chance.randrange(65536)))
    counts = [1, 0, 0, 0]
    rest = b""
    if chance.random() < 0.8:
        counts[3] = chance.choice((1, 1, 1, 2, 0, 65535))
        options = b"".join(_option(chance) for _ in range(chance.choice((0, 1, 1, 2))))
        ttl = chance.choice((0, 0x8000, 0xC000, 0x10000, chance.randrange(1 << 32)))
        size = chance.choice((len(options), len(options), chance.randrange(65536)))
        payload = chance.choice((0, 1, 511, 512, 1232, 4096, 65535))
        rest = chance.choice((b"\0", b"\0", b"\xc0\x0c")) + struct.pack("!HHIH", 41, payload, ttl, size) + options
    if chance.random() < 0.1:
        counts[chance.randrange(4)] = chance.randrange(65536)
    kind, klass = chance.choice(TYPES), chance.choice((1, 1, 1, 3, 255, chance.randrange(65536)))
    return struct.pack("!HHHHHH", chance.randrange(65536), flags, *counts) + _name(labels) + struct.pack("!HH", kind, klass) + rest


def damaged(chance: random.Random, packet: bytes) -> bytes:
    """The packet with bytes changed, cut off, doubled or put in."""
    data = bytearray(packet)
    for _ in range(chance.choice((1, 1, 2, 5))):
        way = chance.randrange(5)
        at = chance.randrange(len(data) + 1)
        if way == 0 and data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        elif way == 1:
            del data[at:]
        elif way == 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 12))
        elif way == 3:
            data += data[at:]
        elif data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data[:4096])


def packets(seed: int, zone: str) -> Iterator[bytes]:
    """Without end: a sixth good queries, a sixth noise, the others damaged."""
    chance = random.Random(seed)
    while True:
        way = chance.randrange(6)
        if way == 0:
            yield query(chance, zone)
        elif way == 1:
            yield chance.randbytes(chance.choice((0, 1, 11, 12, 13, 17, chance.randrange(600))))
        else:
            yield damaged(chance, query(chance, zone))


def complaint(packet: bytes, answer: bytes | None, *, stream: bool = False) -> str:
    """What is wrong with an answer to such a packet, by the rules that hold for every answer; empty where nothing is."""
    if answer is None:
        return ""
    if len(packet) < 12 or packet[2] & 0x80:
        return "what was no query was answered"
    if answer[:2] != packet[:2] or not answer[2] & 0x80 or (answer[2] ^ packet[2]) & 0x79:
        return "the header is none of an answer to it"
    limit = 65535 if stream else largest(packet)
    if len(answer) > limit:
        return f"{len(answer)} bytes where {limit} are allowed"
    if answer[2] & 2 and answer[6:10] != bytes(4):
        return "a truncated answer with records in it"
    return ""


def largest(packet: bytes) -> int:
    """The most that a UDP answer may have, by what the packet says of EDNS as generously as it can be read."""
    at = packet.rfind(b"\0\0\x29")
    told = int.from_bytes(packet[at + 3 : at + 5], "big") if at >= 12 and len(packet) >= at + 11 else 0
    return min(max(512, told), 1232)
