"""What can be set about a site's door."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from msgspec import Meta, Struct

from nearcast.base.config import Unfitting
from nearcast.delivery.settings import Port
from nearcast.model.site import Identifier

_SERVER = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}")
_ADDRESS = r"^https?://[A-Za-z0-9.:\[\]-]{1,255}$"


class DoorSettings(Struct, frozen=True, kw_only=True):
    """The door of a site on this host: an nginx that spreads requests over the site's appliances. Films stay with the appliance that
    their path is for."""

    id: Annotated[Identifier, Meta(description="Name of the door, unique on this host.")]
    site: Annotated[Identifier, Meta(description="The site whose appliances stand behind it.")]
    port: Annotated[Port, Meta(description="Port at which it serves.")]
    listen: Annotated[
        tuple[str, ...], Meta(min_length=1, description="Addresses of this machine, as the service addresses of [anycast].")
    ] = ("127.0.0.1",)
    tls_certificate: Annotated[str, Meta(description="PEM certificate chain. Empty: plain HTTP, or what `nearcast up --public` makes.")] = (
        ""
    )
    tls_key: Annotated[str, Meta(description="PEM key of the certificate.")] = ""
    members: Annotated[
        dict[str, str],
        Meta(
            description="Appliances by id with their public addresses, where this host has no health view (a host that has joined): "
            '`fra-1 = "https://fra-1.example:8101"`. Else the view alone tells.'
        ),
    ] = {}
    assets_url: Annotated[
        str,
        Meta(
            pattern=f"({_ADDRESS})|^$", description="Where `/assets/` comes from, the gateway, to be kept here. Empty: the door has none."
        ),
    ] = ""
    dns: Annotated[
        tuple[str, ...],
        Meta(
            description="Name servers of the site (`10.0.0.5:53`, `[2001:db8::5]:53`), to which the door passes DNS on, UDP and TCP. "
            "They see its address in place of the resolver's. Empty: the door takes no DNS."
        ),
    ] = ()
    dns_port: Annotated[Port, Meta(description="Port at which it takes DNS.")] = 53
    stream_module: Annotated[
        str, Meta(description="Path of nginx's ngx_stream_module.so, which DNS needs. Empty: where nginx has its modules.")
    ] = ""
    ca: Annotated[str, Meta(description="PEM file that members on https are verified with. Empty: the machine's own authorities.")] = ""
    user: Annotated[
        str, Meta(pattern=r"^[a-z_][a-z0-9_-]*$|^$", description="User of nginx's workers when started as root. Empty: as edges have it.")
    ] = ""
    worker_processes: Annotated[int, Meta(ge=0, le=512, description="nginx workers; 0: one for each processor.")] = 1
    connections_max: Annotated[int, Meta(ge=64, le=1_000_000, description="Clients' connections at once, per worker.")] = 4096
    connections_of_one: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests of one client address in work at once.")] = 128

    def __post_init__(self) -> None:
        for each in self.listen:
            try:
                ipaddress.ip_address(each)
            except ValueError:
                raise Unfitting(("listen",), f"{each!r} is no address", "write it as 192.0.2.53 or 2001:db8::53") from None
        for each in self.dns:
            if not _SERVER.fullmatch(each):
                raise Unfitting(("dns",), f"{each!r} is no address with its port", "write it as 10.0.0.5:53 or [2001:db8::5]:53")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise Unfitting(("tls_certificate",), "a certificate and its key come together", "set tls_certificate and tls_key, or neither")
