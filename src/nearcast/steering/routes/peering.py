"""What ExaBGP is told to take the sessions of the ISPs' routers, and what the configuration must say for it. Pure.

ExaBGP 5 opens no session itself (``passive``), announces nothing, and writes each message as a line of JSON to its helper, which is
but a ``cat`` into our pipe. The graceful-restart capability is there so that routers send an End-of-RIB (RFC 4724).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence

from nearcast.base.config import Unfitting
from nearcast.steering.routes.base import CONFIG
from nearcast.steering.routes.geographic import GEOGRAPHY
from nearcast.steering.routes.settings import BgpSettings, Isp

HOLD_S = 9
"""A router silent for so long is gone (RFC 4271 asks for a third of it between keepalives); one with a shorter time has its way."""
RESTART_S = 120
PIPE = "NEARCAST_BGP_PIPE"
OUR_SOURCES = (CONFIG, GEOGRAPHY)


def check_isps(isps: Sequence[Isp], bgp: BgpSettings, sites: Collection[str]) -> None:
    """Raises Unfitting for the first mistake in ``[[steering.isps]]`` and ``[steering.bgp]``."""
    _check_listen(bgp)
    owners: dict[str, str] = {}
    names: set[str] = set()
    for index, isp in enumerate(isps):
        if isp.name in names:
            raise Unfitting(("isps", index, "name"), f"there are two ISPs named {isp.name}", "give each a name of its own")
        names.add(isp.name)
        if isp.name in OUR_SOURCES:
            raise Unfitting(("isps", index, "name"), f"{isp.name} is what our own routes go by", "name the ISP as it calls itself")
        if isp.asn == bgp.asn:
            raise Unfitting(("isps", index, "asn"), f"{isp.asn} is our own number", "sessions are between two systems: see [steering.bgp]")
        for site in isp.sites:
            if site not in sites:
                raise Unfitting(("isps", index, "sites"), f"there is no site {site!r}", f"there are: {', '.join(sites)}")
        _check_allow(index, isp)
        for router in isp.routers:
            _check_router(index, router, bgp)
            if router in owners:
                raise Unfitting(("isps", index, "routers"), f"{router} is a router of {owners[router]} already", "name it once")
            owners[router] = isp.name


def _check_listen(bgp: BgpSettings) -> None:
    versions = set()
    for index, each in enumerate(bgp.listen):
        try:
            address = ipaddress.ip_address(each)
        except ValueError as error:
            raise Unfitting(("bgp", "listen", index), f"{each!r} is no IP address", 'as "192.0.2.1"') from error
        if address.is_unspecified:
            raise Unfitting(("bgp", "listen", index), f"{each} is every address", "name the one that routers speak to")
        if address.is_multicast or "%" in each:
            raise Unfitting(
                ("bgp", "listen", index), f"{each} can not be listened at", "name an address of this machine that routers speak to"
            )
        if address.version in versions:
            raise Unfitting(("bgp", "listen", index), f"there are two IPv{address.version} addresses", "leave one of them out")
        versions.add(address.version)
    _check_router_id(bgp)


def _check_router_id(bgp: BgpSettings) -> None:
    """Four bytes, written as an IPv4 address, and not zero (RFC 6286)."""
    if bgp.asn and not router_id(bgp):
        raise Unfitting(("bgp", "router_id"), "there is no IPv4 address to take it from", 'as router_id = "192.0.2.1"')
    if not bgp.router_id:
        return
    try:
        fits = bool(int(ipaddress.IPv4Address(bgp.router_id)))
    except ValueError:
        fits = False
    if not fits:
        raise Unfitting(("bgp", "router_id"), f"{bgp.router_id!r} is no router id", 'an IPv4 address, as router_id = "192.0.2.1"')


def _check_allow(index: int, isp: Isp) -> None:
    for each in isp.allow:
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise Unfitting(("isps", index, "allow"), f"{each!r} is no prefix: {error}", 'as allow = ["203.0.113.0/24"]') from error


def _check_router(index: int, router: str, bgp: BgpSettings) -> None:
    try:
        address = ipaddress.ip_address(router)
    except ValueError as error:
        raise Unfitting(("isps", index, "routers"), f"{router!r} is no IP address", 'as routers = ["192.0.2.1"]') from error
    if address.is_unspecified or address.is_multicast or "%" in router:
        raise Unfitting(
            ("isps", index, "routers"), f"{router} is an address that no router has", "name the one that it opens its session from"
        )
    plain = getattr(address, "ipv4_mapped", None) or address
    if router != str(plain):  # what comes from it is known by this spelling
        raise Unfitting(("isps", index, "routers"), f"{router} is not how its address is spelt", f"write it as {plain}")
    if bgp.asn and not any(ipaddress.ip_address(each).version == address.version for each in bgp.listen):
        raise Unfitting(("isps", index, "routers"), f"{router} finds no IPv{address.version} address in [steering.bgp] listen", "add one")


def router_id(bgp: BgpSettings) -> str:
    """As it is set, else the first IPv4 address of ``listen``; empty where there is none."""
    return bgp.router_id or next((each for each in bgp.listen if ":" not in each), "")


def configuration(bgp: BgpSettings, isps: Sequence[Isp]) -> str:
    """ExaBGP's configuration file."""
    lines = ["process collector {", f"  run /bin/sh -c cat>${PIPE};", "  encoder json;", "}"]
    for isp in isps:
        for router in isp.routers:
            lines += ["", f"neighbor {router} {{", *(f"  {each}" for each in _neighbor(bgp, isp, router)), "}"]
    return "\n".join(lines) + "\n"


def _neighbor(bgp: BgpSettings, isp: Isp, router: str) -> list[str]:
    local = next(each for each in bgp.listen if (":" in each) == (":" in router))
    return [
        f"description {isp.name};",
        f"local-address {local};",
        f"listen {bgp.port};",
        f"router-id {router_id(bgp)};",
        f"local-as {bgp.asn};",
        f"peer-as {isp.asn};",
        *([f'md5-password "{isp.password}";'] if isp.password else []),
        "passive true;",
        f"hold-time {HOLD_S};",
        "adj-rib-in false;",
        "family { ipv4 unicast; ipv6 unicast; }",
        f"capability {{ asn4 enable; route-refresh enable; graceful-restart {RESTART_S}; }}",
        "api { processes [ collector ]; neighbor-changes; receive { parsed; update; keepalive; } }",
    ]


def environment(pipe: str, user: str) -> dict[str, str]:
    """ExaBGP's own settings. It goes on as ``user``, whom we are already: another could not read our Python, nor write to our pipe."""
    return {
        PIPE: pipe,
        "exabgp_daemon_user": user,
        "exabgp_api_ack": "false",  # its helper reads no answers
        "exabgp_api_cli": "false",
        "exabgp_api_respawn": "false",
        "exabgp_api_terminate": "true",
        "exabgp_log_level": "ERROR",
        "exabgp_log_destination": "stdout",
        "exabgp_tcp_bind": "",
    }
