"""From the sites of a route to those that a session is given: who may serve, in which order, in how many failure domains. Pure.

The route's order of sites decides among those that can take a session, and every other open site stands behind them as a last resort.
An ISP's site serves only what was announced to it, whatever else fails. Who drains or is full is named only when nobody else is
there, who is down only when there is nobody at all: better a last hope than none.

A site that lacks the title still comes in its turn: it fetches what it is asked for from its parent, once for all who wait, and
the viewers after this one find it there. A holder is preferred to it only where it is no detour: a site of the same failure domain,
its parent (whose bytes would cross the same link either way), or one within DETOUR_KM; a far holder would cost every viewer the way,
for the whole film. One holder at least is among the answers if the route has one: with parents and origin dead, it plays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.policy.load import FULL as FULL_SHARE

ABLE, DRAINING, FULL, DOWN = 0, 1, 2, 3
"""What to hope for, best first: who drains serves whoever comes, who is full refuses some, who is down may be back."""
HELD_SHARE = 0.5
"""Who holds at least so much of what the best of its site holds counts as a holder: at first all fill at once."""
DETOUR_KM = 1000.0
"""Some 10 ms there and back through fibre: no more than a miss that the parent answers."""
DETOUR_SITES = 4
"""So many further sites of the route are looked at for a holder that is no detour."""
DEMOTED_MAX = 0.2
_EARTH_KM = 6371.0


class Placed(Protocol):
    @property
    def domain(self) -> str: ...


P = TypeVar("P", bound=Placed)


def level(health: ApplianceHealth) -> int:
    """ABLE, or what keeps it from new sessions."""
    if health.state == "up":
        return FULL if health.load == "full" or health.share >= FULL_SHARE else ABLE
    return DRAINING if health.state == "draining" else DOWN


def may_serve(site: Site, announced: frozenset[str]) -> bool:
    """Whether the site may serve a client for whom ``announced`` were told. One in an ISP's network serves nobody else."""
    return not site.isp or site.name in announced


def domain(site: Site) -> str:
    """What fails together: the zone; a site without one is a domain of its own."""
    return f"zone {site.zone}" if site.zone else f"site {site.name}"


def distance_km(one: Site, other: Site) -> float:
    """Great circle between two sites (haversine); negative where one of them is nowhere in particular."""
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return -1.0
    north, south = math.radians(one.latitude), math.radians(other.latitude)
    across = math.sin(math.radians(other.longitude - one.longitude) / 2) ** 2
    chord = math.sin((south - north) / 2) ** 2 + math.cos(north) * math.cos(south) * across
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, chord)))


def no_detour(lacking: Site, holding: Site) -> bool:
    """Whether viewers of one site may as well go to the other for what it lacks. Nothing known of distances: the route's order is all
    there is, and a holder in it is preferred."""
    if holding.name in lacking.parents or (lacking.zone and lacking.zone == holding.zone):
        return True
    return distance_km(lacking, holding) <= DETOUR_KM


def behind(sites: Iterable[P], demoted: Callable[[P], bool]) -> Iterator[P]:
    """``sites`` in order, those that are ``demoted`` each behind the next that is not."""
    waiting: list[P] = []
    for each in sites:
        if demoted(each):
            waiting.append(each)
            continue
        yield each
        yield from waiting
        waiting.clear()
    yield from waiting


def distinct(sites: Iterable[P], count: int, domains: int, first: P) -> list[P]:
    """Up to ``count`` of ``sites`` beside the ``first`` answer's, best first: one for each further failure domain, and only then others.

    ``domains``: how many there are at all, so that nobody looks for more.
    """
    if count < 1:
        return []
    taken = {first.domain}
    chosen: list[P] = []
    spare: list[P] = []
    for each in sites:
        if each.domain not in taken:
            chosen.append(each)
            taken.add(each.domain)
        elif len(spare) < count and each is not first:
            spare.append(each)
        if len(chosen) == count or (len(taken) >= domains and len(chosen) + len(spare) >= count):
            break
    return (chosen + spare)[:count]
