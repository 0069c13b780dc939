"""Puts an answer together: records, what is denied, signatures. Pure but for the signatures that are kept."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from nearcast.steering.dns import dnssec, wire
from nearcast.steering.dns.choose import Chooser, Chosen, Client
from nearcast.steering.dns.edns import Edns
from nearcast.steering.dns.keyring import Signers
from nearcast.steering.dns.wire import (
    AAAA,
    ANY,
    HINFO,
    NOERROR,
    NS,
    NSEC,
    NXDOMAIN,
    QUESTION_POINTER,
    RRSIG,
    SERVFAIL,
    SOA,
    TXT,
    A,
    Question,
)
from nearcast.steering.dns.zone import NEGATIVE_TTL_S, STATIC_TTL_S, Node, Rrset, Zone

ANY_ANSWER = Rrset(STATIC_TTL_S, (b"\7RFC8482\0",))
"""All that ANY is answered with, as if it were there (RFC 8482, 4.2)."""
_BY_ALL = frozenset((wire.DNSKEY, wire.CDS, wire.CDNSKEY))


class Body(NamedTuple):
    """What follows the question. ``extra`` is the end of ``tail`` that may be left out."""

    rcode: int
    answers: int = 0
    authorities: int = 0
    additional: int = 0
    tail: bytes = b""
    extra: bytes = b""


class Composer:
    """Answers for the names of ``zone``; ``signers`` None: without signatures. ``now_s`` is Unix time."""

    def __init__(self, zone: Zone, signers: Signers | None = None) -> None:
        self._zone = zone
        self._signers = signers
        if signers is not None:
            keys = tuple(each.dnskey for each in (signers.main, signers.beside) if each)
            zone.with_apex(wire.DNSKEY, Rrset(STATIC_TTL_S, keys))
        if signers is not None and signers.wanted is not None:
            zone.with_apex(wire.CDS, Rrset(STATIC_TTL_S, (dnssec.ds(zone.origin, signers.wanted.dnskey),)))
            zone.with_apex(wire.CDNSKEY, Rrset(STATIC_TTL_S, (signers.wanted.dnskey,)))

    def body(self, node: Node | None, asked: Question, chosen: Chosen | None, *, signed: bool, compact: bool, now_s: float) -> Body:
        """``node`` None: the name does not exist. ``chosen`` is for names that depend on who asks; None there: nobody serves them.

        ``compact``: the client does not say that it understands NXDOMAIN beside a compact denial, so it is not said aloud.
        """
        signed = signed and self._signers is not None
        if node is None:
            rcode = NOERROR if signed and compact else NXDOMAIN
            return self._nothing(asked, dnssec.absence(asked.name) if signed else b"", signed, now_s, keep=False)._replace(rcode=rcode)
        rrset = node.rrsets.get(asked.type)
        if node.title is not None and asked.type in (A, AAAA):
            if chosen is None:
                return Body(SERVFAIL)
            found = chosen.ipv4 if asked.type == A else chosen.ipv6
            rrset = Rrset(self._zone.settings.ttl_s, found) if found else None
        elif asked.type == ANY:
            rrset = ANY_ANSWER
        elif signed and asked.type in (NSEC, RRSIG):
            return self._about_itself(node, asked, now_s)
        if rrset is None:
            types = [each for each in node.types() if each != asked.type]
            return self._nothing(asked, dnssec.denial(asked.name, types) if signed else b"", signed, now_s)
        body = self._something(HINFO if asked.type == ANY else asked.type, asked, rrset, signed, now_s)
        return self._with_glue(body) if asked.type == NS else body

    def text(self, asked: Question, said: bytes, signed: bool, now_s: float) -> Body:
        """A TXT that is made for this one query. Its TTL is 0, and it is signed each time."""
        return self._something(TXT, asked, Rrset(0, (said,)), signed and self._signers is not None, now_s, keep=False)

    def _something(self, kind: int, asked: Question, rrset: Rrset, signed: bool, now_s: float, *, keep: bool = True) -> Body:
        data = [self._zone.compressed(kind, each, len(asked.name)) for each in rrset.rdata]
        tail = b"".join(wire.record(QUESTION_POINTER, kind, rrset.ttl_s, each) for each in data)
        signatures = self._signatures(asked.name, kind, rrset, now_s, keep=keep) if signed else ()
        tail += b"".join(wire.record(QUESTION_POINTER, RRSIG, rrset.ttl_s, each) for each in signatures)
        return Body(NOERROR, answers=len(data) + len(signatures), tail=tail)

    def _nothing(self, asked: Question, denial: bytes, signed: bool, now_s: float, *, keep: bool = True) -> Body:
        """SOA in the authority section (RFC 2308), and where signatures are asked for, the NSEC that proves it."""
        zone = self._zone
        owner = wire.pointer(wire.HEADER_BYTES + len(asked.name) - len(zone.origin))
        soa = zone.negative_soa
        tail = wire.record(owner, SOA, soa.ttl_s, zone.compressed(SOA, soa.rdata[0], len(asked.name)))
        if not signed:
            return Body(NOERROR, authorities=1, tail=tail)
        proof = Rrset(NEGATIVE_TTL_S, (denial,))
        tail += self._signature(owner, zone.origin, SOA, soa, now_s)
        tail += wire.record(QUESTION_POINTER, NSEC, proof.ttl_s, denial)
        tail += self._signature(QUESTION_POINTER, asked.name, NSEC, proof, now_s, keep=keep)
        return Body(NOERROR, authorities=4, tail=tail)

    def _about_itself(self, node: Node, asked: Question, now_s: float) -> Body:
        """NSEC and RRSIG exist at every name; of the signatures, the one over the NSEC is given (RFC 8482, 4.1)."""
        rrset = Rrset(NEGATIVE_TTL_S, (dnssec.denial(asked.name, node.types()),))
        if asked.type == NSEC:
            return self._something(NSEC, asked, rrset, True, now_s)
        return Body(NOERROR, answers=1, tail=self._signature(QUESTION_POINTER, asked.name, NSEC, rrset, now_s))

    def _signature(self, owner: bytes, name: bytes, kind: int, rrset: Rrset, now_s: float, *, keep: bool = True) -> bytes:
        """The one record of it, as anything but the keys has."""
        (found,) = self._signatures(name, kind, rrset, now_s, keep=keep)
        return wire.record(owner, RRSIG, rrset.ttl_s, found)

    def _signatures(self, name: bytes, kind: int, rrset: Rrset, now_s: float, *, keep: bool = True) -> list[bytes]:
        """The data of each. Keys, and what asks the parent for another DS, are signed by all keys: one of them has the parent's."""
        assert self._signers is not None  # noqa: S101
        main, beside, _ = self._signers
        by = [main, beside] if beside and kind in _BY_ALL else [main]
        return [each.sign(name, kind, rrset.ttl_s, rrset.rdata, now_s, keep=keep) for each in by]

    def _with_glue(self, body: Body) -> Body:
        """The addresses of name servers of the zone; they are found elsewhere too, so they carry no signatures."""
        extra, count = b"", 0
        for server in self._zone.name_servers:
            node = self._zone.find(server) if self._zone.inside(server) else None
            owner = server[: -len(self._zone.origin)] + QUESTION_POINTER  # the question is the zone itself
            for kind in (A, AAAA):
                rrset = node.rrsets.get(kind) if node else None
                for each in rrset.rdata if rrset else ():
                    extra += wire.record(owner, kind, rrset.ttl_s if rrset else 0, each)
                    count += 1
        return body._replace(additional=count, tail=body.tail + extra, extra=extra)


def whoami(chooser: Chooser, edns: Edns | None, source: bytes, client: Client, by_subnet: bool) -> bytes:
    """For operators: the address that steering saw, for whom the answer would hold, the prefix that matched and the site."""
    subnet = edns.subnet if edns and by_subnet else None
    resolver = ipaddress.ip_address(source)
    mapped = resolver.ipv4_mapped if isinstance(resolver, ipaddress.IPv6Address) else None
    seen: ipaddress.IPv4Address | ipaddress.IPv6Address = mapped or resolver
    if subnet:
        seen = ipaddress.IPv4Address(subnet.number) if subnet.version == 4 else ipaddress.IPv6Address(subnet.number)
    match = chooser.match(seen.version, int(seen))
    chosen = chooser.chosen("", client.group)
    return wire.txt(
        f"address={seen}{f'/{subnet.length}' if subnet else ''}",
        f"by={'subnet' if subnet else 'resolver'}",
        f"scope={client.scope}",
        f"prefix={match.prefix}",
        f"site={chosen.site if chosen else ''}",
    )
