"""What can be set about steering: the sites, and which of them serve which client prefixes."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from nearcast.base.config import Unfitting
from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.policy import sight
from nearcast.policy.windows import UnknownTimezone, zone
from nearcast.steering.dns import wire
from nearcast.steering.dns.settings import DnsSettings
from nearcast.steering.health.settings import HealthSettings
from nearcast.steering.routes import BadRoute, Prefix, parse_prefix
from nearcast.steering.routes.configured import close_to, spread
from nearcast.steering.routes.countries import BadGeography, middle
from nearcast.steering.routes.peering import check_isps
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp

DEMO_SITES = (
    Site(name="frankfurt", label="Frankfurt", zone="eu", timezone="Europe/Berlin", latitude=50.11, longitude=8.68),
    Site(name="mumbai", label="Mumbai", zone="ap-south", timezone="Asia/Kolkata", latitude=19.08, longitude=72.88),
    Site(name="singapore", label="Singapore", zone="ap-southeast", timezone="Asia/Singapore", latitude=1.35, longitude=103.82),
    Site(name="dallas", label="Dallas", zone="us", timezone="America/Chicago", latitude=32.78, longitude=-96.80),
)
_EUROPE = ("frankfurt", "mumbai", "singapore", "dallas")
_INDIA = ("mumbai", "singapore", "frankfurt", "dallas")
_SOUTH_EAST = ("singapore", "mumbai", "frankfurt", "dallas")
_AMERICA = ("dallas", "frankfurt", "singapore", "mumbai")

DEMO_ROUTES = (
    # This machine, private networks, and whoever nothing else is known of.
    *(
        Route(prefix=prefix, sites=_EUROPE)
        for prefix in (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
            "0.0.0.0/0",
            "::/0",
        )
    ),
    # The networks that documentation may use (RFC 5737, RFC 3849) stand for three continents, so that the map can be tried.
    Route(prefix="192.0.2.0/24", sites=_INDIA),
    Route(prefix="198.51.100.0/24", sites=_SOUTH_EAST),
    Route(prefix="203.0.113.0/24", sites=_AMERICA),
    Route(prefix="2001:db8:1::/48", sites=_INDIA),
    Route(prefix="2001:db8:2::/48", sites=_SOUTH_EAST),
    Route(prefix="2001:db8:3::/48", sites=_AMERICA),
    # Blocks that the regional registries hold whole: APNIC, ARIN, RIPE.
    *(Route(prefix=prefix, sites=_SOUTH_EAST) for prefix in ("1.0.0.0/8", "27.0.0.0/8", "36.0.0.0/8", "101.0.0.0/8", "2400::/12")),
    *(Route(prefix=prefix, sites=_INDIA) for prefix in ("49.32.0.0/11", "106.192.0.0/10", "117.192.0.0/10")),
    *(Route(prefix=prefix, sites=_AMERICA) for prefix in ("24.0.0.0/8", "67.0.0.0/8", "68.0.0.0/8", "76.0.0.0/8", "2600::/12")),
    *(Route(prefix=prefix, sites=_EUROPE) for prefix in ("62.0.0.0/8", "77.0.0.0/8", "81.0.0.0/8", "93.0.0.0/8", "2a00::/12")),
)


def check_site(index: int, site: Site, tiers: Mapping[str, str]) -> None:
    """Raises Unfitting for a time zone that there is none of, doors that are no addresses, and parents that are no exchanges.

    ``tiers``: of all sites, by name.

    Only edges have parents, and only exchanges are parents, so that no circle can close.
    """
    try:
        zone(site.timezone)
    except UnknownTimezone as error:
        raise Unfitting(("sites", index, "timezone"), error.message, error.hint) from error
    for each in site.doors:
        if not wire.packed(each):
            hint = 'as doors = ["192.0.2.80", "2001:db8::80"]'
            raise Unfitting(("sites", index, "doors"), f"{each!r} is no IP address of a machine", hint)
    if site.parents and site.tier != "edge":
        hint = "leave parents out here, or make it an edge"
        raise Unfitting(("sites", index, "parents"), f"{site.name} is of the tier {site.tier}, which takes from the origin alone", hint)
    for parent in site.parents:
        if parent not in tiers:
            close = difflib.get_close_matches(parent, tiers, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(tiers)}"
            raise Unfitting(("sites", index, "parents"), f"there is no site {parent!r}", hint)
        if tiers[parent] != "exchange":
            raise Unfitting(("sites", index, "parents"), f"{parent} is no exchange", f'set tier = "exchange" there, or leave {parent} out')
    if len(set(site.parents)) < len(site.parents):
        raise Unfitting(("sites", index, "parents"), "a parent is named twice", "name each once, the best first")


def check_places(sites: Sequence[Site]) -> None:
    """Raises Unfitting for a point that is not on the earth, and for half a point."""
    for index, site in enumerate(sites):
        for name, value, most in (("latitude", site.latitude, 90), ("longitude", site.longitude, 180)):
            if value is None and (site.latitude, site.longitude) != (None, None):
                hint = "give both, in degrees north and east, or neither"
                raise Unfitting(("sites", index), f"{site.name} has no {name}, without which it is nowhere", hint)
            if value is not None and not -most <= value <= most:  # so that nan is refused, too
                raise Unfitting(("sites", index, name), f"{value} is no {name}", f"it goes from -{most} to {most} degrees")


def check_networks(sites: Sequence[Site], isps: Sequence[Isp]) -> None:
    """Raises Unfitting for sites in the network of an ISP that there is none of, and for ISPs that announce another ISP's site."""
    homes = {each.name: each.isp for each in sites}
    known = dict.fromkeys(each.name for each in isps)
    for index, site in enumerate(sites):
        if site.isp and site.isp not in known:
            raise Unfitting(("sites", index, "isp"), f"there is no ISP {site.isp!r}", close_to(site.isp, known))
    for index, isp in enumerate(isps):
        for name in isp.sites:
            if homes.get(name, "") not in ("", isp.name):
                hint = f"leave it out here: it serves what {homes[name]} announces"
                raise Unfitting(("isps", index, "sites"), f"{name} stands in the network of {homes[name]}", hint)


