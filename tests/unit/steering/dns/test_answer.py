"""What is answered to which question, with dnspython as the judge."""

from __future__ import annotations

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from msgspec.structs import replace

from nearcast.model.health import HealthSnapshot
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.choose import NO_TABLE
from nearcast.steering.dns.settings import NameServer
from nearcast.steering.view import NO_VIEW, View
from tests.unit.steering.dns.making import (
    APPLIANCES,
    NOW_S,
    RESOLVER,
    SETTINGS,
    TABLE,
    TITLE,
    answerer,
    ask,
    data,
    option,
    query,
    raw,
    scope,
    view,
)

ZONE = "cdn.example"
OTHER_TITLE = "t_zzzzyyyyxxxxwwww"
DALLAS, FRANKFURT, DOOR = ["198.18.2.1"], ["198.18.1.1", "198.18.1.2"], ["198.18.0.9"]


def rcode(made: Answerer, asked: dns.message.Message) -> str:
    return dns.rcode.to_text(ask(made, asked).rcode())


@pytest.mark.parametrize(
    ("name", "subnet", "expected"),
    [
        ("play.cdn.example", "203.0.113.0/24", DALLAS),
        ("cdn.example", "203.0.113.0/24", DALLAS),
        ("play.cdn.example", "203.0.113.128/25", DOOR),
        ("play.cdn.example", "8.8.8.0/24", FRANKFURT),
        ("play.cdn.example", "2001:db8:3::/48", DALLAS),
        ("play.cdn.example", "::ffff:203.0.113.0/120", DALLAS),
        (f"{OTHER_TITLE}.titles.cdn.example", "203.0.113.0/24", DALLAS),
        ("gateway.cdn.example", "203.0.113.0/24", ["198.51.100.80"]),
        ("a.deep.cdn.example", "", ["198.51.100.81"]),
        ("fra-2.appliances.cdn.example", "203.0.113.0/24", ["198.18.1.2"]),
        ("mumbai.sites.cdn.example", "", DOOR),
        ("ns2.cdn.example", "", ["198.51.100.2"]),
    ],
)
def test_the_addresses_of_each_name(name: str, subnet: str, expected: list[str]) -> None:
    made = answerer()
    for _ in range(2):  # careful, then from what was kept
        found = ask(made, query(name, subnet=subnet))
        assert data(found) == expected
        assert found.rcode() == dns.rcode.NOERROR
        assert found.flags & dns.flags.AA
        assert not found.flags & dns.flags.RA


def test_ipv6_addresses_too() -> None:
    made = answerer()
    assert data(ask(made, query("play.cdn.example", "AAAA", subnet="8.8.8.0/24")), "AAAA") == ["2001:db8:a::1", "2001:db8:a::2"]
    nothing = ask(made, query("play.cdn.example", "AAAA", subnet="203.0.113.0/24"))
    assert nothing.rcode() == dns.rcode.NOERROR
    assert not nothing.answer
    assert nothing.authority[0].rdtype == dns.rdatatype.SOA


def test_a_title_leads_to_who_holds_it_and_never_to_a_door() -> None:
    made = answerer(seen=view(held={"bom-1": {TITLE: 10}}))
    assert data(ask(made, query(f"{TITLE}.titles.cdn.example", subnet="203.0.113.128/25"))) == ["198.18.3.1"]


def test_steered_answers_live_for_seconds_and_the_others_longer() -> None:
    made = answerer(replace(SETTINGS, ttl_s=7))
    assert ask(made, query("play.cdn.example")).answer[0].ttl == 7
    assert ask(made, query("gateway.cdn.example")).answer[0].ttl == 3600


@pytest.mark.parametrize("name", ["nothing.cdn.example", "x.play.cdn.example", "t_short.titles.cdn.example", "xyz.appliances.cdn.example"])
def test_a_name_that_does_not_exist(name: str) -> None:
    made = answerer()
    for kind in ("A", "TXT", "ANY"):
        found = ask(made, query(name, kind))
        assert found.rcode() == dns.rcode.NXDOMAIN
        assert found.flags & dns.flags.AA
        assert [(each.rdtype, each.name.to_text(), each.ttl) for each in found.authority] == [(dns.rdatatype.SOA, "cdn.example.", 10)]


@pytest.mark.parametrize(
    "name", ["titles.cdn.example", "sites.cdn.example", "deep.cdn.example", "rack.sites.cdn.example", "ns2.cdn.example"]
)
def test_a_name_that_exists_without_this(name: str) -> None:
    found = ask(answerer(), query(name, "AAAA"))
    assert found.rcode() == dns.rcode.NOERROR
    assert not found.answer
    assert found.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("kind", ["MX", "TXT", "CAA", "HTTPS", "SVCB", "CNAME", "DS", "TYPE4711"])
