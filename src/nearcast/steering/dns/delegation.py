"""What the parent zone needs to send resolvers to us and to trust what they hear: NS, glue and DS. Pure."""

from __future__ import annotations

import ipaddress

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from nearcast.steering.dns import dnssec, wire
from nearcast.steering.dns.settings import DnsSettings, below

TTL_S = 86400


def records(settings: DnsSettings, key: EllipticCurvePrivateKey) -> list[str]:
    """Lines of a zone file (RFC 1035, 5); the DS comes last, where answers are signed."""
    zone = settings.zone.lower().rstrip(".")
    found = [f"{zone}. {TTL_S} IN NS {below(zone, each.name)}." for each in settings.servers]
    for server in settings.servers:
        for text in server.addresses:
            kind = "A" if ipaddress.ip_address(text).version == 4 else "AAAA"
            found.append(f"{below(zone, server.name)}. {TTL_S} IN {kind} {text}")
    if not settings.dnssec:
        return found
    signer = dnssec.Signer(wire.name(zone), key)
    digest = dnssec.ds(wire.name(zone), signer.dnskey)[4:].hex().upper()
    return [*found, f"{zone}. {TTL_S} IN DS {signer.tag} {dnssec.ALGORITHM} {dnssec.DIGEST} {digest}"]
