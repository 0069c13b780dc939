"""The route table: which sites may serve a client's address, IPv4 and IPv6, best first.

Prefixes are kept as one dict of network numbers for each prefix length, asked from the longest down (Waldvogel et al. 1997
search the lengths by halves; with the few lengths of a configuration the plain walk is as fast). IPv4-mapped IPv6 counts as IPv4.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nearcast.base.errors import BadInput
from nearcast.model.route import Announcement, Candidate, Route
from nearcast.model.site import Site

_WIDTH = {4: 32, 6: 128}


class BadRoute(BadInput):
    """A route in the configuration makes no sense."""

    code = "NC3001"
    cure = 'a route is prefix = "203.0.113.0/24", sites = ["dallas", "frankfurt"]'


class Match(NamedTuple):
    """Who may serve an address: the longest prefix that holds it in CIDR notation, and site names best first. Empty: none does.

    ``announced``: those of ``sites`` that an ISP or the configuration names for this address; the others are only near. A site that
    stands in an ISP's network is among them only by a prefix of that ISP or a configured route, and may serve nobody else.
    """

    prefix: str
    sites: tuple[str, ...]
    announced: frozenset[str] = frozenset()


NO_MATCH = Match("", ())


class Table:
    """Routes and announcements, compiled. ``version`` counts up with each change."""

    version = 0

    def __init__(self, levels: dict[int, dict[int, dict[int, tuple[str, list[Announcement]]]]], sites: Sequence[Site]) -> None:
        self._levels = {version: tuple(sorted(each.items())) for version, each in levels.items()}
        self._isps = {each.name: each.isp for each in sites}

    @classmethod
    def of(cls, routes: Iterable[Route], sites: Sequence[Site], announcements: Iterable[Announcement] = ()) -> Table:
        """Compiled in memory. Raises BadRoute for prefixes that are none, prefixes routed twice, and sites that do not exist."""
        levels: dict[int, dict[int, dict[int, tuple[str, list[Announcement]]]]] = {4: {}, 6: {}}
        configured = list(spread(routes, [each.name for each in sites]))
        for each in (*configured, *announcements):
            network = parse_prefix(each.prefix)
            shift = _WIDTH[network.version] - network.prefixlen
            number = int(network.network_address) >> shift
            levels[network.version].setdefault(shift, {}).setdefault(number, (str(network), []))[1].append(each)
        for level in (level for version in levels.values() for level in version.values()):
            for _, entries in level.values():
                entries.sort(key=lambda each: (each.source != "config", len(each.as_path), each.med, each.order, each.site))
        return cls(levels, sites)

    def candidates(self, address: str) -> tuple[Candidate, ...]:
        """Every site that may serve the address with what ranks it, best first, each as often as it was told."""
        version, number = parse_address(address)
        return tuple(
            Candidate(site=each.site, source=each.source, prefix=prefix, as_path=each.as_path, med=each.med, order=each.order)
            for prefix, entries in self._chain(version, number)
            for each in entries
        )

    def match(self, address: str) -> Match:
        """What is no address (a name, an empty text) is served as 0.0.0.0."""
        return self.match_number(*parse_address(address))

    def match_number(self, version: int, number: int) -> Match:
        """``version`` 4 or 6, ``number`` the address as an integer."""
        chain = self._chain(version, number)
        if not chain:
            return NO_MATCH
        entries = [each for _, entries in chain for each in entries]
        told = (each for each in entries if self._isps.get(each.site, "") in ("", each.source) or each.source == "config")
        announced = frozenset(each.site for each in told)
        return Match(chain[0][0], tuple(dict.fromkeys(each.site for each in entries)), announced)

    def block(self, version: int, number: int) -> int:
        """Prefix length of the largest CIDR block around the address within which the match is the same."""
        width = _WIDTH[version]
        own = self._chain(version, number)
        least = int(own[0][0].rpartition("/")[2]) if own else 0
        for length in range(least, width + 1):
            shift = width - length
            block = number >> shift
            if not any(inner < shift and any(each >> (shift - inner) == block for each in level) for inner, level in self._levels[version]):
                return length
        return width

    def _chain(self, version: int, number: int) -> list[tuple[str, list[Announcement]]]:
        return [found for shift, level in self._levels[version] if (found := level.get(number >> shift)) is not None]


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


def parse_prefix(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A prefix in CIDR notation; one within ::ffff:0:0/96 becomes IPv4. Raises BadRoute."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise BadRoute(f"{text!r} is not a prefix: {error}") from error
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        return ipaddress.ip_network((int(network.network_address.ipv4_mapped), network.prefixlen - 96))
    return network


def spread(routes: Iterable[Route], sites: Sequence[str]) -> Iterable[Announcement]:
    """Each configured route as one announcement for each of its sites. Raises BadRoute."""
    seen = set()
    for route in routes:
        network = parse_prefix(route.prefix)
        if network in seen:
            raise BadRoute(f"the prefix {network} has two routes", hint="join them into one, with the sites in order")
        seen.add(network)
        _check_sites(route, sites)
        for order, site in enumerate(dict.fromkeys(route.sites)):
            yield Announcement(prefix=str(network), site=site, order=order)


def _check_sites(route: Route, sites: Sequence[str]) -> None:
    if not route.sites:
        raise BadRoute(f"the route for {route.prefix} names no site")
    for site in route.sites:
        if site not in sites:
            near = difflib.get_close_matches(site, sites, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the sites are {', '.join(sites) or 'none'}"
            raise BadRoute(f"the route for {route.prefix} names the site {site!r}, which does not exist", hint=hint)
