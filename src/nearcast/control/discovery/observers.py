"""Who looks at whom: each appliance has a few others as observers, taken from a ring by hashing.

The ring is that of consistent hashing (Karger et al., 1997): who comes or goes changes the observers of its neighbours on it alone.
Those of other sites come first, for what cuts a site off is to be seen from outside. Who falls silent is looked at for as long as somebody
reaches it, and a while yet: silence may be the report's failure alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

from nearcast.model.site import ApplianceReport
from nearcast.policy.sight import TOLD_MAX, may_look, witness_s

OBSERVERS = 3
WALK_MAX = 64
"""So far along the ring at most is somebody of another site looked for."""
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
    sites: Mapping[str, str], able: Collection[str], watched: Collection[str], *, count: int = OBSERVERS, each_max: int = TOLD_MAX
) -> dict[str, tuple[str, ...]]:
    """Whom each of ``able`` is to look at: all of ``watched``, by ``count`` others each where there are as many, and nobody has more than
    ``each_max``. ``sites``: of all of them.
    """
    order = ring(sites)
    found: dict[str, list[str]] = {name: [] for name in able}
    for index, name in enumerate(order):
        if name not in watched:
            continue
        after = (order[(index + step) % len(order)] for step in range(1, min(len(order), WALK_MAX + 1)))
        free = [each for each in after if each in found and len(found[each]) < each_max]
        for observer in sorted(free, key=lambda each: sites[each] == sites[name])[:count]:
            found[observer].append(name)
    return {name: tuple(those) for name, those in found.items()}


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
    """The observers of now. Times are monotonic."""

    def __init__(self) -> None:
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
        chosen = assigned({name: each.site for name, each in known.items()}, self._there, urls)
        self._asked = {observer: {name: urls[name] for name in names} for observer, names in chosen.items()}


def _decent(report: ApplianceReport) -> bool:
    return may_look(report.address, report.health_url)
