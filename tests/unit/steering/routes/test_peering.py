"""What the configuration says of ISPs is checked before anything runs, and ExaBGP is told no more than that."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nearcast.base.config import Unfitting
from nearcast.steering.routes import peering
from nearcast.steering.routes.settings import BgpSettings, Isp
from tests.unit.steering.routes.telling import ISP, OURS

BGP = BgpSettings(asn=OURS, listen=("192.0.2.1", "2001:db8::1"), port=1790)


def test_each_router_has_a_session_of_its_own_that_it_opens() -> None:
    text = peering.configuration(BGP, (ISP, Isp(name="north", asn=64777, routers=("2001:db8::77",), password="s3cret")))
    assert text.count("passive true;") == 3
    north = text[text.index("neighbor 2001:db8::77") :]
    for said in (
        "local-address 2001:db8::1;",
        "peer-as 64777;",
        "local-as 64500;",
        "router-id 192.0.2.1;",
        "listen 1790;",
        'md5-password "s3cret";',
    ):
        assert said in north
    assert "md5-password" not in text[: text.index("neighbor 2001:db8::77")]


@pytest.mark.parametrize(
    ("isps", "bgp", "path", "said"),
    [
        ((replace(ISP, allow=("20.0.0.1/12",)),), BGP, ("isps", 0, "allow"), "no prefix"),
        ((replace(ISP, routers=("riverbank",)),), BGP, ("isps", 0, "routers"), "no IP address"),
        ((replace(ISP, sites=("nowhere",)),), BGP, ("isps", 0, "sites"), "no site 'nowhere'"),
        ((replace(ISP, asn=OURS),), BGP, ("isps", 0, "asn"), "our own number"),
        ((ISP, replace(ISP, routers=())), BGP, ("isps", 1, "name"), "two ISPs named riverbank"),
        ((ISP, replace(ISP, name="north")), BGP, ("isps", 1, "routers"), "127.0.0.11 is a router of riverbank"),
        ((replace(ISP, routers=("::1",)),), replace(BGP, listen=("192.0.2.1",)), ("isps", 0, "routers"), "no IPv6 address"),
        ((replace(ISP, name="config"),), BGP, ("isps", 0, "name"), "what our own routes go by"),
        ((replace(ISP, name="geography"),), BGP, ("isps", 0, "name"), "what our own routes go by"),
        ((replace(ISP, routers=("2001:DB8::1",)),), BGP, ("isps", 0, "routers"), "write it as 2001:db8::1"),
        ((replace(ISP, routers=("2001:db8:0:0::1",)),), BGP, ("isps", 0, "routers"), "write it as 2001:db8::1"),
        ((replace(ISP, routers=("::ffff:192.0.2.7",)),), BGP, ("isps", 0, "routers"), "write it as 192.0.2.7"),
        ((replace(ISP, routers=("fe80::1%eth0",)),), BGP, ("isps", 0, "routers"), "no router has"),
        ((replace(ISP, routers=("0.0.0.0",)),), BGP, ("isps", 0, "routers"), "no router has"),
        ((replace(ISP, routers=("ff02::1",)),), BGP, ("isps", 0, "routers"), "no router has"),
        ((), replace(BGP, router_id="hello"), ("bgp", "router_id"), "no router id"),
        ((), replace(BGP, router_id="::1"), ("bgp", "router_id"), "no router id"),
        ((), replace(BGP, router_id="0.0.0.0"), ("bgp", "router_id"), "no router id"),
        ((), replace(BGP, listen=("fe80::1%eth0",)), ("bgp", "listen", 0), "can not be listened at"),
        ((), replace(BGP, listen=("224.0.0.1",)), ("bgp", "listen", 0), "can not be listened at"),
        ((), replace(BGP, listen=("0.0.0.0",)), ("bgp", "listen", 0), "every address"),
        ((), replace(BGP, listen=("here",)), ("bgp", "listen", 0), "no IP address"),
        ((), replace(BGP, listen=("192.0.2.1", "192.0.2.2")), ("bgp", "listen", 1), "two IPv4"),
        ((), replace(BGP, listen=("::1",)), ("bgp", "router_id"), "no IPv4 address"),
    ],
)
def test_mistakes_are_told_with_their_place(isps: tuple[Isp, ...], bgp: BgpSettings, path: tuple[str | int, ...], said: str) -> None:
    with pytest.raises(Unfitting, match=said) as caught:
        peering.check_isps(isps, bgp, ("rack", "exchange"))
    assert caught.value.path == path


def test_what_fits_passes() -> None:
    peering.check_isps((ISP,), BGP, ("rack", "exchange"))
    peering.check_isps((), BgpSettings(), ())
