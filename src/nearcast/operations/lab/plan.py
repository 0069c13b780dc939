"""What an internet is made of: nodes, the cables between them, addresses and fixed routes. Pure.

Addresses: the LAN of exchange *i* is 10.90.i.0/24, in it .1 and up are routers, .101 and up hosts of ours; the line from an ISP to a
host of ours is a /30 out of 10.91.0.0/16; router *k* is 10.92.0.k, which it has on its loopback.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.operations.lab.topology import Isp, Topology, Viewer

CORE = "core"
FIRST_HOST = 101
FARTHER_MED = 10
"""What a router adds to the MED of what it hears at each exchange after its first: nearer ones win, and a site's own MED can tip it."""


class Node(Struct, frozen=True, kw_only=True):
    """A namespace. ``address`` is where the others reach it (an exchange has none)."""

    name: str
    kind: Literal["exchange", "router", "host", "viewer"]
    address: str = ""


class Cable(Struct, frozen=True, kw_only=True):
    """A pair of veth: ``interface`` in ``node`` leads to ``peer_interface`` in ``peer``. ``port``: the far end is a switch's."""

    node: str
    interface: str
    peer: str
    peer_interface: str
    port: bool = False


class Session(Struct, frozen=True, kw_only=True):
    """A BGP session of a router. ``cost`` is added to the MED of what is heard; ``ours``: a host of our network is at the other end."""

    name: str
    address: str
    neighbour: str
    asn: int
    cost: int = 0
    ours: bool = False


class Router(Struct, frozen=True, kw_only=True):
    """One ISP's router and with whom it speaks. ``collector``: the address of ours, with which it is not always in one network."""

    isp: Isp
    id: str
    sessions: tuple[Session, ...]
    collector: str
    collector_asn: int
    local: str


class Plan(Struct, frozen=True, kw_only=True):
    """``setting_up``: lines for `ip -batch`, by node, in order."""

    nodes: tuple[Node, ...]
    cables: tuple[Cable, ...]
    setting_up: dict[str, tuple[str, ...]]
    routers: tuple[Router, ...]
    gateways: dict[str, tuple[str, ...]]
    """By host of ours: the addresses of the routers that it can speak BGP with."""

    def address(self, name: str) -> str:
        return next(each.address for each in self.nodes if each.name == name)

    def cable(self, name: str) -> Cable:
        """The one cable of a host or a viewer."""
        return next(each for each in self.cables if each.node == name)


