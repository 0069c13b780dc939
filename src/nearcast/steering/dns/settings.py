"""What can be set about the authoritative name server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct, field

from nearcast.base.config import Path, Unfitting
from nearcast.steering.dns import wire

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
RESERVED = ("play", "titles", "appliances", "sites", "whoami")
"""Names below the zone with a meaning of their own."""
ZONE_BYTES_MAX = 180
"""On the wire: a name has 255 bytes, of which an appliance's id takes 64 and ``appliances`` 11."""
CURE = "labels have letters, digits, - and _, at most 63, with dots between them"


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
            try:
                ipaddress.ip_network(each)
            except ValueError as error:
                raise Unfitting(("exempt",), f"{each!r} is no network: {error}", 'as exempt = ["192.0.2.0/24"]') from error

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
    user: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_-]*$|^$",
            description="User of the workers when started as root, once they have the port; best one of its own. Empty: www-data, nginx "
            "or nobody, as nginx's workers.",
        ),
    ] = ""
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
        _check(self)

    @property
    def servers(self) -> tuple[NameServer, ...]:
        """The name servers, those of ``listen`` where none are named."""
        return self.name_servers or (NameServer(name="ns1", addresses=self.listen),)


def below(zone: str, label: str) -> str:
    """``label`` of ``zone``; the zone itself for ``@``; what ends in a dot is whole already."""
    if label.endswith("."):
        return label.rstrip(".")
    return zone if label == "@" else f"{label}.{zone}"


# --- mistakes ---------------------------------------------------------------------------------------------------------


def _check(settings: DnsSettings) -> None:
    """Raises Unfitting for the first mistake. Without a zone there is none."""
    if not settings.zone:
        return
    _check_name(("zone",), settings.zone)
    size = len(wire.name(settings.zone))
    if size == 1:
        raise Unfitting(("zone",), "the root is nobody's to serve", 'name a zone of yours, as "cdn.example.org"')
    if size > ZONE_BYTES_MAX:
        raise Unfitting(
            ("zone",), "the name is too long: names of appliances stand below it", f"take one of at most {ZONE_BYTES_MAX - 2} characters"
        )
    if not settings.listen:
        raise Unfitting(("listen",), "it names no address", 'as listen = ["192.0.2.53"]')
    for each in settings.listen:
        if each not in WILDCARDS and not wire.packed(each):
            raise Unfitting(("listen",), f"{each!r} is no IP address of a machine", 'as listen = ["192.0.2.53"]')
    if not settings.name_servers and any(each in WILDCARDS for each in settings.listen):
        hint = 'as name_servers = [{ name = "ns1", addresses = ["192.0.2.53"] }]'
        raise Unfitting(("listen",), "every address of this machine is listened at: name_servers must say which of them are told", hint)
    try:
        wire.mailbox(settings.zone, settings.mailbox)
    except ValueError as error:
        raise Unfitting(("mailbox",), str(error), 'as "hostmaster" or "dns@example.org"') from error
    for index, server in enumerate(settings.name_servers):
        _check_server(index, server, settings)
    for label, addresses in settings.static.items():
        _check_static(label, addresses, settings)


def _check_name(path: Path, text: str) -> None:
    try:
        wire.name(text)
    except ValueError as error:
        raise Unfitting(path, str(error), _cure(text)) from error


def _cure(text: str) -> str:
    try:
        ascii_form = text.encode("idna").decode()
    except UnicodeError:
        return CURE
    return CURE if text.isascii() else f"write it as {ascii_form!r}"


def _check_addresses(path: Path, addresses: Iterable[str]) -> None:
    for each in addresses:
        if not wire.packed(each):
            raise Unfitting(path, f"{each!r} is no IP address of a machine", 'as ["192.0.2.53", "2001:db8::53"]')


def _check_server(index: int, server: NameServer, settings: DnsSettings) -> None:
    here: Path = ("name_servers", index)
    whole = below(settings.zone, server.name)
    _check_name((*here, "name"), whole)
    _check_addresses((*here, "addresses"), server.addresses)
    inside = bool(_above(whole, settings.zone))
    if inside and not server.addresses:
        raise Unfitting(here, f"{server.name} is in the zone and has no addresses", 'add them, as addresses = ["192.0.2.53"]')
    if not inside and server.addresses:
        raise Unfitting(
            (*here, "addresses"),
            f"{server.name} is in another zone, which has its addresses",
            "leave addresses out, or name one of the zone",
        )
    if inside and _reserved(whole, settings.zone):
        raise Unfitting((*here, "name"), f"{server.name} has a meaning of its own here", 'take another name, as "ns1"')
    if wire.name(whole) in [wire.name(below(settings.zone, each.name)) for each in settings.name_servers[:index]]:
        raise Unfitting((*here, "name"), f"{server.name} is named twice", "give all its addresses at once")


def _check_static(label: str, addresses: Iterable[str], settings: DnsSettings) -> None:
    here: Path = ("static", label)
    whole = below(settings.zone, label)
    _check_name(here, whole)
    above = _above(whole, settings.zone)
    if not above and wire.name(whole) != wire.name(settings.zone):
        raise Unfitting(here, f"{label} is not in the zone", "leave the dot at its end out, or name one of the zone")
    servers = [wire.name(below(settings.zone, each.name)) for each in settings.servers]
    if not above or _reserved(whole, settings.zone) or wire.name(whole) in servers:
        raise Unfitting(here, f"{label!r} has a meaning of its own here", "take another name")
    _check_addresses(here, addresses)


def _above(whole: str, zone: str) -> list[bytes]:
    """The labels that a name has before those of the zone; none where it is not below it."""
    labels, ours = wire.labels(wire.name(whole)), wire.labels(wire.name(zone))
    return labels[: -len(ours)] if labels[-len(ours) :] == ours else []


def _reserved(whole: str, zone: str) -> bool:
    """Whether a name below the zone is one of ours, or below one."""
    return _above(whole, zone)[-1].decode() in RESERVED
