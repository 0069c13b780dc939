"""What a spoofed sender's victim is spared, and who is not held back."""

from __future__ import annotations

from ipaddress import ip_network

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.steering.dns import limit
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.cookies import AHEAD_S, LIFETIME_S, Cookies
from nearcast.steering.dns.dnssec import Signer
from nearcast.steering.dns.limit import DROP, FAILING, PASS, SLIP, Limiter
from nearcast.steering.dns.settings import RateSettings
from tests.unit.steering.dns.making import NOW_S, RESOLVER, SETTINGS, answerer, ask, option, query

VICTIM, NEIGHBOUR, OTHER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 200)), bytes((198, 51, 100, 1))


def count(limiter: Limiter, source: bytes, what: bytes, times: int, now_s: float = 100.0) -> tuple[int, int, int]:
    found = [limiter.verdict(source, what, now_s) for _ in range(times)]
    return found.count(PASS), found.count(SLIP), found.count(DROP)


def test_the_same_answer_comes_only_so_often() -> None:
    limiter = Limiter(RateSettings(identical_per_s=10, slip=2))
    assert count(limiter, VICTIM, b"play", 30) == (10, 10, 10)
    assert count(limiter, NEIGHBOUR, b"play", 1)[0] == 0
    assert count(limiter, VICTIM, b"other", 5)[0] == 5
    assert count(limiter, OTHER, b"play", 5)[0] == 5
    assert count(limiter, VICTIM, b"play", 30, 101.0)[0] == 10


def test_after_a_pause_it_is_as_at_first() -> None:
    limiter = Limiter(RateSettings(identical_per_s=10))
    count(limiter, VICTIM, b"play", 1000)
    assert count(limiter, VICTIM, b"play", 20, 200.0)[0] == 10


def test_failures_count_together() -> None:
    limiter = Limiter(RateSettings(failing_per_s=5))
    assert count(limiter, VICTIM, FAILING, 20)[0] == 5


def test_everything_to_one_network_has_a_limit() -> None:
    limiter = Limiter(RateSettings(total_per_s=50))
    assert sum(count(limiter, VICTIM, b"%d" % number, 1)[0] for number in range(200)) == 50


def test_networks_of_the_operators_choice_are_never_limited() -> None:
    limiter = Limiter(RateSettings(identical_per_s=1, exempt=("192.0.2.0/24",)))
    assert count(limiter, VICTIM, b"play", 100)[0] == 100
    assert count(limiter, OTHER, b"play", 100)[0] == 1


def test_without_slip_all_are_dropped() -> None:
    assert count(Limiter(RateSettings(identical_per_s=1, slip=0)), VICTIM, b"play", 10) == (1, 0, 9)


def test_ipv6_networks_are_56_bits() -> None:
    assert limit.network(bytes(range(16))) == bytes(range(7))


def test_floods_from_everywhere_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "BUCKETS_MAX", 100)
    limiter = Limiter(RateSettings())
    for number in range(10_000):
        limiter.verdict(number.to_bytes(4, "big"), b"play", 100.0)
    assert len(limiter._now) + len(limiter._before) <= 202


@given(st.lists(st.floats(0, 30), min_size=1, max_size=300), st.integers(1, 20))
def test_never_more_than_the_rate_and_one_burst(times: list[float], rate: int) -> None:
    limiter = Limiter(RateSettings(identical_per_s=rate, failing_per_s=0, total_per_s=0))
    passed = [now_s for now_s in sorted(times) if limiter.verdict(VICTIM, b"x", 1000 + now_s) == PASS]
    for start_s in passed:
        assert sum(start_s <= each <= start_s + 1 for each in passed) <= 2 * rate + 1


RATE = RateSettings(identical_per_s=5, failing_per_s=3, total_per_s=0, slip=2)


def answers(made: Answerer, asked: dns.message.Message, *, stream: bool = False) -> list[bytes | None]:
    return [made.answer(asked.to_wire(), RESOLVER, NOW_S, stream=stream) for _ in range(20)]


def test_a_flood_gets_a_few_answers_and_some_hints_at_tcp() -> None:
    made = answerer(replace(SETTINGS, rate=RATE))
    asked = query("play.cdn.example", subnet="203.0.113.0/24")
    found = answers(made, asked)
    whole = [each for each in found if each and not each[2] & 2]
    hints = [each for each in found if each and each[2] & 2]
    assert len(whole) == 5
    assert 0 < len(hints) <= 8
    assert all(len(each) <= len(asked.to_wire()) + 11 for each in hints)
    assert all(not dns.message.from_wire(each).answer for each in hints)
    assert made.counts.dropped + made.counts.slipped == 15


