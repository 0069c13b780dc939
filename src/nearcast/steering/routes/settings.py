"""What can be set about where routes come from."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Asn = Annotated[int, Meta(ge=1, le=4_294_967_295)]


class Isp(Struct, frozen=True, kw_only=True):
    """An ISP that tells by BGP which prefixes its sites serve. What it may tell is bounded here."""

    name: Annotated[
        str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$(?!\n)", description="Name of the ISP, as sites and explanations give it.")
    ]
    asn: Annotated[Asn, Meta(description="Number of its autonomous system.")]
    routers: Annotated[tuple[str, ...], Meta(description="IP addresses of its routers that may open a BGP session.")] = ()
    sites: Annotated[tuple[str, ...], Meta(description="The sites that serve what it announces, best first.")] = ()
    allow: Annotated[
        tuple[str, ...], Meta(description="Prefixes that it may announce, with all that lies within them (CIDR). Empty: none.")
    ] = ()
    prefixes_max: Annotated[int, Meta(ge=1, le=2_000_000, description="More than so many are refused.")] = 10_000
    password: Annotated[
        str, Meta(pattern=r"^[!#-:<-z|~]{0,80}$(?!\n)", description="TCP MD5 password of its sessions (RFC 2385). Empty: none.")
    ] = ""


class BgpSettings(Struct, frozen=True, kw_only=True):
    """The collector: ExaBGP, to which the routers of ISPs speak."""

    asn: Annotated[int, Meta(ge=0, le=4_294_967_295, description="Our own number; 0: there are no BGP sessions.")] = 0
    router_id: Annotated[str, Meta(description="Our router id, an IPv4 address. Empty: the first IPv4 address of listen.")] = ""
    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses of this machine at which sessions are taken: one IPv4, one IPv6, or both.")
    ] = ("127.0.0.1",)
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port of the sessions.")] = 179


class GeographicSettings(Struct, frozen=True, kw_only=True):
    """Where addresses are when no route tells: a file of the operator's, or blocks of the configuration."""

    mmdb: Annotated[str, Meta(description="Path of a MaxMind DB file with country or city data. Empty: none.")] = ""
    blocks: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description='Prefixes by ISO 3166 country code, for where there is no such file: `DE = ["198.51.100.0/24"]`.'),
    ] = {}
