"""What ExaBGP and BIRD are told, and what is made of their answers."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.base.config import BadConfiguration, Unfitting, parse
from nearcast.base.processes import user_name
from nearcast.steering.anycast import bfd, check, peering, relay
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.settings import AnycastCheck, AnycastSettings, Router

EBGP = Router(address="192.0.2.1", asn=64500, local="192.0.2.2", next_hop="2001:db8::2", password="s3cret", bfd=True)
IBGP = Router(address="2001:db8::9", asn=64512, local="2001:db8::2", hops=3, bfd=True, ttl_security=True)
SETTINGS = AnycastSettings(asn=64512, addresses=("198.51.100.53/24", "2001:db8:53::53/48"), routers=(EBGP, IBGP))


def test_every_router_is_told_what_it_can_reach() -> None:
    assert peering.commands(SETTINGS, Offer(med=100, prepends=0)) == [
        "neighbor 192.0.2.1 announce route 198.51.100.0/24 next-hop 192.0.2.2 med 100",
        "neighbor 192.0.2.1 announce route 2001:db8:53::/48 next-hop 2001:db8::2 med 100",
        "neighbor 2001:db8::9 announce route 2001:db8:53::/48 next-hop 2001:db8::2 med 100",
    ]
    prepended = peering.commands(SETTINGS, Offer(med=300, prepends=2))
    assert prepended[0].endswith("med 300 as-path [ 64512 64512 64512 ]")
    assert prepended[2].endswith("med 300"), "inside our own AS its number is a loop"
    assert peering.commands(SETTINGS, None)[0] == "neighbor 192.0.2.1 withdraw route 198.51.100.0/24"


def test_the_relay_takes_back_what_was_announced() -> None:
    for offer in (Offer(med=1, prepends=0), Offer(med=7, prepends=3)):
        assert [relay.withdrawal(each) for each in peering.commands(SETTINGS, offer)] == peering.commands(SETTINGS, None)


def test_exabgps_configuration() -> None:
    text = peering.configuration(SETTINGS, ["/usr/bin/python3", "/x/relay.py"])
    assert "run /usr/bin/python3 /x/relay.py;" in text
    first, second = text.split("neighbor ")[1:]
    assert 'md5-password "s3cret";' in first
    assert "outgoing-ttl 255;" in first
    assert "incoming-ttl" not in first
    assert "ipv4 unicast;" in first
    assert "incoming-ttl 253;" in second
    assert "ipv4 unicast;" not in second
    with pytest.raises(peering.BadPath):
        peering.configuration(SETTINGS, ["/usr/bin/python3", "/my folder/relay.py"])


def test_what_exabgp_says() -> None:
    assert [peering.answer(each) for each in ("done\n", "error\n", "{}\n")] == ["done", "error", "other"]
    line = '{"type": "state", "neighbor": {"address": {"local": "a", "peer": "192.0.2.1"}, "state": "up"}}'
    assert peering.session_state(line) == ("192.0.2.1", True)
    assert peering.session_state(line.replace('"up"', '"down"')) == ("192.0.2.1", False)
    for other in ("", "done", "[]", '{"type": "state"}', '{"type": "notification"}', '{"type": "state", "neighbor": 5}'):
        assert peering.session_state(other) is None


def test_bird_takes_what_is_written(tmp_path: Path) -> None:
    try:
        program = bfd.find_program()
    except bfd.BirdMissing:
        pytest.skip("there is no BIRD here: apt-get install --no-install-recommends bird2")
    path = tmp_path / "bird.conf"
    path.write_text(bfd.configuration(SETTINGS))
    done = subprocess.run([program, "-p", "-c", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "multihop yes" in path.read_text()


def test_what_bird_says_of_its_sessions() -> None:
    text = """nearcast:
IP address                Interface  State      Since         Interval  Timeout
10.0.1.1                  e0         Up         16:53:49.386    0.100    0.300
2001:db8::9               ---        Down       16:53:50.298    1.000    0.000
 192.0.2.1                 e1         Init       16:53:50.298    1.000    0.000
"""
    assert bfd.sessions(text) == {"10.0.1.1": True, "2001:db8::9": False, "192.0.2.1": False}
    assert bfd.sessions("") == {}


def test_dns_questions_and_answers() -> None:
    asked = check.question(258, "cdn.example.")
    assert asked == b"\x01\x02\0\0\0\1\0\0\0\0\0\0\3cdn\7example\0\0\6\0\1"
    good = b"\x01\x02\x84\0" + bytes(8)
    assert check.fault(258, good) == ""
    assert "error 5" in check.fault(258, b"\x01\x02\x84\5" + bytes(8))
    assert check.fault(259, good)
    assert check.fault(258, asked), "a question is no answer"
    assert check.fault(258, b"\1")


CONFIGURED = """[anycast]
asn = 64512
addresses = ["192.0.2.53/24"]
[[anycast.routers]]
address = "10.0.0.1"
asn = 64500
local = "10.0.0.2"
"""


@pytest.mark.parametrize(
    ("changed", "to", "said"),
    [
        ("192.0.2.53/24", "192.0.2.53/0", "whole internet"),
        ("192.0.2.53/24", "door.example", "no address"),
        ("192.0.2.53/24", "2001:db8::1", "no router is told of 2001:db8::1"),
        ('addresses = ["192.0.2.53/24"]', "", "there are no addresses"),
        ('local = "10.0.0.2"', 'local = "2001:db8::2"', "cannot reach"),
        ('local = "10.0.0.2"', 'local = "10.0.0.2"\nnext_hop = "10.0.0.3"', "other family"),
        ('local = "10.0.0.2"', 'local = "10.0.0.2"\npassword = "a\\"b"', "letters"),
        ("asn = 64512\n", "asn = 64512\nsteps = [0.9, 0.8]\n", "do not rise"),
        ("asn = 64512\n", 'asn = 64512\nrouter_id = "2001:db8::2"\n', "no IPv4 address"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(changed: str, to: str, said: str) -> None:
    from nearcast.system.settings import Settings

    assert parse(Settings, CONFIGURED).anycast.asn == 64512
    with pytest.raises(BadConfiguration) as told:
        parse(Settings, CONFIGURED.replace(changed, to))
    assert said in str(told.value)


def test_a_router_is_known_by_one_spelling() -> None:
    written = Router(address="2001:DB8:0::9", asn=64512, local="2001:db8:0:0::2", next_hop="192.0.2.2")
    assert (written.address, written.local, written.next_hop) == ("2001:db8::9", "2001:db8::2", "192.0.2.2")
    line = '{"type": "state", "neighbor": {"address": {"local": "2001:db8::2", "peer": "2001:db8::9"}, "state": "up"}}'
    assert peering.session_state(line) == (written.address, True)
    with pytest.raises(Unfitting, match="twice"):
        replace(SETTINGS, routers=(IBGP, replace(IBGP, address="2001:DB8::9")))


def test_exabgp_is_told_who_we_are_even_where_we_have_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_name() == pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert user_name() == "nobody"


def test_checks_that_make_no_sense() -> None:
    with pytest.raises(Unfitting, match="no URL"):
        AnycastCheck(target="127.0.0.1:80")
    with pytest.raises(Unfitting, match="no address with its port"):
        AnycastCheck(kind="dns", target="dns.example:53", name="x")
    with pytest.raises(Unfitting, match="asks for a name"):
        AnycastCheck(kind="dns", target="[::1]:53")
    with pytest.raises(Unfitting, match="twice"):
        replace(SETTINGS, routers=(EBGP, EBGP))
