"""Signs answers while they are asked for (RFC 4034, 4035) with an ECDSA P-256 key (RFC 6605), and denies compactly (RFC 9824).

One key is both zone-signing and key-signing (flags 257); ``keyring`` has it, and the next. Signatures are kept until half of their time is
over, so that one set of records is signed once a day, however often it is asked for.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from nearcast.steering.dns import wire
from nearcast.steering.dns.wire import IN, NSEC, NXNAME, RRSIG

ALGORITHM = 13
"""ECDSAP256SHA256."""
DIGEST = 2
"""SHA-256, of a DS."""
_FLAGS = 257
_PROTOCOL = 3
BEFORE_S = 3600
"""Signatures begin an hour ago: not every resolver's clock is right."""
VALID_S = 2 * 86400
KEPT = 65536
_SHA256 = ec.ECDSA(hashes.SHA256())


# --- decisions --------------------------------------------------------------------------------------------------------


def canonical(owner: bytes, kind: int, ttl_s: int, rdata: Iterable[bytes]) -> bytes:
    """A set of records as it is signed: sorted by data, each one once (RFC 4034, 6.3). ``owner`` in lower case, in whole."""
    head = owner + struct.pack("!HHI", kind, IN, ttl_s)
    return b"".join(head + struct.pack("!H", len(each)) + each for each in sorted(set(rdata)))


def bitmap(types: Iterable[int]) -> bytes:
    """Types as windows of bits (RFC 4034, 4.1.2)."""
    windows: dict[int, bytearray] = {}
    for each in sorted(set(types)):
        bits = windows.setdefault(each >> 8, bytearray(32))
        bits[(each & 255) >> 3] |= 0x80 >> (each & 7)
    found = b""
    for window, bits in sorted(windows.items()):
        used = bytes(bits).rstrip(b"\0")
        found += bytes((window, len(used))) + used
    return found


def denial(owner: bytes, types: Sequence[int]) -> bytes:
    """The data of the one NSEC that denies: from ``owner`` to the very next name, ``\\000.owner``; ``types`` are there (RFC 9824, 3)."""
    following = b"\1\0" + owner
    if len(following) > wire.NAME_BYTES_MAX:  # no room for a label before it: the next is its sibling
        label = owner[1 : 1 + owner[0]].rstrip(b"\xff")
        following = owner[1 + owner[0] :]
        if label:
            following = bytes((len(label),)) + label[:-1] + bytes((label[-1] + 1,)) + following
    return following + bitmap((*types, RRSIG, NSEC))


def absence(owner: bytes) -> bytes:
    """The same for a name that does not exist: it has NXNAME, and nothing else (RFC 9824, 3.1)."""
    return denial(owner, (NXNAME,))


def key_tag(rdata: bytes) -> int:
    """RFC 4034, appendix B."""
    total = sum(each << 8 if index % 2 == 0 else each for index, each in enumerate(rdata))
    return (total + (total >> 16)) & 0xFFFF


def ds(origin: bytes, dnskey: bytes) -> bytes:
    """The data of the DS that the parent zone needs (RFC 4034, 5.1.4)."""
    return struct.pack("!HBB", key_tag(dnskey), ALGORITHM, DIGEST) + hashlib.sha256(origin + dnskey).digest()


# --- the signer -------------------------------------------------------------------------------------------------------


class Signer:
    """Signs sets of records of the zone ``origin``; ``now_s`` is Unix time."""

    def __init__(self, origin: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self._origin = origin
        self._key = key
        self.dnskey = struct.pack("!HBB", _FLAGS, _PROTOCOL, ALGORITHM) + point[1:]
        self.tag = key_tag(self.dnskey)
        self._kept: dict[tuple[bytes, int, int, tuple[bytes, ...]], tuple[float, bytes]] = {}

    def sign(self, owner: bytes, kind: int, ttl_s: int, rdata: tuple[bytes, ...], now_s: float, *, keep: bool = True) -> bytes:
        """The data of the RRSIG over a set of records; ``keep`` it where they will be asked for again."""
        what = owner, kind, ttl_s, rdata
        kept = self._kept.get(what)
        if kept is not None and now_s < kept[0]:
            return kept[1]
        found = self._signed(owner, kind, ttl_s, rdata, int(now_s))
        if not keep:
            return found
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[what] = now_s + VALID_S / 2, found
        return found

    def _signed(self, owner: bytes, kind: int, ttl_s: int, rdata: tuple[bytes, ...], now_s: int) -> bytes:
        times = struct.pack("!II", (now_s + VALID_S) & 0xFFFFFFFF, (now_s - BEFORE_S) & 0xFFFFFFFF)
        head = struct.pack("!HBBI", kind, ALGORITHM, len(wire.labels(owner)), ttl_s) + times + struct.pack("!H", self.tag) + self._origin
        r, s = decode_dss_signature(self._key.sign(head + canonical(owner, kind, ttl_s, rdata), _SHA256))
        return head + r.to_bytes(32, "big") + s.to_bytes(32, "big")
