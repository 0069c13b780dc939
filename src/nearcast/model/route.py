"""Routes: which sites may serve a client prefix, best first."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Route(Struct, frozen=True, kw_only=True):
    """``prefix`` in CIDR notation, IPv4 or IPv6; ``sites`` by name, best first."""

    prefix: Annotated[str, Meta(description="Clients' addresses in CIDR notation.")]
    sites: Annotated[tuple[str, ...], Meta(description="Sites by name, best first.")]


class EdgeChoice(Struct, frozen=True, kw_only=True):
    """One answer of steering. ``base_url`` ends in ``/`` and carries the MAC; file names are appended to it.

    ``pathway`` is the name under which content steering and manifests know it.
    """

    pathway: str
    site: str
    appliance: str
    base_url: str
