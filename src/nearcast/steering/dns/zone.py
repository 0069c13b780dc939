"""The zone: which names there are, what they have, and which of them depend on who asks. Pure.

The names stand in docs/operating/dns.md. What the health view tells (appliances and their addresses) comes in with ``with_appliances``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from nearcast.base.ids import is_id
from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.steering.dns import wire
from nearcast.steering.dns.settings import DnsSettings, below
from nearcast.steering.dns.wire import AAAA, NS, SOA, A
from nearcast.steering.view import Holdings

STATIC_TTL_S = 3600
UNICAST_TTL_S = 60
NEGATIVE_TTL_S = 10
"""How long resolvers remember that there is nothing (RFC 2308): a title or an appliance may be new."""
_REFRESH_S, _RETRY_S, _EXPIRE_S = 3600, 600, 604800
WHOAMI = "whoami"
ANY_TITLE = ""


class Rrset(NamedTuple):
    """The data of all records of one name and type, names in whole."""

    ttl_s: int
    rdata: tuple[bytes, ...]


class Node(NamedTuple):
    """One name. ``title``: its A and AAAA depend on who asks (ANY_TITLE: for no title in particular); None: they do not.

    ``whoami``: its TXT says who asked.
    """

    rrsets: Mapping[int, Rrset]
    title: str | None = None
    whoami: bool = False

    def types(self) -> list[int]:
        """The types that exist here, for NSEC: what depends on who asks always exists for somebody."""
        steered = [A, AAAA] if self.title is not None else []
        return sorted({*self.rrsets, *steered, *([wire.TXT] if self.whoami else [])})


NOTHING = Node({})
"""A name that exists only because others stand below it (an empty non-terminal, RFC 8020)."""


def _add(names: dict[bytes, Node], at: str, kind: int, ttl_s: int, rdata: Sequence[bytes]) -> None:
    if rdata:
        owner = wire.name(at)
        node = names.get(owner, NOTHING)
        names[owner] = node._replace(rrsets={**node.rrsets, kind: Rrset(ttl_s, tuple(rdata))})


def _add_addresses(names: dict[bytes, Node], at: str, ttl_s: int, found: tuple[str, ...]) -> None:
    ipv4, ipv6 = wire.addresses(found)
    _add(names, at, A, ttl_s, ipv4)
    _add(names, at, AAAA, ttl_s, ipv6)


def _usable(label: str) -> bool:
    """Whether an id or a name of the configuration can be a label."""
    return wire.is_label(label.lower())


class Zone:
    """``origin`` in wire form. ``find`` answers for any name at or below it."""

    def __init__(self, settings: DnsSettings, sites: Iterable[Site]) -> None:
        self.settings = settings
        self.origin = wire.name(settings.zone)
        self.name_servers = tuple(wire.name(below(settings.zone, each.name)) for each in settings.servers)
        self.soa = Rrset(STATIC_TTL_S, (self._soa(),))
        self.negative_soa = Rrset(NEGATIVE_TTL_S, self.soa.rdata)
        self._titles = wire.name(f"titles.{settings.zone}")
        self.any_title = b"\1*" + self._titles
        """Stands for all titles that nobody holds, of which there may be any number: they have one answer."""
        self._holdings: tuple[Holdings, ...] = ()
        self._fixed = self._fixed_names(sites)
        self._names = self._fixed
        self.unusable: dict[str, tuple[str, ...]] = {}
        """What appliances call an address of theirs, and nobody could be sent to; it is left out. By the appliances' ids."""

    def _soa(self) -> bytes:
        """The serial tells one configuration from another; nothing is ever transferred."""
        serial = zlib.crc32(msgspec.json.encode(self.settings)) or 1
        numbers = struct.pack("!IIIII", serial, _REFRESH_S, _RETRY_S, _EXPIRE_S, NEGATIVE_TTL_S)
        return self.name_servers[0] + wire.mailbox(self.settings.zone, self.settings.mailbox) + numbers

    def _fixed_names(self, sites: Iterable[Site]) -> dict[bytes, Node]:
        settings, zone = self.settings, self.settings.zone
        apex = Node({SOA: self.soa, NS: Rrset(STATIC_TTL_S, self.name_servers)}, title=ANY_TITLE)
        names = {self.origin: apex, wire.name(f"play.{zone}"): Node({}, title=ANY_TITLE)}
        names[wire.name(f"{WHOAMI}.{zone}")] = Node({}, whoami=True)
        for branch in ("titles", "appliances", "sites"):
            names[wire.name(f"{branch}.{zone}")] = NOTHING
        for server in settings.servers:
            _add_addresses(names, below(zone, server.name), STATIC_TTL_S, server.addresses)
        for label, found in settings.static.items():
            _add_addresses(names, below(zone, label), STATIC_TTL_S, found)
        for site in sites:
            if _usable(site.name):
                names.setdefault(wire.name(f"{site.name}.sites.{zone}"), NOTHING)
                _add_addresses(names, f"{site.name}.sites.{zone}", UNICAST_TTL_S, site.doors)
        for owner in list(names):  # what stands between them and the apex exists too
            self._fill_above(names, owner)
        return names

    def _fill_above(self, names: dict[bytes, Node], owner: bytes) -> None:
        while len(owner) > len(self.origin):
            owner = owner[1 + owner[0] :]
            if owner.endswith(self.origin):
                names.setdefault(owner, NOTHING)

    def with_apex(self, kind: int, rrset: Rrset) -> None:
        """Put another set of records at the apex (DNSKEY)."""
        apex = self._fixed[self.origin]
        self._fixed[self.origin] = self._names[self.origin] = apex._replace(rrsets={**apex.rrsets, kind: rrset})

    def with_holdings(self, holdings: Iterable[Holdings]) -> None:
        """What the appliances hold now."""
        self._holdings = tuple(holdings)

    def with_appliances(self, appliances: Iterable[ApplianceHealth]) -> None:
        """The appliances that are known now, whatever their state."""
        names, unusable = dict(self._fixed), {}
        for each in appliances:
            if wrong := tuple(address for address in each.addresses if not wire.packed(address)):
                unusable[each.id] = wrong
            if _usable(each.id):
                owner = f"{each.id}.appliances.{self.settings.zone}"
                names.setdefault(wire.name(owner), NOTHING)
                _add_addresses(names, owner, UNICAST_TTL_S, each.addresses)
        self._names, self.unusable = names, unusable

    def inside(self, name: bytes) -> bool:
        """Whether a well-formed name is the apex or below it."""
        if not name.endswith(self.origin):
            return False
        at, apex = 0, len(name) - len(self.origin)
        while at < apex:
            at += 1 + name[at]
        return at == apex

    def is_title(self, name: bytes) -> bool:
        """Whether ``name`` is directly below ``titles``: there are as many of these as there may be ids."""
        return name[1 + name[0] :] == self._titles

    def find(self, name: bytes) -> Node | None:
        """What ``name``, which is inside, has; None: it does not exist.

        Every id that a title may have exists below ``titles``, as any edge can fetch what it lacks; only for those that somebody
        holds is the answer one of their own.
        """
        found = self._names.get(name)
        if found is not None:
            return found
        if not self.is_title(name):
            return None
        label = name[1 : 1 + name[0]].decode("latin-1")
        if any(label in each for each in self._holdings):
            return Node({}, title=label)
        return Node({}, title=ANY_TITLE) if is_id(label, "t") else None

    def compressed(self, kind: int, rdata: bytes, length: int) -> bytes:
        """Data for the answer to a question of ``length`` bytes of name: names of the zone point into it (NS, SOA: RFC 3597, 4)."""
        if kind not in (NS, SOA):
            return rdata
        origin, to = self.origin, wire.pointer(wire.HEADER_BYTES + length - len(self.origin))
        end = len(rdata) if kind == NS else len(rdata) - 20
        if kind == NS:
            return rdata[: -len(origin)] + to if self.inside(rdata) else rdata
        first = wire.name_end(rdata, 0)
        found = b""
        for part in (rdata[:first], rdata[first:end]):
            found += part[: -len(origin)] + to if self.inside(part) else part
        return found + rdata[end:]
