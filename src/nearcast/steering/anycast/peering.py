"""What ExaBGP is told: its configuration, the commands that announce and withdraw, and what its answers mean. Pure.

ExaBGP 5: https://github.com/Exa-Networks/exabgp/wiki. Each command is acknowledged by a line `done` or `error`; the state of sessions
comes as JSON (`neighbor-changes`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from nearcast.base.errors import BadInput
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.settings import AnycastSettings, Router, hop_for

TTL = 255
"""What a packet to a router on the same link is sent with, whether it asks for that (RFC 5082) or not."""
Answer = Literal["done", "error", "other"]


class BadPath(BadInput):
    """A path holds letters that ExaBGP's configuration cannot carry."""

    code = "NC3082"
    cure = "install Nearcast at a path without spaces, quotation marks, and ; { } [ ]"


def configuration(settings: AnycastSettings, helper: Sequence[str]) -> str:
    """ExaBGP's configuration file. ``helper``: the command line of its API process. Raises BadPath."""
    for each in helper:
        if any(letter in each for letter in " \t\"';{}[]#"):
            raise BadPath(f"{each!r} cannot stand in a configuration of ExaBGP")
    lines = ["process nearcast {", f"  run {' '.join(helper)};", "  encoder json;", "}"]
    for router in settings.routers:
        lines += [f"neighbor {router.address} {{", *(f"  {each};" for each in _session(settings, router)), *_api(router), "}"]
    return "\n".join(lines) + "\n"


def _session(settings: AnycastSettings, router: Router) -> list[str]:
    said = [
        f"router-id {settings.identity}",
        f"local-address {router.local}",
        f"local-as {settings.asn}",
        f"peer-as {router.asn}",
        f"hold-time {router.hold_s}",
        f"connect {router.port}",
    ]
    said.append(f"outgoing-ttl {TTL if router.hops == 1 else router.hops}")
    if router.ttl_security:
        said.append(f"incoming-ttl {TTL - router.hops + 1}")
    if router.password:
        said.append(f'md5-password "{router.password}"')
    return said


def _api(router: Router) -> list[str]:
    families = [f"    ipv{version} unicast;" for version in (4, 6) if hop_for(router, version)]
    return ["  family {", *families, "  }", "  api {", "    processes [ nearcast ];", "    neighbor-changes;", "  }"]


def commands(settings: AnycastSettings, offer: Offer | None) -> list[str]:
    """The commands that bring every router to ``offer`` (None: withdrawn). To say them again changes nothing."""
    return [
        _route(settings, router, ipaddress.ip_interface(address), offer)
        for router in settings.routers
        for address in settings.addresses
        if hop_for(router, ipaddress.ip_interface(address).version)
    ]


def _route(
    settings: AnycastSettings, router: Router, service: ipaddress.IPv4Interface | ipaddress.IPv6Interface, offer: Offer | None
) -> str:
    if offer is None:
        return f"neighbor {router.address} withdraw route {service.network}"
    said = f"neighbor {router.address} announce route {service.network} next-hop {hop_for(router, service.version)} med {offer.med}"
    # Inside our own AS the path must not hold our number (RFC 4271, 9.1.2: a loop); there MED alone tells.
    if offer.prepends and router.asn != settings.asn:
        said += f" as-path [ {' '.join([str(settings.asn)] * (1 + offer.prepends))} ]"
    return said


def answer(line: str) -> Answer:
    """What a line of ExaBGP is."""
    word = line.strip()
    return "done" if word == "done" else "error" if word == "error" else "other"


def session_state(line: str) -> tuple[str, bool] | None:
    """Of a `neighbor-changes` line the router's address, and whether its session is up; None of any other line."""
    try:
        event: dict[str, Any] = msgspec.json.decode(line)
        if event.get("type") != "state":
            return None
        neighbor = event["neighbor"]
        return str(neighbor["address"]["peer"]), neighbor["state"] == "up"
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError):
        return None
