"""What can be set about the authoritative name server."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class DnsSettings(Struct, frozen=True, kw_only=True):
    """Our zone and where it is answered."""

    zone: Annotated[str, Meta(description="The zone that is answered, as `cdn.example`. Empty: there is no name server.")] = ""
    listen: Annotated[tuple[str, ...], Meta(description="Addresses of this machine, IPv4 or IPv6.")] = ("127.0.0.1",)
    port: Annotated[int, Meta(ge=1, le=65535, description="UDP and TCP port.")] = 53
    workers: Annotated[int, Meta(ge=1, le=64, description="Processes that answer side by side.")] = 1
