"""What players measured at a site lowers its rank: the share of its viewers that go elsewhere for it. Pure and deterministic.

A site's suffering is the mean over its accounts, each of weight 1 (insight has seen to that, and to what the edges' logs bear out).
It is held against what is not the site's fault, as far as that can be told: how the viewers of the same networks fare at other sites,
and where none of them is elsewhere, the median of the other sites. A bad hour of an access network is thus charged to nobody once
some of its viewers were tried elsewhere, and a bad hour of everybody's to nobody at all.

    blame = (suffering · accounts − LIARS)⁺ / accounts − (compared · elsewhere + (1 − compared) · median of the others)

As many as LIARS accounts may lie together and move nothing; a site of fewer than ACCOUNTS_MIN is not judged. The share follows the blame
with a dead band (between ENTER and LEAVE nothing changes), rises within RISE_S and falls within FALL_S, so that a site that is better
for having fewer viewers does not get them back at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from nearcast.model.quality import ApplianceQuality
from nearcast.model.site import Site

DEMOTED_MAX = 0.2
LIARS = 10.0
ACCOUNTS_MIN = 20.0
ENTER, LEAVE = 0.10, 0.04
"""Blame above which a share grows, and below which it shrinks."""
STEEPNESS = 0.4
"""So much blame beyond these is answered with DEMOTED_MAX."""
RISE_S, FALL_S = 60.0, 900.0
"""From nothing to DEMOTED_MAX, and back."""


class SiteQuality(Struct, frozen=True):
    """Sums over a site's appliances; all three in accounts. ``elsewhere``: what the ``compared`` of them are seen to suffer elsewhere."""

    accounts: float
    suffering: float
    elsewhere: float
    compared: float


def by_site(qualities: Iterable[ApplianceQuality], sites: Iterable[Site]) -> dict[str, SiteQuality]:
    """The sites that enough accounts tell of, by name."""
    names = sorted(each.name for each in sites)
    found: dict[str, list[ApplianceQuality]] = {name: [] for name in names}
    for each in sorted(qualities, key=lambda each: each.appliance):
        if each.site in found:
            found[each.site].append(each)
    sums = {
        name: SiteQuality(
            accounts=sum(each.accounts for each in here),
            suffering=sum(each.accounts * each.suffering for each in here),
            elsewhere=sum(each.accounts * each.compared * each.elsewhere for each in here),
            compared=sum(each.accounts * each.compared for each in here),
        )
        for name, here in found.items()
    }
    return {name: each for name, each in sums.items() if each.accounts >= ACCOUNTS_MIN}


def blame(site: str, found: Mapping[str, SiteQuality]) -> float:
    """How much worse it is at ``site`` than elsewhere, 0 to 1. Where nothing can be compared there is no blame."""
    here = found[site]
    own = max(0.0, here.suffering - LIARS) / here.accounts
    others = [each.suffering / each.accounts for name, each in found.items() if name != site]
    usual = statistics.median(others) if others else 1.0
    explained = (here.elsewhere + (here.accounts - here.compared) * usual) / here.accounts
    return max(0.0, own - explained)


def follow(before: float, blamed: float, elapsed_s: float) -> float:
    """The share of a site after ``elapsed_s``: nearer to what ``blamed`` asks for, never above DEMOTED_MAX."""
    least, most = (DEMOTED_MAX * min(1.0, max(0.0, blamed - edge) / STEEPNESS) for edge in (ENTER, LEAVE))
    wanted = min(max(before, least), most)
    elapsed_s = max(0.0, elapsed_s)
    highest, lowest = before + DEMOTED_MAX * elapsed_s / RISE_S, before - DEMOTED_MAX * elapsed_s / FALL_S
    return min(DEMOTED_MAX, max(lowest, min(highest, wanted)))


def demotions(
    qualities: Sequence[ApplianceQuality], sites: Sequence[Site], before: Mapping[str, float], elapsed_s: float
) -> dict[str, float]:
    """The share (0 to DEMOTED_MAX) of each site's viewers that are to go elsewhere; sites that stand well are left out.

    ``before``: what this gave ``elapsed_s`` ago.
    """
    found = by_site(qualities, sites)
    shares = {
        each.name: follow(before.get(each.name, 0.0), blame(each.name, found) if each.name in found else 0.0, elapsed_s) for each in sites
    }
    return {name: share for name, share in sorted(shares.items()) if share > 0}


class Demoting:
    """Remembers the shares from one look to the next. ``now_s`` on any clock that does not go back."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = tuple(sites)
        self._looked_s: float | None = None
        self.shares: dict[str, float] = {}

    def look(self, qualities: Sequence[ApplianceQuality], now_s: float) -> dict[str, float]:
        elapsed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        self.shares = demotions(qualities, self._sites, self.shares, elapsed_s)
        return self.shares