class _Draft:
    """A plan in the making."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.nodes: list[Node] = []
        self.cables: list[Cable] = []
        self.lines: dict[str, list[str]] = {}
        self.at_exchange: dict[tuple[str, str], str] = {}
        self.members = {each.name: [isp for isp in topology.isps if each.name in isp.exchanges] for each in topology.exchanges}
        self.hosts: list[tuple[str, str]] = [(CORE, topology.ours.at), *((each.name, each.at) for each in topology.sites)]
        self.gateways: dict[str, tuple[str, ...]] = {}

    def node(self, name: str, kind: Literal["exchange", "router", "host", "viewer"], address: str = "") -> None:
        self.nodes.append(Node(name=name, kind=kind, address=address))
        self.lines[name] = ["link set dev lo up"]

    def interface(self, node: str, name: str, address: str = "") -> None:
        if address:
            self.lines[node].append(f"address add {address} dev {name}")
        self.lines[node].append(f"link set dev {name} up")

    def route(self, node: str, text: str) -> None:
        self.lines[node].append(f"route add {text}")


def plan(topology: Topology) -> Plan:
    """The nodes, cables and addresses of an internet, always the same for the same file."""
    draft = _Draft(topology)
    for name in [each.name for each in topology.exchanges]:
        draft.node(name, "exchange")
        draft.lines[name] += ["link add lan type bridge", "link set dev lan up"]
    for number, isp in enumerate(topology.isps, 1):
        _router(draft, number, isp)
    for number, (name, at) in enumerate(draft.hosts):
        _host(draft, number, name, at)
    for viewer in topology.viewers:
        _viewer(draft, viewer)
    return Plan(
        nodes=tuple(draft.nodes),
        cables=tuple(draft.cables),
        setting_up={name: tuple(lines) for name, lines in draft.lines.items()},
        routers=tuple(_speaker(draft, number, isp) for number, isp in enumerate(topology.isps, 1)),
        gateways=draft.gateways,
    )


def _lan(draft: _Draft, exchange: str, host: int) -> str:
    index = [each.name for each in draft.topology.exchanges].index(exchange)
    return f"10.90.{index}.{host}"


def _plug(draft: _Draft, exchange: str, node: str, interface: str, address: str) -> None:
    """A cable from a node into the switch of an exchange."""
    draft.at_exchange[exchange, node] = address
    draft.cables.append(Cable(node=node, interface=interface, peer=exchange, peer_interface=node, port=True))
    draft.lines[exchange] += [f"link set dev {node} master lan", f"link set dev {node} up"]
    draft.interface(node, interface, f"{address}/24")


def _router(draft: _Draft, number: int, isp: Isp) -> None:
    draft.node(isp.name, "router", f"10.92.0.{number}")
    draft.lines[isp.name].append(f"address add 10.92.0.{number}/32 dev lo")
    for exchange in isp.exchanges:
        _plug(draft, exchange, isp.name, exchange, _lan(draft, exchange, number))


def _host(draft: _Draft, number: int, name: str, at: str) -> None:
    if at in draft.members:
        address = _lan(draft, at, FIRST_HOST + number)
        draft.node(name, "host", address)
        _plug(draft, at, name, "eth0", address)
        for isp in draft.members[at]:
            via = draft.at_exchange[at, isp.name]
            for prefix in isp.prefixes:
                draft.route(name, f"{prefix} via {via}")
        gateways = tuple(draft.at_exchange[at, isp.name] for isp in draft.members[at])
    else:
        address, gateways = f"10.91.{number}.2", (f"10.91.{number}.1",)
        draft.node(name, "host", address)
        draft.cables.append(Cable(node=name, interface="eth0", peer=at, peer_interface=name))
        draft.interface(name, "eth0", f"{address}/30")
        draft.interface(at, name, f"{gateways[0]}/30")
    if gateways:
        draft.route(name, f"default via {gateways[0]}")
    draft.gateways[name] = gateways


def _viewer(draft: _Draft, viewer: Viewer) -> None:
    """A line without a network of its own: the router answers on it with the address of its loopback."""
    router = next(each.address for each in draft.nodes if each.name == viewer.isp)
    draft.node(viewer.name, "viewer", viewer.address)
    draft.cables.append(Cable(node=viewer.name, interface="eth0", peer=viewer.isp, peer_interface=viewer.name))
    draft.interface(viewer.name, "eth0", f"{viewer.address}/32")
    draft.route(viewer.name, f"default via {router} dev eth0 onlink")
    draft.interface(viewer.isp, viewer.name)
    draft.route(viewer.isp, f"{viewer.address}/32 dev {viewer.name} src {router}")


def _speaker(draft: _Draft, number: int, isp: Isp) -> Router:
    """With whom a router speaks: the other ISPs and our sites at its exchanges, and our sites in its own network."""
    sessions: list[Session] = []
    for order, exchange in enumerate(isp.exchanges):
        local = draft.at_exchange[exchange, isp.name]
        for other in draft.members[exchange]:
            if other.name != isp.name:
                address = draft.at_exchange[exchange, other.name]
                sessions.append(Session(name=f"{other.name}_{exchange}", address=local, neighbour=address, asn=other.asn))
        for site in draft.topology.sites:
            if site.at == exchange:
                address, cost = draft.at_exchange[exchange, site.name], order * FARTHER_MED
                ours = draft.topology.ours.asn
                sessions.append(Session(name=site.name, address=local, neighbour=address, asn=ours, cost=cost, ours=True))
    for index, (name, at) in enumerate(draft.hosts):
        if at == isp.name:
            address, neighbour = f"10.91.{index}.1", f"10.91.{index}.2"
            sessions.append(Session(name=name, address=address, neighbour=neighbour, asn=draft.topology.ours.asn, ours=True))
    core = next(each.address for each in draft.nodes if each.name == CORE)
    local = draft.at_exchange.get((draft.topology.ours.at, isp.name), f"10.92.0.{number}")
    return Router(
        isp=isp,
        id=f"10.92.0.{number}",
        sessions=tuple(sessions),
        collector=core,
        collector_asn=draft.topology.ours.asn,
        local=local,
    )
