"""Signatures and denials, validated by dnspython."""

from __future__ import annotations

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import pytest

from nearcast.steering.dns import delegation, dnssec, wire
from nearcast.steering.dns.answer import Answerer
from tests.unit.steering.dns.making import KEY, NOW_S, SETTINGS, TITLE, answerer, ask, query, raw

ZONE = dns.name.from_text("cdn.example")


def keys(made: Answerer) -> dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]:
    found = ask(made, query("cdn.example", "DNSKEY", dnssec=True))
    return {ZONE: found.find_rrset(found.answer, ZONE, dns.rdataclass.IN, dns.rdatatype.DNSKEY)}


def validate(made: Answerer, found: dns.message.Message) -> int:
    """Every set of records in answer and authority has a signature that holds."""
    known = keys(made)
    checked = 0
    for section in (found.answer, found.authority):
        for rrset in section:
            if rrset.rdtype != dns.rdatatype.RRSIG:
                signatures = found.find_rrset(section, rrset.name, dns.rdataclass.IN, dns.rdatatype.RRSIG, covers=rrset.rdtype)
                dns.dnssec.validate(rrset, signatures, known, now=NOW_S)
                checked += 1
    return checked


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cdn.example", "SOA"),
        ("cdn.example", "NS"),
        ("cdn.example", "A"),
        ("cdn.example", "DNSKEY"),
        ("play.cdn.example", "A"),
        ("pLaY.cdn.EXAMPLE", "AAAA"),
        (f"{TITLE}.titles.cdn.example", "A"),
        ("dal-1.appliances.cdn.example", "A"),
        ("mumbai.sites.cdn.example", "AAAA"),
        ("whoami.cdn.example", "TXT"),
        ("play.cdn.example", "ANY"),
        ("play.cdn.example", "NSEC"),
    ],
)
def test_answers_are_signed_for_who_asks(name: str, kind: str) -> None:
    made = answerer(signed=True)
    for _ in range(2):
        found = ask(made, query(name, kind, subnet="8.8.8.0/24", dnssec=True))
        assert found.answer
        assert validate(made, found) == 1
        plain = ask(made, query(name, kind, subnet="8.8.8.0/24"))
        assert not any(each.rdtype == dns.rdatatype.RRSIG for each in plain.answer)


@pytest.mark.parametrize("kind", ["MX", "TXT", "CAA", "HTTPS", "DS"])
@pytest.mark.parametrize("name", ["play.cdn.example", "titles.cdn.example", "gateway.cdn.example", "cdn.example"])
def test_what_is_not_there_is_denied(name: str, kind: str) -> None:
    made = answerer(signed=True)
    for _ in range(2):
        found = ask(made, query(name, kind, dnssec=True))
        assert found.rcode() == dns.rcode.NOERROR
        assert validate(made, found) == 2
        nsec = found.find_rrset(found.authority, dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.NSEC)[0]
        assert nsec.next == dns.name.from_text(rf"\000.{name}")
        there = nsec.to_text()
        assert f" {kind}" not in there
        assert "RRSIG" in there
        assert "NSEC" in there
        assert "TYPE128" not in there
        assert ("A AAAA" in there) == (name in ("play.cdn.example", "cdn.example"))


def test_a_name_that_is_not_there_is_denied_compactly() -> None:
    made = answerer(signed=True)
    asked = query("nothing.cdn.example", dnssec=True)
    found = ask(made, asked)
    assert found.rcode() == dns.rcode.NOERROR
    assert validate(made, found) == 2
    nsec = found.find_rrset(found.authority, dns.name.from_text("nothing.cdn.example"), dns.rdataclass.IN, dns.rdatatype.NSEC)[0]
    assert [window for window, _ in nsec.windows] == [0]
    types = [
        number for number in range(256) if len(nsec.windows[0][1]) > number // 8 and nsec.windows[0][1][number // 8] & 0x80 >> number % 8
    ]
    assert types == [dns.rdatatype.RRSIG, dns.rdatatype.NSEC, wire.NXNAME]


def test_who_understands_compact_denials_is_told_that_the_name_is_not_there() -> None:
    made = answerer(signed=True)
    asked = query("nothing.cdn.example", dnssec=True)
    asked.ednsflags |= 0x4000
    found = ask(made, asked)
    assert found.rcode() == dns.rcode.NXDOMAIN
    assert validate(made, found) == 2
    assert ask(made, query("nothing.cdn.example")).rcode() == dns.rcode.NXDOMAIN


def test_a_signature_alone_may_be_asked_for() -> None:
    found = ask(answerer(signed=True), query("play.cdn.example", "RRSIG", dnssec=True))
    assert [each.rdtype for each in found.answer] == [dns.rdatatype.RRSIG]


def test_signatures_are_kept_until_half_of_their_time_is_over() -> None:
    signer = dnssec.Signer(wire.name("cdn.example"), KEY)
    asked = (wire.name("play.cdn.example"), wire.A, 10, (b"abcd",))
    first = signer.sign(*asked, NOW_S)
    assert signer.sign(*asked, NOW_S + dnssec.VALID_S / 2 - 1) is first
    assert signer.sign(*asked, NOW_S + dnssec.VALID_S / 2) != first


def test_without_a_key_do_changes_nothing() -> None:
    found = ask(answerer(), query("nothing.cdn.example", dnssec=True))
    assert found.rcode() == dns.rcode.NXDOMAIN
    assert len(found.authority) == 1


def test_the_ds_is_what_dnspython_makes_of_the_key() -> None:
    found = ask(answerer(signed=True), query("cdn.example", "DNSKEY")).answer[0][0]
    expected = dns.dnssec.make_ds(ZONE, found, "SHA256").to_text()
    lines = delegation.records(SETTINGS, dnssec.Signer(wire.name("cdn.example"), KEY))
    assert lines[-1].split(" IN DS ")[1].lower() == expected.lower()
    assert "cdn.example. 86400 IN NS ns1.cdn.example." in lines
    assert "ns1.cdn.example. 86400 IN AAAA 2001:db8:53::1" in lines


def test_even_the_longest_names_are_denied() -> None:
    made = answerer(signed=True)
    tail = wire.name("cdn.example")
    label = bytes((63,)) + b"z" * 63
    name = label * 3 + bytes((255 - len(tail) - 192 - 1,)) + b"\xff" * (255 - len(tail) - 192 - 1) + tail
    assert len(name) == 255
    packet = b"\0\1\0\0\0\1\0\0\0\0\0\1" + name + b"\0\1\0\1" + b"\0\0\x29\4\xd0\0\0\x80\0\0\0"
    found = dns.message.from_wire(raw(made, packet))
    assert validate(made, found) == 2
    nsec = next(each for each in found.authority if each.rdtype == dns.rdatatype.NSEC)
    assert nsec[0].next > nsec.name
    all_full = bytes((63,)) + b"\xff" * 63
    assert len(dnssec.denial(all_full * 3 + name[192:], (1,))) <= 300


@pytest.mark.parametrize("kind", [0, 1, 28, 46, 47, 128, 255, 257, 65535])
def test_bitmaps_are_read_back(kind: int) -> None:
    rdata = b"\0" + dnssec.bitmap((kind, 1))
    found = dns.rdata.from_wire("IN", "NSEC", rdata, 0, len(rdata))
    assert dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind)) in found.to_text() or kind == 0
