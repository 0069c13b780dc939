"""Routes: which sites may serve a client prefix, best first."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Route(Struct, frozen=True, kw_only=True):
    """``prefix`` in CIDR notation, IPv4 or IPv6; ``sites`` by name, best first."""

    prefix: Annotated[str, Meta(description="Clients' addresses in CIDR notation.")]
    sites: Annotated[tuple[str, ...], Meta(description="Sites by name, best first.")]


class EdgeChoice(Struct, frozen=True, kw_only=True, gc=False):
    """One answer of steering. ``base_url`` ends in ``/`` and carries the MAC; file names are appended to it.

    ``pathway`` is the name under which content steering and manifests know it.
    """

    pathway: str
    site: str
    appliance: str
    base_url: str


class Announcement(Struct, frozen=True, kw_only=True, gc=False):
    """One way to a prefix, as it was told for one site: by an ISP over BGP (``source`` is its name) or by the configuration.

    ``order`` is the place of the site in a configured route (0: best); BGP has ``as_path`` and ``med`` instead.
    """

    prefix: str
    site: str
    source: str = "config"
    as_path: tuple[int, ...] = ()
    med: int = 0
    order: int = 0


class Candidate(Struct, frozen=True, kw_only=True):
    """A site that may serve an address, and what ranks it: the longest prefix, then AS-path length, MED, distance.

    ``distance_km`` is from the site to where the client's prefix is known to be; negative where it is not known. ``why`` is what put it
    behind the one before it, in explanations.
    """

    site: str
    source: str
    prefix: str
    as_path: tuple[int, ...] = ()
    med: int = 0
    order: int = 0
    distance_km: float = -1.0
    why: str = ""