def test_types_that_there_are_none_of(kind: str) -> None:
    found = ask(answerer(), query("cdn.example", kind))
    assert found.rcode() == dns.rcode.NOERROR
    assert not found.answer
    assert found.authority[0].rdtype == dns.rdatatype.SOA


def test_soa_and_ns_with_glue() -> None:
    made = answerer()
    soa = ask(made, query(ZONE, "SOA")).answer[0][0]
    assert soa.mname.to_text() == "ns1.cdn.example."
    assert soa.rname.to_text() == "hostmaster.cdn.example."
    found = ask(made, query(ZONE, "NS"))
    assert data(found, "NS") == ["ns.other.example.", "ns1.cdn.example.", "ns2.cdn.example."]
    glue = {each.name.to_text() for each in found.additional}
    assert glue == {"ns1.cdn.example.", "ns2.cdn.example."}


def test_a_mailbox_with_dots_keeps_them() -> None:
    soa = ask(answerer(replace(SETTINGS, mailbox="dns.team@example.org")), query(ZONE, "SOA")).answer[0][0]
    assert soa.rname.to_text() == r"dns\.team.example.org."


def test_any_is_answered_with_next_to_nothing() -> None:
    made = answerer()
    for name in (ZONE, "play.cdn.example"):
        found = ask(made, query(name, "ANY"))
        assert data(found, "HINFO") == ['"RFC8482" ""']
        assert len(found.answer) == 1


@pytest.mark.parametrize("name", ["example", "other.example", "xcdn.example", ".", "cdn.example.com"])
def test_what_is_not_ours_is_refused(name: str) -> None:
    found = ask(answerer(), query(name))
    assert found.rcode() == dns.rcode.REFUSED
    assert not found.flags & dns.flags.AA
    assert not found.answer
    assert not found.authority


@pytest.mark.parametrize(
    ("kind", "expected"), [("AXFR", "REFUSED"), ("IXFR", "REFUSED"), ("MAILB", "REFUSED"), ("TYPE128", "FORMERR"), ("OPT", "FORMERR")]
)
def test_questions_that_are_none(kind: str, expected: str) -> None:
    assert rcode(answerer(), query(ZONE, kind)) == expected


def test_other_classes_are_refused() -> None:
    assert rcode(answerer(), query(ZONE, "TXT", rdclass="CH")) == "REFUSED"


@pytest.mark.parametrize("opcode", ["STATUS", "NOTIFY", "UPDATE", "IQUERY"])
def test_other_opcodes(opcode: str) -> None:
    asked = query(ZONE)
    asked.set_opcode(dns.opcode.from_text(opcode))
    answer = raw(answerer(), asked.to_wire())
    found = dns.message.from_wire(answer)
    assert found.rcode() == dns.rcode.NOTIMP
    assert found.opcode() == asked.opcode()
    assert found.id == asked.id


def test_the_spelling_of_the_question_comes_back() -> None:
    made = answerer()
    for name in ("PlAy.CdN.eXaMpLe", "play.cdn.example", "PLAY.CDN.EXAMPLE"):
        wire = query(name, subnet="203.0.113.0/24").to_wire()
        answer = raw(made, wire)
        assert answer[12:30] == wire[12:30]
        assert data(dns.message.from_wire(answer)) == DALLAS


def test_rd_and_cd_come_back_and_nothing_else() -> None:
    made = answerer()
    for _ in range(2):
        asked = query("play.cdn.example", flags=dns.flags.RD | dns.flags.CD | dns.flags.AD)
        found = ask(made, asked)
        assert found.flags & dns.flags.RD
        assert found.flags & dns.flags.CD
        assert not found.flags & (dns.flags.AD | dns.flags.RA | dns.flags.TC)


# --- EDNS ---------------------------------------------------------------------------------------------------------------


def test_edns_is_answered_only_where_it_is_asked() -> None:
    made = answerer()
    assert ask(made, query("play.cdn.example")).edns == -1
    found = ask(made, query("play.cdn.example", payload=4096))
    assert found.edns == 0
    assert found.payload == 1232


def test_a_later_version_is_told_ours() -> None:
    asked = dns.message.make_query("play.cdn.example", "A", use_edns=1, payload=1232)
    found = ask(answerer(), asked)
    assert found.rcode() == dns.rcode.BADVERS
    assert found.edns == 0
    assert not found.answer


def test_do_comes_back() -> None:
    assert ask(answerer(), query("play.cdn.example", dnssec=True)).ednsflags == dns.flags.DO