def test_failures_are_limited_whatever_the_name() -> None:
    made = answerer(replace(SETTINGS, rate=RATE))
    packets = [query(f"x{number}.cdn.example").to_wire() for number in range(40)]
    found = [made.answer(each, RESOLVER, NOW_S) for each in packets]
    assert sum(each is not None and not each[2] & 2 for each in found) == 3


def test_signed_denials_are_failures_too() -> None:
    made = answerer(replace(SETTINGS, rate=RATE), signed=True)
    found = [made.answer(query(f"x{number}.cdn.example", dnssec=True).to_wire(), RESOLVER, NOW_S) for number in range(40)]
    assert sum(each is not None and not each[2] & 2 for each in found) == 3


@pytest.mark.parametrize(("name", "most"), [("x{}.cdn.example", 3), ("t_aaaabbbbccccdd{}.titles.cdn.example", 5), ("play.cdn.example", 5)])
def test_what_is_held_back_was_never_signed(monkeypatch: pytest.MonkeyPatch, name: str, most: int) -> None:
    signed: list[bytes] = []
    real = Signer._signed

    def counted(signer: Signer, owner: bytes, kind: int, ttl_s: int, rdata: tuple[bytes, ...], now_s: int) -> bytes:
        signed.append(owner)
        return real(signer, owner, kind, ttl_s, rdata, now_s)

    monkeypatch.setattr(Signer, "_signed", counted)
    made = answerer(replace(SETTINGS, rate=RATE), signed=True)
    subnets = [str(ip_network((11 << 24 | number << 16, 24))) for number in range(60)]
    packets = [
        query(name.format(chr(97 + number // 8) + str(2 + number % 8)), dnssec=True, subnet=subnet).to_wire()
        for number, subnet in enumerate(subnets)
    ]
    whole = [each for each in (made.answer(packet, RESOLVER, NOW_S) for packet in packets) if each and not each[2] & 2]
    assert len(whole) == most
    assert 0 < len(signed) <= len(whole) + 1  # the SOA beside a denial is signed once


def test_tcp_is_not_limited() -> None:
    made = answerer(replace(SETTINGS, rate=RATE))
    assert all(each and not each[2] & 2 for each in answers(made, query("play.cdn.example"), stream=True))


def cookie_of(made: Answerer, client: bytes = b"12345678") -> bytes:
    asked = query("cdn.example", "SOA", options=[option(10, client)])
    found = ask(made, asked, stream=True)
    return b"".join(each.to_wire() or b"" for each in found.options if each.otype == 10)


def test_who_shows_our_cookie_is_not_limited() -> None:
    made = answerer(replace(SETTINGS, rate=RATE))
    cookie = cookie_of(made)
    assert cookie[:8] == b"12345678"
    assert len(cookie) == 24
    good = query("play.cdn.example", options=[option(10, cookie)])
    assert all(each and not each[2] & 2 for each in answers(made, good))
    forged = query("play.cdn.example", options=[option(10, cookie[:-1] + bytes((cookie[-1] ^ 1,)))])
    assert sum(each is not None and not each[2] & 2 for each in answers(made, forged)) == 5


def test_cookies_are_for_one_address_and_an_hour() -> None:
    jar = Cookies(bytes(32))
    given_to = jar.fresh(b"client--", VICTIM, 1000.0)
    assert jar.good(given_to, VICTIM, 1000.0 + LIFETIME_S)
    assert not jar.good(given_to, VICTIM, 1001.0 + LIFETIME_S)
    assert not jar.good(given_to, NEIGHBOUR, 1000.0)
    assert not jar.good(given_to, VICTIM, 999.0 - AHEAD_S)
    assert not jar.good(b"clientXX" + given_to[8:], VICTIM, 1000.0)
    assert not jar.good(b"client--", VICTIM, 1000.0)
    assert not Cookies(b"\1" * 32).good(given_to, VICTIM, 1000.0)


@pytest.mark.parametrize("exempt", ["nonsense", "192.0.2.1/24"])
def test_exempt_networks_must_be_networks(exempt: str) -> None:
    with pytest.raises(ValueError, match=exempt):
        RateSettings(exempt=(exempt,))
