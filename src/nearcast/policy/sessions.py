"""By what a session is known outside of it: to edges, in their logs, and to those who bring measures and logs together. Pure.

A session id is a capability and has no place in a log. Its first characters are the nonce that it was sealed with, which is public,
and that is what our player sends edges as CMCD ``sid`` (CTA-5004). Reports carry a digest of it, of one length whatever players send.
"""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv6Address, ip_address, ip_network

SID_CHARACTERS = 16
"""12 bytes of nonce in base64url."""
_IPV4_BITS, _IPV6_BITS = 16, 32
"""What registries hand to one access network, about: coarse enough to tell of nobody."""


def sid(session_id: str) -> str:
    """What the player of this session sends as CMCD ``sid``."""
    return session_id[:SID_CHARACTERS]


def tag(sid: str) -> str:
    """64 bits of BLAKE2b of a CMCD ``sid``, base64url."""
    return base64.urlsafe_b64encode(hashlib.blake2b(sid.encode(), digest_size=8).digest()).rstrip(b"=").decode()


def network(address: str) -> str:
    """The block of addresses in which a client stands, as ``203.0.0.0/16``; empty for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return str(ip_network((found, _IPV4_BITS if found.version == 4 else _IPV6_BITS), strict=False))
