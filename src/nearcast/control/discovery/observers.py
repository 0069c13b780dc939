"""Who looks at whom: each appliance has a few others as observers, taken from a ring by hashing.

The ring is that of consistent hashing (Karger et al., 1997): who comes or goes changes the observers of its neighbours on it alone.
Those of other networks come first, and of many rather than of one, for what cuts a site off is to be seen from outside. A site that only
its ISP's customers reach is looked at from within its network alone. Who falls silent is looked at for as long as somebody
reaches it, and a while yet: silence may be the report's failure alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

from nearcast.model.site import ApplianceReport, Site
from nearcast.policy.sight import TOLD_MAX, may_look, witness_s

OBSERVERS = 3
WALK_MAX = 64
"""So far along the ring at most is somebody of another network looked for."""
SILENT_S = 600.0
SILENT_MAX = 10_000
CHOSEN_S = 1.0
"""So often at most are observers chosen anew."""
URL_MAX = 500


# --- pure -------------------------------------------------------------------------------------------------------------


def ring(names: Iterable[str]) -> list[str]:
    """Appliances in the order of the ring."""
    return sorted(names, key=lambda name: (hashlib.blake2b(name.encode(), digest_size=8).digest(), name))


def assigned(
    networks: Mapping[str, str],
    able: Collection[str],
    watched: Collection[str],
    closed: Collection[str] = (),
    *,
    count: int = OBSERVERS,
    each_max: int = TOLD_MAX,
) -> dict[str, tuple[str, ...]]:
    """Whom each of ``able`` is to look at: all of ``watched``, by ``count`` others each where there are as many, and nobody has more than
    ``each_max``. ``networks``: of all of them; those in ``closed`` are looked at by their own alone.
    """
    whole = ring(networks)
    rings: dict[str | None, dict[str, int]] = {None: {name: place for place, name in enumerate(whole)}}
    for name in whole:
        inside = rings.setdefault(networks[name], {})
        inside[name] = len(inside)
    orders = {which: list(places) for which, places in rings.items()}
    found: dict[str, list[str]] = {name: [] for name in able}
    for name in (each for each in whole if each in watched):
        which = networks[name] if name in closed else None
        order, place = orders[which], rings[which][name]
        after = (order[(place + step) % len(order)] for step in range(1, min(len(order), WALK_MAX + 1)))
        free = [each for each in after if each in found and len(found[each]) < each_max]
        for observer in _apart(free, networks, networks[name])[:count]:
            found[observer].append(name)
    return {name: tuple(those) for name, those in found.items()}


def _apart(names: Iterable[str], networks: Mapping[str, str], own: str) -> list[str]:
    """One of each network, then the seconds, and so on; those of ``own`` last."""
    seen: dict[str, int] = {}
    ranked = []
    for name in names:
        seen[networks[name]] = seen.get(networks[name], 0) + 1
        ranked.append((networks[name] == own, seen[networks[name]], name))
    return [name for _, _, name in sorted(ranked, key=lambda each: each[:2])]


def votes(alive: Iterable[tuple[ApplianceReport, float]]) -> dict[str, dict[str, bool]]:
    """By appliance, what its observers told of it lately. ``alive``: reports and their ages."""
    found: dict[str, dict[str, bool]] = {}
    for report, age_s in alive:
        if age_s <= witness_s(report.lease_s / 3):
            for name, reached in report.seen.items():
                found.setdefault(name, {})[report.id] = reached
    return found


# --- with memory ------------------------------------------------------------------------------------------------------


class Circle:
    """The observers of now. Times are monotonic. ``sites``: those of which something is known beside their names."""

    def __init__(self, sites: Iterable[Site] = ()) -> None:
        self._sites = {each.name: each for each in sites}
        self._there: dict[str, ApplianceReport] = {}
        self._silent: dict[str, tuple[ApplianceReport, float]] = {}
        """Whose lease ended, and when that was, or when somebody reached it last."""
        self._asked: dict[str, dict[str, str]] = {}
        self._chosen_of: frozenset[tuple[str, str, str, bool]] = frozenset()
        self._chosen_s = -math.inf

    @property
    def silent(self) -> Collection[str]:
        return self._silent.keys()

    def asked(self, observer: str) -> dict[str, str]:
        """Health URLs by appliance, for this one to look at."""
        return self._asked.get(observer, {})

    def left(self, name: str) -> None:
        """It said good-bye: nobody needs to look for it."""
        self._there.pop(name, None)
        self._silent.pop(name, None)

    def due(self, now_s: float) -> bool:
        return now_s - self._chosen_s >= CHOSEN_S

    def choose(self, there: Iterable[ApplianceReport], now_s: float) -> None:
        """By who is there now; the same while nobody comes or goes."""
        self._chosen_s = now_s
        before, self._there = self._there, {each.id: each for each in there}
        self._silent |= {name: (report, now_s) for name, report in before.items() if name not in self._there}
        reached = {name for each in self._there.values() for name, good in each.seen.items() if good}
        self._silent |= {name: (report, now_s) for name, (report, _) in self._silent.items() if name in reached}
        kept = [(name, found) for name, found in self._silent.items() if name not in self._there and now_s - found[1] <= SILENT_S]
        self._silent = dict(kept[-SILENT_MAX:])
        known = {**{name: report for name, (report, _) in self._silent.items()}, **self._there}
        members = frozenset((each.id, each.site, each.health_url, each.id in self._there) for each in known.values())
        if members == self._chosen_of:
            return
        self._chosen_of = members
        urls = {name: each.health_url for name, each in known.items() if len(each.health_url) <= URL_MAX and _decent(each)}
        homes = {name: self._sites.get(each.site) or Site(name=each.site) for name, each in known.items()}
        closed = {name for name, home in homes.items() if home.reached_by == "isp"}
        chosen = assigned({name: home.network for name, home in homes.items()}, self._there, urls, closed)
        self._asked = {observer: {name: urls[name] for name in names} for observer, names in chosen.items()}


def _decent(report: ApplianceReport) -> bool:
    return may_look(report.address, report.health_url)
