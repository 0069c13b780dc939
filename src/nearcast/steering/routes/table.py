"""The route table: longest prefix match of a client's address, IPv4 and IPv6, compiled beforehand. Pure.

Prefixes are kept as one dict of network numbers for each prefix length, asked from the longest down (Waldvogel et al. 1997
search the lengths by halves; with the few lengths of a configuration the plain walk is as fast). IPv4-mapped IPv6 counts as IPv4.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nearcast.base.errors import BadInput
from nearcast.model.route import Route

_WIDTH = {4: 32, 6: 128}


class BadRoute(BadInput):
    """A route in the configuration makes no sense."""

    code = "NC3001"
    cure = 'a route is prefix = "203.0.113.0/24", sites = ["dallas", "frankfurt"]'


class Match(NamedTuple):
    """The route that serves an address: its prefix in CIDR notation, and site names best first. Both empty: none does."""

    prefix: str
    sites: tuple[str, ...]


NO_MATCH = Match("", ())


class RouteTable:
    """Routes, compiled. Raises BadRoute for prefixes that are none, prefixes given twice, and sites that do not exist."""

    def __init__(self, routes: Iterable[Route], sites: Sequence[str]) -> None:
        found: dict[int, dict[int, dict[int, Match]]] = {4: {}, 6: {}}
        for route in routes:
            network = _network(route)
            _check_sites(route, sites)
            shift = _WIDTH[network.version] - network.prefixlen
            level = found[network.version].setdefault(shift, {})
            number = int(network.network_address) >> shift
            if number in level:
                raise BadRoute(f"the prefix {network} has two routes", hint="join them into one, with the sites in order")
            level[number] = Match(str(network), route.sites)
        # Smallest shift first: that is the longest prefix.
        self._levels = {version: tuple(sorted(levels.items())) for version, levels in found.items()}

    def match(self, address: str) -> Match:
        """The longest prefix that holds ``address``; what is no address (a name, an empty text) is served as 0.0.0.0."""
        version, number = parse_address(address)
        for shift, level in self._levels[version]:
            found = level.get(number >> shift)
            if found is not None:
                return found
        return NO_MATCH


def parse_address(address: str) -> tuple[int, int]:
    """Version and number of an address; zone ids are cut off, IPv4-mapped IPv6 becomes IPv4, anything else 0.0.0.0."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return 4, 0
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        return (6, int(parsed)) if mapped is None else (4, int(mapped))
    return 4, int(parsed)


def _network(route: Route) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(route.prefix)
    except ValueError as error:
        raise BadRoute(f"{route.prefix!r} is not a prefix: {error}") from error
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        return ipaddress.ip_network((int(network.network_address.ipv4_mapped), network.prefixlen - 96))
    return network


def _check_sites(route: Route, sites: Sequence[str]) -> None:
    if not route.sites:
        raise BadRoute(f"the route for {route.prefix} names no site")
    for site in route.sites:
        if site not in sites:
            near = difflib.get_close_matches(site, sites, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the sites are {', '.join(sites) or 'none'}"
            raise BadRoute(f"the route for {route.prefix} names the site {site!r}, which does not exist", hint=hint)
