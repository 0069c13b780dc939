"""What ISPs say over BGP: ExaBGP's JSON becomes typed messages, and a filter for each ISP judges every prefix. Pure.

The JSON is that of ExaBGP 5's API (``encoder json``), one message a line. What may pass follows BCP 194 (RFC 7454, "BGP Operations
and Security"): only what the ISP may announce, nothing private or reserved, no default route, no absurd lengths, no path that could
not be one; AS_SETs are refused as RFC 9774 asks. A refused announcement withdraws what the same router told of the prefix before.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

from nearcast.base.errors import BadInput
from nearcast.steering.routes.settings import Isp

IPV4_LENGTHS = (8, 28)
IPV6_LENGTHS = (16, 64)
"""Shortest and longest prefix that an ISP may announce; a longer one passes where its allow list names that very prefix."""
AS_PATH_MAX = 50
"""The longest paths of the Internet, prepended ones with them, stay below."""
_RESERVED_ASNS = frozenset((0, 23_456, 65_535, 4_294_967_295))  # RFC 7607, RFC 6793, RFC 7300

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_BOGONS = (
    # RFC 6890 and the IANA special-purpose registry, multicast and what is reserved beyond
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    # all that is not global unicast (2000::/3), and within it Teredo, documentation and 6to4
    *("::/3", "4000::/2", "8000::/1", "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20"),
)


class BadMessage(BadInput):
    """The BGP speaker said something that is no message of its protocol."""

    code = "NC3020"
    cure = "it is left out; exabgp.log tells more. Where it comes again and again, the ExaBGP installed is not the one locked"


class Reason(Enum):
    """Why an announcement is refused: a stable code, a sentence that follows the prefix, and what to do."""

    DEFAULT = ("NC3022", "is a default route: an ISP tells its own prefixes only", "the ISP leaves it out of what it exports to us")
    LENGTH = (
        "NC3023",
        f"has an absurd length: IPv4 /{IPV4_LENGTHS[0]} to /{IPV4_LENGTHS[1]}, IPv6 /{IPV6_LENGTHS[0]} to /{IPV6_LENGTHS[1]}",
        "the ISP announces what holds it; a longer one passes where its `allow` names that very prefix",
    )
    BOGON = (
        "NC3024",
        "is private, reserved or for documentation, and the ISP's allow list does not name it",
        "if viewers really have such addresses, name a prefix within that block in the ISP's `allow`",
    )
    FOREIGN = ("NC3025", "is not in the ISP's allow list", "if it is theirs, name it in the ISP's `allow`; else ask why they announce it")
    NOT_THEIRS = (
        "NC3026",
        "has an AS path that does not begin with the ISP's own number",
        "is `asn` of [[steering.isps]] the number with which its routers speak?",
    )
    LOOP = ("NC3027", "has our own number in its AS path", "the ISP does not send us back what it heard of us")
    PATH = (
        "NC3028",
        f"has an implausible AS path: longer than {AS_PATH_MAX}, a set, or a reserved number",
        "the ISP leaves such paths out, and does not aggregate into AS_SETs (RFC 9774)",
    )
    MAXIMUM = (
        "NC3029",
        "is one more than the ISP's maximum of prefixes",
        "raise the ISP's `prefixes_max`, if so many are what it should have",
    )

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def sentence(self) -> str:
        return self.value[1]

    @property
    def cure(self) -> str:
        return self.value[2]


# --- messages ---------------------------------------------------------------------------------------------------------


class Update(NamedTuple):
    """Prefixes that a router announces, all with this path, and those that it withdraws. ``plain``: the path has sequences alone."""

    router: str
    announced: tuple[Network, ...]
    withdrawn: tuple[Network, ...]
    as_path: tuple[int, ...] = ()
    plain: bool = True
    med: int = 0


class StateChange(NamedTuple):
    """A session changed. ``up``: both have agreed, updates follow; ``connected`` is only TCP. ``reason`` why it is down."""

    router: str
    state: Literal["up", "down", "connected"]
    reason: str = ""

    @property
    def on_purpose(self) -> bool:
        """One side ended it by a NOTIFICATION (RFC 4271, 4.5): shut down, hold timer expired, or a malformed message."""
        return self.reason.startswith("notification")


class EndOfRib(NamedTuple):
    """The router has told all it had of this IP version (RFC 4724)."""

    router: str
    version: Literal[4, 6]


class Other(NamedTuple):
    """Well formed, and of no use here (keepalives, notifications, refreshes, the speaker's farewell)."""

    type: str


Message = Update | StateChange | EndOfRib | Other


_Number = Annotated[int, Meta(ge=0, le=4_294_967_295)]


class _Address(Struct):
    peer: str


class _Segment(Struct):
    element: str
    value: list[_Number]


class _Attributes(Struct):
    as_path: dict[str, _Segment] = field(default_factory=dict, name="as-path")
    med: _Number = 0


class _Nlri(Struct):
    nlri: str


class _Update(Struct):
    attribute: _Attributes = field(default_factory=_Attributes)
    announce: dict[str, dict[str, list[_Nlri | str]]] = {}
    withdraw: dict[str, list[_Nlri | str]] = {}


class _Family(Struct):
    afi: str
    safi: str


class _Body(Struct):
    update: _Update | None = None
    eor: _Family | None = None


class _Neighbor(Struct):
    address: _Address
    direction: str = ""
    state: str = ""
    reason: str = ""
    message: _Body | None = None


class _Line(Struct):
    type: str
    neighbor: _Neighbor | None = None


_decode = msgspec.json.Decoder(_Line).decode
_FAMILIES: dict[str, Literal[4, 6]] = {"ipv4 unicast": 4, "ipv6 unicast": 6}


def parse(line: bytes) -> Message:
    """One line of the speaker. Raises BadMessage for what is none, whatever it is."""
    try:
        found = _decode(line)
        return Other(found.type) if found.neighbor is None else _message(found.type, found.neighbor)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadMessage(f"not a message of the BGP speaker: {error}; it begins {line[:60]!r}") from error


def _message(kind: str, neighbor: _Neighbor) -> Message:
    router = str(ipaddress.ip_address(neighbor.address.peer))
    if kind == "state" and neighbor.state in ("up", "down", "connected"):
        return StateChange(router, neighbor.state, neighbor.reason)  # type: ignore[arg-type]  # it is one of the three
    if kind != "update" or neighbor.message is None or neighbor.direction != "receive":
        return Other(kind)
    if neighbor.message.eor is not None:
        family = _FAMILIES.get(f"{neighbor.message.eor.afi} {neighbor.message.eor.safi}")
        return EndOfRib(router, family) if family else Other("eor")
    update = neighbor.message.update
    return Other(kind) if update is None else _update(router, update)


def _update(router: str, update: _Update) -> Update:
    announced = [each for family, hops in update.announce.items() if family in _FAMILIES for told in hops.values() for each in told]
    withdrawn = [each for family, told in update.withdraw.items() if family in _FAMILIES for each in told]
    segments = update.attribute.as_path
    order = sorted(segments, key=int)
    return Update(
        router=router,
        announced=tuple(map(_network, announced)),
        withdrawn=tuple(map(_network, withdrawn)),
        as_path=tuple(number for each in order for number in segments[each].value),
        plain=all(each.element == "as-sequence" for each in segments.values()),
        med=update.attribute.med,
    )


def _network(told: _Nlri | str) -> Network:
    return ipaddress.ip_network(told if isinstance(told, str) else told.nlri, strict=False)


# --- the filter -------------------------------------------------------------------------------------------------------


class _Blocks:
    """Prefixes, to be asked whether one of them covers another: a set of network numbers for each length."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._levels: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for each in networks:
            shift = each.max_prefixlen - each.prefixlen
            self._levels[each.version].setdefault(shift, set()).add(int(each.network_address) >> shift)

    def cover(self, network: Network) -> bool:
        number, least = int(network.network_address), network.max_prefixlen - network.prefixlen
        return any(shift >= least and number >> shift in level for shift, level in self._levels[network.version].items())


_bogons = _Blocks(ipaddress.ip_network(each) for each in _BOGONS)


class Filter:
    """What one ISP may announce. ``own_asn`` is our own number."""

    def __init__(self, isp: Isp, own_asn: int) -> None:
        self._asn, self._own_asn = isp.asn, own_asn
        allow = tuple(ipaddress.ip_network(each) for each in isp.allow)
        self._named = frozenset(allow)
        self._allow = _Blocks(allow)
        self._bogons_named = _Blocks(each for each in allow if _bogons.cover(each))

    def path(self, as_path: Sequence[int], plain: bool = True) -> Reason | None:
        """Why no prefix with this path is taken; None where the path is good."""
        if not plain or len(as_path) > AS_PATH_MAX or not _RESERVED_ASNS.isdisjoint(as_path):
            return Reason.PATH
        if not as_path or as_path[0] != self._asn:
            return Reason.NOT_THEIRS
        return Reason.LOOP if self._own_asn in as_path else None

    def prefix(self, network: Network) -> Reason | None:
        """Why the prefix is not taken; None where it is the ISP's to announce."""
        if not network.prefixlen:
            return Reason.DEFAULT
        shortest, longest = IPV4_LENGTHS if network.version == 4 else IPV6_LENGTHS
        if network.prefixlen < shortest or (network.prefixlen > longest and network not in self._named):
            return Reason.LENGTH
        if _bogons.cover(network) and not self._bogons_named.cover(network):
            return Reason.BOGON
        return None if self._allow.cover(network) else Reason.FOREIGN