MANY = replace(
    SETTINGS,
    name_servers=tuple(NameServer(name=f"a-rather-long-name-for-a-server-{i}", addresses=(f"198.51.100.{i}",)) for i in range(1, 14)),
)


@pytest.mark.parametrize(("payload", "limit"), [(0, 512), (512, 512), (100, 512), (800, 800), (4096, 1232), (65535, 1232)])
def test_no_answer_is_larger_than_it_may_be(payload: int, limit: int) -> None:
    made = answerer(MANY, signed=True)
    for _ in range(2):
        for kind in ("NS", "DNSKEY", "SOA", "A", "ANY", "MX"):
            asked = query(ZONE, kind, payload=payload, dnssec=payload > 0)
            assert len(raw(made, asked.to_wire())) <= limit


def test_glue_is_left_out_before_the_answer_is() -> None:
    made = answerer(MANY)
    found = ask(made, query(ZONE, "NS", payload=800))
    assert len(data(found, "NS")) == 13
    assert not found.additional
    assert not found.flags & dns.flags.TC
    short = ask(made, query(ZONE, "NS"))
    assert short.flags & dns.flags.TC
    assert not short.answer
    whole = ask(made, query(ZONE, "NS"), stream=True)
    assert len(whole.additional) == 13
    assert not whole.flags & dns.flags.TC


def test_names_are_compressed() -> None:
    """Nearly as well as dnspython does it, which remembers every name."""
    for kind in ("NS", "SOA", "MX"):
        answer = raw(answerer(), query(ZONE, kind).to_wire())
        assert len(answer) <= len(dns.message.from_wire(answer).to_wire()) + 24


def test_the_server_tells_its_name_if_it_has_one() -> None:
    asked = query(ZONE, "SOA", options=[option(3, b"")])
    assert [each.to_wire() for each in ask(answerer(identity="fra-dns"), asked).options] == [b"fra-dns"]
    assert not ask(answerer(), asked).options


@pytest.mark.parametrize("length", [1, 7, 9, 15, 41])
def test_cookies_of_no_known_length(length: int) -> None:
    asked = query(ZONE, "SOA", options=[option(10, bytes(length))])
    assert rcode(answerer(), asked) == "FORMERR"


def test_unknown_options_do_not_matter() -> None:
    made = answerer()
    for _ in range(2):
        asked = query("play.cdn.example", options=[option(65001, b"x" * 30), dns.edns.ECSOption("203.0.113.0", 24)])
        assert data(ask(made, asked)) == DALLAS


# --- malformed ------------------------------------------------------------------------------------------------------------


