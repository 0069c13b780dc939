"""What can be set about the authoritative name server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta, Struct, field

from nearcast.steering.dns import wire

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
RESERVED = ("play", "titles", "appliances", "sites", "whoami")
"""Names below the zone with a meaning of their own."""


class NameServer(Struct, frozen=True, kw_only=True):
    """A name server of the zone."""

    name: Annotated[
        str, Meta(description="Its name: `ns1` is one of the zone; with a dot at the end, `ns.other.example.`, one of another zone.")
    ]
    addresses: Annotated[tuple[str, ...], Meta(description="Its IP addresses, for a name of the zone: the parent has them as glue.")] = ()


class RateSettings(Struct, frozen=True, kw_only=True):
    """Response-rate limiting: how often one network (IPv4 /24, IPv6 /56) is answered over UDP. 0: without limit.

    TCP and queries with a cookie of ours prove their sender, and are not limited.
    """

    identical_per_s: Annotated[int, Meta(ge=0, description="The same answer to one network.")] = 100
    failing_per_s: Annotated[int, Meta(ge=0, description="Errors, refusals and names that do not exist, to one network.")] = 50
    total_per_s: Annotated[int, Meta(ge=0, description="Answers of every kind to one network.")] = 5000
    slip: Annotated[
        int, Meta(ge=0, le=100, description="Each so-manieth answer over the limit is an empty one that asks for TCP; 0: none is.")
    ] = 2
    exempt: Annotated[tuple[str, ...], Meta(description="Networks that are never limited, as `192.0.2.0/24`.")] = ()

    def __post_init__(self) -> None:
        for each in self.exempt:
            ipaddress.ip_network(each)

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return bool(self.identical_per_s or self.failing_per_s or self.total_per_s)


class DnsSettings(Struct, frozen=True, kw_only=True):
    """Our zone and where it is answered."""

    zone: Annotated[str, Meta(description="The zone that is answered, as `cdn.example`. Empty: there is no name server.")] = ""
    listen: Annotated[tuple[str, ...], Meta(description="Addresses of this machine, IPv4 or IPv6.")] = ("127.0.0.1",)
    port: Annotated[int, Meta(ge=1, le=65535, description="UDP and TCP port.")] = 53
    workers: Annotated[int, Meta(ge=1, le=64, description="Processes that answer side by side.")] = 1
    name_servers: Annotated[
        tuple[NameServer, ...], Meta(description="The name servers of the zone, the first in its SOA. Empty: `ns1`, at `listen`.")
    ] = ()
    ttl_s: Annotated[int, Meta(ge=1, le=3600, description="How long resolvers keep an answer that depends on the client.")] = 10
    mailbox: Annotated[str, Meta(description="Who is responsible: `hostmaster` of the zone, or `dns@example.org`.")] = "hostmaster"
    dnssec: Annotated[bool, Meta(description="Sign answers for who asks (`nearcast dns ds` prints what the parent zone needs).")] = True
    static: Annotated[
        dict[str, tuple[str, ...]], Meta(description='More names of the zone and their IP addresses: `gateway = ["192.0.2.10"]`.')
    ] = {}
    identity: Annotated[str, Meta(max_length=64, description="What is told to who asks which server answered (NSID). Empty: nothing.")] = ""
    connections: Annotated[int, Meta(ge=1, le=65536, description="TCP connections of one worker at most.")] = 512
    connections_each: Annotated[int, Meta(ge=1, description="Of these, from one network at most.")] = 32
    idle_s: Annotated[float, Meta(gt=0, le=600, description="A TCP connection on which nothing comes is closed after that.")] = 10.0
    rate: RateSettings = field(default_factory=RateSettings)

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)

    @property
    def servers(self) -> tuple[NameServer, ...]:
        """The name servers, those of ``listen`` where none are named."""
        return self.name_servers or (NameServer(name="ns1", addresses=self.listen),)


def below(zone: str, label: str) -> str:
    """``label`` of ``zone``; the zone itself for ``@``; what ends in a dot is whole already."""
    if label.endswith("."):
        return label.rstrip(".")
    return zone if label == "@" else f"{label}.{zone}"


def _problems(settings: DnsSettings) -> Iterator[str]:
    if not settings.zone:
        return
    try:
        zone = wire.name(settings.zone)
    except ValueError as error:
        yield f"zone: {error}"
        return
    if zone == b"\0":
        yield "zone: the root is nobody's to serve"
    if not settings.listen:
        yield "listen names no address"
    if not settings.name_servers and any(each in WILDCARDS for each in settings.listen):
        yield "listen is every address of this machine, so name_servers must say which of them resolvers are to ask"
    told = (*(each.addresses for each in settings.servers), *settings.static.values())
    yield from _bad_addresses([*settings.listen, *(address for each in told for address in each)])
    yield from _bad_names(settings)


def _bad_addresses(found: Iterable[str]) -> Iterator[str]:
    for each in found:
        try:
            ipaddress.ip_address(each)
        except ValueError:
            yield f"{each!r} is not an IP address"


def _bad_names(settings: DnsSettings) -> Iterator[str]:
    ours = "." + settings.zone.lower().strip(".")
    for server in settings.servers:
        whole = below(settings.zone, server.name).lower()
        inside = whole.endswith(ours)
        if inside and not server.addresses:
            yield f"the name server {server.name} is in the zone, so it needs addresses"
        if not inside and server.addresses:
            yield f"the name server {server.name} is in another zone, which has its addresses"
        if whole.split(".")[0] in RESERVED and inside:
            yield f"{server.name} has a meaning of its own here"
    for label in settings.static:
        if label in ("@", "") or label.lower() in RESERVED or label.lower() in [each.name.lower() for each in settings.servers]:
            yield f"static: {label!r} has a meaning of its own here"
    for label in [each.name for each in settings.servers] + list(settings.static):
        try:
            wire.name(below(settings.zone, label))
        except ValueError as error:
            yield str(error)
