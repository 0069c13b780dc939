"""A world for bench.dns, seeded: sites and appliances, prefixes of ISPs with their rankings, titles and who holds them, and queries."""

from __future__ import annotations

import ipaddress
import random
import struct
from typing import NamedTuple

import numpy as np

from bench import prefixes
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.dns import wire
from nearcast.steering.routes import Table
from nearcast.steering.view import View

ZONE = "cdn.example"
SITES, APPLIANCES_EACH, ISPS, SITES_RANKED = 100, 3, 500, 3
TITLES = 1000
HELD = 0.3
HELD_MAX = 6_000
"""Titles that one appliance holds at most, of many."""
IPV6_SHARE = 0.2
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


class World(NamedTuple):
    """``rankings``: of each prefix its sites by index, best first."""

    sites: tuple[Site, ...]
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
    rankings: list[tuple[int, ...]]
    titles: list[str]
    view: View


def _networks(seed: int, count: int) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    source = np.random.default_rng(seed)
    found: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    many = int(count * IPV6_SHARE)
    for family, wanted in ((4, count - many), (6, many)):
        numbers, lengths = prefixes.generate(source, wanted, family)
        shift = 0 if family == 4 else 64
        found += [ipaddress.ip_network((int(number) << shift, int(length))) for number, length in zip(numbers, lengths, strict=True)]
    return found


def make(seed: int, count: int, titles: int = TITLES) -> World:
    chance = random.Random(seed)
    sites = tuple(Site(name=f"s{index}", zone=f"z{index}") for index in range(SITES))
    networks = _networks(seed, count)
    isps = [tuple(chance.sample(range(SITES), SITES_RANKED)) for _ in range(ISPS)]
    names = ["t_" + "".join(chance.choice(_LETTERS) for _ in range(16)) for _ in range(titles)]
    appliances = tuple(_appliance(site, number) for site in range(SITES) for number in range(APPLIANCES_EACH))
    if titles * HELD > HELD_MAX:
        held = {each.id: dict.fromkeys(chance.sample(names, HELD_MAX), 10) for each in appliances}
    else:
        held = {each.id: {title: 10 for title in names if chance.random() < HELD} for each in appliances}
    view = View(HealthSnapshot(version=1, published_s=0.0, appliances=appliances), held)
    return World(sites, networks, [chance.choice(isps) for _ in networks], names, view)


def _appliance(site: int, number: int) -> ApplianceHealth:
    addresses = (
        str(ipaddress.IPv4Address(0xC6120000 | site << 8 | number)),
        str(ipaddress.IPv6Address(0x20010DB8 << 96 | site << 16 | number)),
    )
    return ApplianceHealth(id=f"s{site}-{number}", site=f"s{site}", address="", addresses=addresses, limit_bps=1e10)


def table(world: World) -> Table:
    told = [
        Announcement(prefix=str(network), site=f"s{site}", order=order)
        for network, ranking in zip(world.networks, world.rankings, strict=True)
        for order, site in enumerate(ranking)
    ]
    default = [Announcement(prefix=prefix, site="s0") for prefix in ("0.0.0.0/0", "::/0")]
    return Table.of((), world.sites, [*told, *default], version=1)


def queries(world: World, seed: int, count: int, *, names: int = 0, signed: bool = False) -> list[bytes]:
    """Clients anywhere in the prefixes, told as /24 or /56; half of the names in mixed case; titles by Zipf's law.

    ``names``: only so many of the titles, and all prefixes alike (what the peers can be configured with); 0: all.
    """
    chance = random.Random(seed)
    titles = world.titles[:names] if names else world.titles
    weights = [1 / rank for rank in range(1, len(titles) + 1)]
    asked = chance.choices([f"{title}.titles.{ZONE}" for title in titles], weights, k=count)
    found = []
    for title in asked:
        name = f"play.{ZONE}" if chance.random() < 0.3 else title
        owner = wire.name("".join(chance.choice((each, each.upper())) for each in name) if chance.random() < 0.5 else name)
        if chance.random() < 0.5:
            owner = bytes(each ^ 32 if 97 <= each <= 122 and chance.random() < 0.5 else each for each in owner)
        network = chance.choice(world.networks)
        number = int(network.network_address) + chance.randrange(network.num_addresses)
        width, told = (32, 24) if network.version == 4 else (128, 56)
        subnet = (number >> (width - told)).to_bytes(told // 8, "big")
        option = struct.pack("!HHHBB", 8, 4 + len(subnet), 1 if network.version == 4 else 2, told, 0) + subnet
        kind = wire.A if chance.random() < 0.7 else wire.AAAA
        opt = b"\0" + struct.pack("!HHIH", wire.OPT, 1232, 0x8000 if signed else 0, len(option)) + option
        found.append(struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 1) + owner + struct.pack("!HH", kind, wire.IN) + opt)
    return found