def header(*, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return b"\x12\x34" + flags.to_bytes(2, "big") + b"".join(each.to_bytes(2, "big") for each in counts)


QUESTION = b"\4play\3cdn\7example\0\0\1\0\1"


@pytest.mark.parametrize(
    "packet",
    [
        header() + QUESTION[:-1],
        header() + QUESTION + b"x",
        header(counts=(0, 0, 0, 0)),
        header(counts=(2, 0, 0, 0)) + QUESTION * 2,
        header(counts=(1, 1, 0, 0)) + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4abcd",
        header(counts=(1, 0, 0, 1)) + QUESTION,
        header(counts=(1, 0, 0, 9)) + QUESTION,
        header() + b"\xc0\x0c\0\1\0\1",
        header() + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
        header() + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        header(counts=(1, 0, 0, 2)) + QUESTION + (b"\0\0\x29\4\xd0\0\0\0\0\0\0") * 2,
        header(counts=(1, 0, 0, 1)) + QUESTION + b"\1x\0\0\x29\4\xd0\0\0\0\0\0\0",
        header(counts=(1, 0, 0, 1)) + QUESTION + b"\0\0\x29\4\xd0\0\0\0\0\0\3abc",
        header(counts=(1, 0, 0, 1)) + QUESTION + b"\0\0\x29\4\xd0\0\0\0\0\0\4\0\3\0\x09",
    ],
)
def test_what_is_malformed_is_told_so(packet: bytes) -> None:
    answer = raw(answerer(), packet)
    assert answer[:2] == packet[:2]
    assert answer[3] & 15 == dns.rcode.FORMERR
    assert len(answer) <= len(packet)


@pytest.mark.parametrize(
    "packet", [b"", b"\0" * 11, header(flags=0x8000) + QUESTION, header(flags=0x8180) + QUESTION, header(flags=0xA800)]
)
def test_what_is_no_query_is_not_answered(packet: bytes) -> None:
    assert answerer().answer(packet, RESOLVER, NOW_S) is None


def test_a_zero_within_a_label_is_a_character_like_any() -> None:
    made = answerer()
    packet = header() + b"\4pl\0y\3cdn\7example\0\0\1\0\1"
    for _ in range(2):
        assert raw(made, packet)[3] & 15 == dns.rcode.NXDOMAIN


def test_a_signed_query_is_told_that_we_have_no_keys() -> None:
    record = b"\1k\0\0\xfa\0\xff\0\0\0\0\0\0"
    answer = raw(answerer(), header(counts=(1, 0, 0, 1)) + QUESTION + record)
    assert answer[3] & 15 == dns.rcode.NOTAUTH


# --- what changes -----------------------------------------------------------------------------------------------------------


def test_who_dies_or_drains_leaves_the_answers_at_once() -> None:
    made = answerer()
    asked = query("play.cdn.example", subnet="8.8.8.0/24")
    assert data(ask(made, asked)) == FRANKFURT
    for version, state in enumerate(("down", "draining"), 2):
        made.use(TABLE, view(version, fra_1={"state": state}), 1.0)
        assert data(ask(made, asked)) == ["198.18.1.2"]
    made.use(TABLE, view(4, fra_1={"state": "down"}, fra_2={"load": "full"}), 1.0)
    assert data(ask(made, asked)) == DALLAS
    made.use(TABLE, view(5), 1.0)
    assert data(ask(made, asked)) == FRANKFURT


def test_routes_that_change_count_at_once() -> None:
    made = answerer()
    asked = query("play.cdn.example", subnet="203.0.113.0/24")
    assert data(ask(made, asked)) == DALLAS
    from nearcast.model.route import Announcement

    made.use(TABLE.altered((), [Announcement(prefix="203.0.113.0/24", site="dallas")]), view(), 1.0)
    assert data(ask(made, asked)) == FRANKFURT


def test_an_appliance_keeps_its_name_while_it_is_known() -> None:
    made = answerer()
    asked = query("dal-1.appliances.cdn.example")
    made.use(TABLE, view(2, dal_1={"state": "down"}), 1.0)
    assert data(ask(made, asked)) == DALLAS
    made.use(TABLE, view(3, dal_1={"state": "gone"}), 1.0)
    assert rcode(made, asked) == "NXDOMAIN"


def test_an_isps_site_serves_only_its_own() -> None:
    made = answerer()
    found = {each for number in range(64) for each in data(ask(made, query("play.cdn.example", subnet=f"{number + 11}.1.0.0/16")))}
    assert APPLIANCES["rack-1"][1][0] not in found


def test_without_a_view_only_what_depends_on_nobody_is_answered() -> None:
    made = answerer(seen=NO_VIEW)
    made.use(NO_TABLE, NO_VIEW, 1.0)
    for _ in range(2):
        assert rcode(made, query("play.cdn.example", subnet="203.0.113.0/24")) == "SERVFAIL"
        assert rcode(made, query(f"{TITLE}.titles.cdn.example")) == "SERVFAIL"
        assert rcode(made, query(ZONE, "SOA")) == "NOERROR"
        assert rcode(made, query(ZONE, "NS")) == "NOERROR"
        assert rcode(made, query("gateway.cdn.example")) == "NOERROR"
        assert rcode(made, query("nothing.cdn.example")) == "NXDOMAIN"
        assert rcode(made, query("whoami.cdn.example", "TXT")) == "NOERROR"


def test_nobody_there_at_all_is_a_failure_and_no_empty_answer() -> None:
    made = answerer(seen=View(HealthSnapshot(version=1, published_s=0.0), {}))
    assert rcode(made, query("play.cdn.example")) == "SERVFAIL"


def test_a_loads_change_waits_until_answers_are_old() -> None:
    made = answerer()
    asked = query("play.cdn.example", subnet="8.8.8.0/24")
    ask(made, asked)
    ask(made, asked)
    kept = made._steered
    made.use(TABLE, view(2, fra_1={"share": 0.5}), 1.0)
    assert kept
    made.use(TABLE, view(3, fra_1={"share": 0.6}), 32.0)
    assert not made._steered


def test_whoami_tells_what_is_seen() -> None:
    made = answerer()
    found = ask(made, query("whoami.cdn.example", "TXT", subnet="203.0.113.0/25"))
    assert data(found, "TXT") == ['"address=203.0.113.0/25" "by=subnet" "scope=25" "prefix=203.0.113.0/24" "site=dallas"']
    assert found.answer[0].ttl == 0
    assert scope(found) == 25
    by_resolver = ask(made, query("whoami.cdn.example", "TXT"), source=bytes((203, 0, 113, 200)))
    assert data(by_resolver, "TXT") == ['"address=203.0.113.200" "by=resolver" "scope=25" "prefix=203.0.113.128/25" "site=mumbai"']
