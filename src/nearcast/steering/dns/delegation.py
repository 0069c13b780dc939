"""What the parent zone needs to send resolvers to us and to trust what they hear: NS, glue and DS. Pure."""

from __future__ import annotations

import ipaddress

from nearcast.steering.dns import dnssec, wire
from nearcast.steering.dns.dnssec import Signer
from nearcast.steering.dns.settings import DnsSettings, below

TTL_S = 86400


def records(settings: DnsSettings, signer: Signer) -> list[str]:
    """Lines of a zone file (RFC 1035, 5); the DS of the signer's key comes last, where answers are signed."""
    zone = settings.zone.lower().rstrip(".")
    found = [f"{zone}. {TTL_S} IN NS {below(zone, each.name)}." for each in settings.servers]
    for server in settings.servers:
        for text in server.addresses:
            kind = "A" if ipaddress.ip_address(text).version == 4 else "AAAA"
            found.append(f"{below(zone, server.name)}. {TTL_S} IN {kind} {text}")
    if not settings.dnssec:
        return found
    return [*found, ds(zone, signer)]


def ds(zone: str, signer: Signer) -> str:
    """The DS of a key as a line of a zone file."""
    zone = zone.lower().rstrip(".")
    digest = dnssec.ds(wire.name(zone), signer.dnskey)[4:].hex().upper()
    return f"{zone}. {TTL_S} IN DS {signer.tag} {dnssec.ALGORITHM} {dnssec.DIGEST} {digest}"
