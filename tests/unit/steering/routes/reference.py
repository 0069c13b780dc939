"""The route table in its plainest form, which the real one is held against: every prefix is looked at, by ``ipaddress``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from nearcast.model.route import Announcement
from nearcast.model.site import Site
from nearcast.steering.routes import NO_MATCH, Match
from nearcast.steering.routes.countries import countries
from nearcast.steering.routes.geographic import distance_km

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SITES = (
    Site(name="a", latitude=19.1, longitude=72.9),
    Site(name="b", latitude=50.1, longitude=8.7),
    Site(name="c", isp="north", latitude=52.5, longitude=13.4),
    Site(name="d", isp="south"),
    Site(name="e", latitude=32.8, longitude=-96.8),
)
SOURCES = ("config", "north", "south")


class Reference:
    """Announcements by prefix, source and site. ``places``: country code of each block that geography knows."""

    def __init__(self, announcements: Iterable[Announcement] = (), places: Mapping[Network, str] | None = None) -> None:
        self.places = places or {}
        self.told: dict[tuple[Network, str, str], Announcement] = {}
        self.announce(announcements)

    def announce(self, announcements: Iterable[Announcement]) -> None:
        self.told.update({(ipaddress.ip_network(each.prefix), each.source, each.site): each for each in announcements})

    def withdraw(self, announcements: Iterable[Announcement]) -> None:
        for each in announcements:
            self.told.pop((ipaddress.ip_network(each.prefix), each.source, each.site), None)

    def everything(self) -> list[Announcement]:
        return list(self.told.values())

    def place(self, address: Address) -> str:
        holding = [each for each in self.places if each.version == address.version and address in each]
        return self.places[max(holding, key=lambda each: each.prefixlen)] if holding else ""

    def km(self, site: str, address: Address) -> float:
        """Infinitely far where either place is not known."""
        country, where = self.place(address), next(each for each in SITES if each.name == site)
        if not country or where.latitude is None or where.longitude is None:
            return float("inf")
        return distance_km(where.latitude, where.longitude, *countries()[country])

    def match(self, address: Address) -> Match:
        holding = [
            (network, each) for (network, _, _), each in self.told.items() if network.version == address.version and address in network
        ]
        holding.sort(
            key=lambda pair: (
                -pair[0].prefixlen,
                pair[1].source != "config",
                len(pair[1].as_path),
                pair[1].med,
                pair[1].order,
                self.km(pair[1].site, pair[0][0]),
                pair[1].site,
            )
        )
        near = sorted((self.km(each.name, address), each.name) for each in SITES if not each.isp and self.km(each.name, address) < 1e9)
        sites = [each.site for network, each in holding if network.prefixlen]
        sites += [name for _, name in near]
        sites += [each.site for network, each in holding if not network.prefixlen]
        if not sites:
            return NO_MATCH
        isps = {each.name: each.isp for each in SITES}
        announced = {each.site for _, each in holding if each.source in ("config", isps[each.site]) or not isps[each.site]}
        return Match(str(holding[0][0]) if holding else "", tuple(dict.fromkeys(sites)), frozenset(announced))

    def block(self, address: Address) -> int:
        """The shortest length whose block lies in the matching prefix, touches no prefix within that, and is all in one place."""
        networks = {network for network, _, _ in self.told if network.version == address.version}
        own = max((each for each in networks if address in each), key=lambda each: each.prefixlen, default=None)
        for length in range(own.prefixlen if own else 0, address.max_prefixlen + 1):
            block = ipaddress.ip_network((address, length), strict=False)
            split = any(each != own and each.prefixlen >= length and each.overlaps(block) for each in networks)
            if not split and len({self.place(each) for each in self._edges(block)}) == 1:
                return length
        return address.max_prefixlen

    def _edges(self, block: Network) -> list[Address]:
        """Its first address, and every other at which the place may change."""
        inside = [each for each in self.places if each.version == block.version and each.overlaps(block)]
        last = int(block[-1])
        behind = [block[int(each[-1]) + 1 - int(block[0])] for each in inside if int(each[-1]) < last]
        return [block[0], *(each[0] for each in inside if each[0] in block), *behind]


@st.composite
def near_networks(draw: st.DrawFn) -> Network:
    """Prefixes that lie close together, so that they nest and touch: they differ in the first bits, some in the middle, and the last."""
    if draw(st.booleans()):
        bits, width = draw(st.sampled_from([28, 20, 12, 0])), 32
    else:
        bits, width = draw(st.sampled_from([124, 64, 60, 66, 0])), 128
    number = draw(st.integers(0, 15)) << bits | draw(st.integers(0, 15)) << (width // 2) | draw(st.integers(0, 15))
    number %= 1 << width
    length = draw(st.integers(0, width) | st.sampled_from([0, 1, 4, width - 1, width, width // 2 - 2, width // 2]))
    address: Address = ipaddress.IPv4Address(number) if width == 32 else ipaddress.IPv6Address(number)
    return ipaddress.ip_network((address, length), strict=False)


def is_mapped(network: Network) -> bool:
    return isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None


networks = near_networks().filter(lambda each: not is_mapped(each))
announcements = st.builds(
    Announcement,
    prefix=networks.map(str),
    site=st.sampled_from([each.name for each in SITES]),
    source=st.sampled_from(SOURCES),
    as_path=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    med=st.integers(0, 2),
    order=st.integers(0, 2),
)


@st.composite
def addresses_of(draw: st.DrawFn, told: Iterable[str]) -> Address:
    """At the edges of one of these prefixes, or just beyond; or anywhere."""
    network = ipaddress.ip_network(draw(st.sampled_from(sorted(told) or ["10.0.0.0/8"])))
    number = draw(
        st.sampled_from([int(network[0]), int(network[-1]), int(network[0]) - 1, int(network[-1]) + 1]) | st.integers(0, 2**32 - 1)
    )
    number %= 1 << network.max_prefixlen
    return ipaddress.IPv4Address(number) if network.version == 4 else ipaddress.IPv6Address(number)