def check_routes(routes: Sequence[Route], sites: Sequence[Site]) -> None:
    """Raises Unfitting for routes that make no sense, and for a default that would send everybody to an ISP's site."""
    homes = {each.name: each.isp for each in sites}
    for index, route in enumerate(routes):
        try:
            told = tuple(spread((route,), homes))
        except BadRoute as error:
            raise Unfitting(("routes", index), error.message, error.hint) from error
        closed = next((each.site for each in told if parse_prefix(each.prefix).length == 0 and homes[each.site]), "")
        if closed:
            hint = f"leave {closed} out here: it serves only what is announced to it"
            raise Unfitting(("routes", index), f"the default route names {closed}, which stands in the network of {homes[closed]}", hint)
    try:
        tuple(spread(routes, homes))
    except BadRoute as error:
        raise ValueError(f"{error.message} ({error.hint})") from error


def check_blocks(geographic: GeographicSettings) -> None:
    """Raises Unfitting for countries that are none, prefixes that are none, and a prefix in two countries."""
    homes: dict[Prefix, str] = {}
    for code, prefixes in geographic.blocks.items():
        try:
            middle(code)
            found = [parse_prefix(each) for each in prefixes]
        except (BadGeography, BadRoute) as error:
            raise Unfitting(("geographic", "blocks", code), error.message, error.hint) from error
        for each in found:
            if homes.setdefault(each, code) != code:
                hint = "leave it out of one of them; a longer prefix within it may be elsewhere"
                raise Unfitting(("geographic", "blocks", code), f"{each} is given to {homes[each]} already", hint)


def routes_for(sites: Sequence[Site]) -> tuple[Route, ...]:
    """The routes of whoever gives none: the demo's for its sites, else one to all sites that serve anybody, in the order given."""
    names = tuple(each.name for each in sites if each.tier == "edge" and not each.isp)
    if names and not {each.name for each in DEMO_SITES} <= set(names):
        return tuple(Route(prefix=prefix, sites=names) for prefix in ("0.0.0.0/0", "::/0"))
    return DEMO_ROUTES if names else ()


def check_poll(poll_s: float) -> None:
    """Raises Unfitting for an interval in which reports of the usual one (0.5 s) would grow too old to count."""
    longest_s = sight.WITNESS_S - 0.5
    if poll_s > longest_s:
        text = f"asked each {poll_s:g} s, discovery tells of reports that are too old to count, and of a dead edge after more than 2 s"
        raise Unfitting(("poll_s",), text, f"{longest_s:g} at most; 0.5 is usual")


class SteeringSettings(Struct, frozen=True, kw_only=True):
    """Sites, routes, and how fast steering learns that an edge is gone."""

    renamed: ClassVar[dict[str, str]] = {"stale_s": "leave it out: of an appliance that falls silent, looks decide ([steering.health])"}
    sites: Annotated[tuple[Site, ...], Meta(description="Where appliances stand.")] = DEMO_SITES
    routes: Annotated[
        tuple[Route, ...],
        Meta(description="Client prefixes (CIDR, IPv4 or IPv6) and the sites that serve them, best first. None given: all sites for all."),
    ] = DEMO_ROUTES
    isps: Annotated[tuple[Isp, ...], Meta(description="The ISPs that announce their prefixes.")] = ()
    bgp: BgpSettings = field(default_factory=BgpSettings)
    geographic: GeographicSettings = field(default_factory=GeographicSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    dns: DnsSettings = field(default_factory=DnsSettings)
    poll_s: Annotated[float, Meta(gt=0, description="Interval at which discovery is asked for the appliances' health, 0.75 s at most.")] = (
        0.5
    )

    def __post_init__(self) -> None:
        names = [each.name for each in self.sites]
        tiers = {each.name: each.tier for each in self.sites}
        if len(tiers) < len(names):
            raise ValueError(f"there are two sites named {Counter(names).most_common(1)[0][0]}")
        for index, each in enumerate(self.sites):
            check_site(index, each, tiers)
        if self.routes is DEMO_ROUTES:
            force_setattr(self, "routes", routes_for(self.sites))
        check_poll(self.poll_s)
        check_places(self.sites)
        check_isps(self.isps, self.bgp, tiers)
        check_networks(self.sites, self.isps)
        check_routes(self.routes, self.sites)
        check_blocks(self.geographic)
