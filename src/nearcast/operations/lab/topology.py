"""An internet as one TOML file tells of it: who is in it, and what is to be tried there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from nearcast.base import config
from nearcast.base.config import Unfitting

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,11}$")]
"""A node and the interface that leads to it are called so; Linux takes 15 letters for an interface."""
Asn = Annotated[int, Meta(ge=1, le=4_294_967_295)]
NODES_MAX = 48
"""More would be a mistake in a file, not an experiment: each router and each host is processes on this machine."""
DEFAULT_ROUTE_BITS = 8
"""Blocks shorter than this would cover other networks of the lab."""


class BadTopology(config.BadConfiguration):
    """The file of a lab has mistakes; all of them are told at once."""

    code = "NC0266"
    cure = "correct the lines named; docs/operating/lab.md tells what such a file has, and `nearcast lab list` names two that work"


class Exchange(Struct, frozen=True, kw_only=True):
    """A switched network at which ISPs and our sites meet."""

    name: Annotated[Name, Meta(description="Name of the exchange.")]


class Isp(Struct, frozen=True, kw_only=True):
    """An ISP: one BIRD router with its prefixes."""

    name: Annotated[Name, Meta(description="Name of the ISP, as the system's configuration has it.")]
    asn: Annotated[Asn, Meta(description="Number of its autonomous system.")]
    exchanges: Annotated[tuple[Name, ...], Meta(min_length=1, description="Where it has a port, the cheapest first.")]
    prefixes: Annotated[tuple[str, ...], Meta(min_length=1, description="Its viewers' networks, as it announces them.")]
    sites: Annotated[tuple[Name, ...], Meta(description="The sites that serve what it tells our collector, best first.")] = ()


class Site(Struct, frozen=True, kw_only=True):
    """A machine of ours at an exchange or in an ISP's network."""

    name: Annotated[Name, Meta(description="Name of the site.")]
    at: Annotated[Name, Meta(description="The exchange or the ISP where it stands.")]
    appliances: Annotated[int, Meta(ge=0, le=4, description="Edges that run there.")] = 1
    limit_bps: Annotated[float, Meta(ge=0, description="What each of them can send. 0: nobody knows.")] = 0.0


class Viewer(Struct, frozen=True, kw_only=True):
    """Somebody behind a line of an ISP. ``rtt_ms`` is for the way there and back together; 0 of anything: as fast as this machine."""

    name: Annotated[Name, Meta(description="Name of the viewer.")]
    isp: Annotated[Name, Meta(description="Whose line it is.")]
    address: Annotated[str, Meta(description="IPv4 address, in one of the ISP's prefixes.")]
    down_bps: Annotated[float, Meta(ge=0, le=1e10, description="Rate to the viewer.")] = 0.0
    up_bps: Annotated[float, Meta(ge=0, le=1e10, description="Rate from the viewer.")] = 0.0
    rtt_ms: Annotated[float, Meta(ge=0, le=2000, description="Time that the line adds, there and back.")] = 0.0
    jitter_ms: Annotated[float, Meta(ge=0, le=500, description="How far each way may be off half of that.")] = 0.0
    loss: Annotated[float, Meta(ge=0, le=0.5, description="Share of packets lost, each way.")] = 0.0

    @property
    def delayed(self) -> bool:
        return bool(self.rtt_ms or self.jitter_ms or self.loss)


class Ours(Struct, frozen=True, kw_only=True):
    """Our own network."""

    at: Annotated[Name, Meta(description="The exchange at which the main host stands: gateway, collector and name server.")]
    asn: Annotated[Asn, Meta(description="Number of our autonomous system.")] = 64500
    anycast: Annotated[str, Meta(description="The address that every site announces.")] = "192.0.2.53"
    zone: Annotated[str, Meta(description="The zone of our name server.")] = "cdn.test"
    film_s: Annotated[int, Meta(ge=0, le=600, description="Length of the film that is ingested. 0: the system is not started.")] = 0
    system: Annotated[str, Meta(description="Further lines of the system's configuration.")] = ""


