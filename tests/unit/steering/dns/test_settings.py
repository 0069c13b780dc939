"""Mistakes in the configuration are told with the line, the option and what to do, before anything starts."""

from __future__ import annotations

import pytest

from nearcast.base.config import BadConfiguration, parse
from nearcast.model.health import ApplianceHealth
from nearcast.steering.dns.settings import DnsSettings
from nearcast.steering.dns.zone import Zone
from nearcast.system.settings import Settings

DNS = "[steering.dns]\n"
ZONE = DNS + 'zone = "cdn.example"\n'
SITE = '[[steering.sites]]\nname = "a"\ndoors = ["{}"]\n[steering]\nroutes = []\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        (DNS + 'zone = "*.example"', 2, "zone", "'*' is no label"),
        (DNS + 'zone = "."', 2, "zone", "root"),
        (DNS + 'zone = "a..b"', 2, "zone", "empty"),
        (DNS + 'zone = "köln.example"', 2, "zone", "xn--kln-sna.example"),
        (DNS + f'zone = "{"a" * 64}.example"', 2, "zone", "64"),
        (DNS + f'zone = "{".".join(["a" * 60] * 4)}"', 2, "zone", "too long"),
        (ZONE + "listen = []", 3, "listen", "no address"),
        (ZONE + 'listen = ["x"]', 3, "listen", "'x'"),
        (ZONE + 'listen = ["::"]', 3, "listen", "name_servers"),
        (ZONE + 'mailbox = "@"', 3, "mailbox", "'@'"),
        (ZONE + 'mailbox = "a b"', 3, "mailbox", "'a b'"),
        (ZONE + 'mailbox = "a@b@c"', 3, "mailbox", "'b@c'"),
        (ZONE + 'mailbox = ""', 3, "mailbox", "''"),
        (ZONE + '[steering.dns.rate]\nexempt = ["10.0.0.1/8"]', 4, "exempt", "10.0.0.1/8"),
        (ZONE + '[steering.dns.static]\n"a b;c" = ["192.0.2.1"]', 4, "static.a b;c", "'a b;c' is no label"),
        (ZONE + '[steering.dns.static]\nplay = ["192.0.2.1"]', 4, "static.play", "meaning of its own"),
        (ZONE + '[steering.dns.static]\n"x.play" = ["192.0.2.1"]', 4, "static.x.play", "meaning of its own"),
        (ZONE + '[steering.dns.static]\n"www.other.example." = ["192.0.2.1"]', 4, "static.www.other.example.", "not in the zone"),
        (ZONE + '[steering.dns.static]\nwww = ["192.0.2.1"]\nftp = ["192.0.2"]', 5, "static.ftp", "'192.0.2'"),
        (ZONE + '[steering.dns.static]\nwww = ["224.0.0.1"]', 4, "static.www", "'224.0.0.1'"),
        (
            ZONE + '[[steering.dns.name_servers]]\nname = "ns1"\naddresses = ["192.0.2.1"]\n[[steering.dns.name_servers]]\nname = "ns2"',
            6,
            "name_servers[1]",
            "ns2",
        ),
        (ZONE + '[[steering.dns.name_servers]]\nname = "ns1"\naddresses = ["x"]', 5, "name_servers[0].addresses", "'x'"),
        (
            ZONE + '[[steering.dns.name_servers]]\nname = "sites"\naddresses = ["192.0.2.1"]',
            4,
            "name_servers[0].name",
            "meaning of its own",
        ),
        (
            ZONE + '[[steering.dns.name_servers]]\nname = "ns.other.example."\naddresses = ["192.0.2.1"]',
            5,
            "name_servers[0]",
            "another zone",
        ),
        (SITE.format("x"), 3, "sites[0].doors", "'x'"),
        (SITE.format("ff02::1"), 3, "sites[0].doors", "'ff02::1'"),
    ],
)
def test_each_mistake_has_its_line_its_option_and_a_hint(text: str, line: int, key: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        parse(Settings, text)
    (mistake,) = caught.value.mistakes
    assert mistake.line == line, mistake
    assert key in mistake.key
    assert said in mistake.text + mistake.hint
    assert mistake.hint
    assert caught.value.code == "NC0101"


def test_what_passes_is_what_a_zone_can_be_made_of() -> None:
    longest = ".".join(["a" * 59, "b" * 59, "c" * 58])
    for text in (
        f'zone = "{longest}"',
        'zone = "CDN.Example."\nmailbox = "dns.team@example.org"\n[steering.dns.static]\n_a-b = ["::1"]\n"x.y" = []',
        'zone = "cdn.example"\nlisten = ["::"]\nname_servers = [{ name = "ns", addresses = ["192.0.2.1"] }]',
        'zone = ""\nmailbox = "@"',
    ):
        settings = parse(Settings, DNS + text).steering
        if settings.dns.zone:
            zone = Zone(settings.dns, settings.sites)
            zone.with_appliances([ApplianceHealth(id="x" * 63, site="a", address="", addresses=("192.0.2.9",))])
    assert DnsSettings().zone == ""
