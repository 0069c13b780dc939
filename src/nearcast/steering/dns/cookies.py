"""DNS cookies (RFC 7873): a sender who shows ours receives at the address it writes from, so it is no spoofed one.

The server's half is a version, a time and a keyed hash (RFC 9018 has the layout; the hash is ours, as only we read it).
"""

from __future__ import annotations

import hashlib
import hmac

from nearcast.steering.dns.edns import CLIENT_COOKIE_BYTES

LIFETIME_S = 3600
AHEAD_S = 300
_HASH_BYTES = 8
_SERVER_BYTES = 8 + _HASH_BYTES


class Cookies:
    """``key``: 32 bytes, the same in every worker and on every host that answers for one address."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def fresh(self, cookie: bytes, source: bytes, now_s: float) -> bytes:
        """What is answered: the client's cookie, and ours for it at this time."""
        client = cookie[:CLIENT_COOKIE_BYTES]
        stamp = b"\1\0\0\0" + (int(now_s) & 0xFFFFFFFF).to_bytes(4, "big")
        return client + stamp + self._hash(client, stamp, source)

    def good(self, cookie: bytes, source: bytes, now_s: float) -> bool:
        """Whether the cookie holds one that we gave to this address within the hour."""
        client, server = cookie[:CLIENT_COOKIE_BYTES], cookie[CLIENT_COOKIE_BYTES:]
        if len(server) != _SERVER_BYTES or server[0] != 1:
            return False
        age_s = (int(now_s) - int.from_bytes(server[4:8], "big") + (1 << 31)) % (1 << 32) - (1 << 31)  # RFC 1982
        return -AHEAD_S <= age_s <= LIFETIME_S and hmac.compare_digest(server[8:], self._hash(client, server[:8], source))

    def _hash(self, client: bytes, stamp: bytes, source: bytes) -> bytes:
        return hashlib.blake2s(client + stamp + source, key=self._key, digest_size=_HASH_BYTES).digest()