class Scenario(Struct, frozen=True, kw_only=True):
    """Something to try, and what it must reach."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="What `nearcast lab run` calls it.")]
    about: Annotated[str, Meta(description="What happens, in one sentence.")]
    limit: Annotated[float, Meta(ge=0, description="The most that the measured figure may be.")]
    unit: Annotated[str, Meta(description="Unit of figure and limit.")] = "s"
    repeats: Annotated[int, Meta(ge=1, le=20, description="So often; the median counts.")] = 1


class Topology(Struct, frozen=True, kw_only=True):
    """The whole file."""

    ours: Ours
    exchanges: Annotated[tuple[Exchange, ...], Meta(min_length=1)]
    isps: Annotated[tuple[Isp, ...], Meta(min_length=1)]
    sites: tuple[Site, ...] = ()
    viewers: tuple[Viewer, ...] = ()
    scenarios: tuple[Scenario, ...] = field(default=())

    def __post_init__(self) -> None:
        for mistake in mistakes(self):
            raise mistake

    def isp(self, name: str) -> Isp:
        return next(each for each in self.isps if each.name == name)


def mistakes(whole: Topology) -> Iterator[Unfitting]:
    """What is wrong between the parts of an internet, each with the place of its line."""
    seen = {"core"}
    groups = {
        "exchanges": [each.name for each in whole.exchanges],
        "isps": [each.name for each in whole.isps],
        "sites": [each.name for each in whole.sites],
        "viewers": [each.name for each in whole.viewers],
    }
    for group, names in groups.items():
        for index, name in enumerate(names):
            if name in seen:
                yield Unfitting((group, index, "name"), f"{name!r} is taken", "every node has a name of its own; core is the main host")
            seen.add(name)
    if len(seen) > NODES_MAX:
        yield Unfitting(("ours",), f"{len(seen)} nodes are more than {NODES_MAX}", "take a smaller internet")
    exchanges, isps = {each.name for each in whole.exchanges}, {each.name: each for each in whole.isps}
    if whole.ours.at not in exchanges:
        yield Unfitting(("ours", "at"), f"there is no exchange {whole.ours.at!r}", f"there are: {', '.join(sorted(exchanges))}")
    for index, isp in enumerate(whole.isps):
        for name in sorted(set(isp.exchanges) - exchanges):
            yield Unfitting(("isps", index, "exchanges"), f"there is no exchange {name!r}", f"there are: {', '.join(sorted(exchanges))}")
        for name in sorted(set(isp.sites) - {each.name for each in whole.sites}):
            yield Unfitting(("isps", index, "sites"), f"there is no site {name!r}", "add it under [[sites]]")
    for index, site in enumerate(whole.sites):
        if site.at not in exchanges | set(isps):
            yield Unfitting(("sites", index, "at"), f"there is neither an exchange nor an ISP {site.at!r}", "add it, or correct the name")
    yield from _wrong_addresses(whole, isps)


def _wrong_addresses(whole: Topology, isps: dict[str, Isp]) -> Iterator[Unfitting]:
    own = {"infrastructure": ipaddress.ip_network("10.0.0.0/8")}
    taken: list[tuple[str, ipaddress.IPv4Network]] = []
    for index, isp in enumerate(whole.isps):
        for prefix in isp.prefixes:
            try:
                network = ipaddress.IPv4Network(prefix)
            except ValueError as error:
                yield Unfitting(("isps", index, "prefixes"), f"{prefix!r} is no IPv4 prefix", str(error))
                continue
            other = next((name for name, each in (*own.items(), *taken) if each.overlaps(network) and name != isp.name), "")
            if other or network.prefixlen < DEFAULT_ROUTE_BITS:
                yield Unfitting(("isps", index, "prefixes"), f"{prefix} overlaps what is {other or 'everybody'}'s", "take another")
            taken.append((isp.name, network))
    addresses: set[str] = set()
    for index, viewer in enumerate(whole.viewers):
        if viewer.isp not in isps:
            yield Unfitting(("viewers", index, "isp"), f"there is no ISP {viewer.isp!r}", f"there are: {', '.join(sorted(isps))}")
            continue
        networks = [each for name, each in taken if name == viewer.isp]
        try:
            inside = any(ipaddress.IPv4Address(viewer.address) in each for each in networks)
        except ValueError:
            inside = False
        if not inside or viewer.address in addresses:
            hint = "give each an address of its own in the prefixes of the ISP"
            yield Unfitting(("viewers", index, "address"), f"{viewer.address!r} is not free to {viewer.name} of {viewer.isp}", hint)
        addresses.add(viewer.address)


def load(path: Path) -> Topology:
    """The internet of a file. Raises BadTopology with every mistake and its line, or UnreadableConfiguration."""
    text = config.read(path)
    try:
        return config.parse(Topology, text, str(path))
    except config.BadConfiguration as error:
        raise BadTopology(str(path), error.mistakes) from error
