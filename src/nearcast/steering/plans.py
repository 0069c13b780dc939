"""Plans: for each match of the route table, the sites that may serve it, worked out once and kept until the sites change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import NamedTuple

from nearcast.steering import rank
from nearcast.steering.routes import Match
from nearcast.steering.standing import Standing

USUAL, AHEAD_MAX = 3, 16
"""Answers that plans are ready for, and sites that they look at for them at most."""


class Plan(NamedTuple):
    """Those that may serve who has one match: ``ranked`` by the route, and as a last resort ``everybody`` who serves anybody (some of
    them ranked already); in so many failure ``domains``.

    ``usual``: the sites that are chosen, best first, if all that are looked at for it (``ahead``) are able.
    """

    ranked: tuple[Standing, ...]
    everybody: tuple[Standing, ...]
    domains: int
    ahead: tuple[Standing, ...]
    usual: tuple[Standing, ...]


def planned(match: Match, standings: Mapping[str, Standing], everybody: tuple[Standing, ...], domains_open: frozenset[str]) -> Plan:
    """The plan of one match. ``domains_open``: the failure domains of ``everybody``."""
    named = [standings[each] for each in match.sites if each in standings]
    ranked = tuple([each for each in named if rank.may_serve(each.site, match.announced)])
    further = {each.domain for each in ranked} - domains_open
    domains = len(domains_open) + len(further)
    ahead: list[Standing] = []

    def looked_at() -> Iterator[Standing]:
        for each in chain(ranked, (site for site in everybody if site not in ranked)):
            ahead.append(each)
            yield each

    sites = islice(looked_at(), AHEAD_MAX)
    usual = [*islice(sites, 1)]
    if usual:
        usual += rank.distinct(sites, USUAL - 1, domains, usual[0])
    if len(ahead) == AHEAD_MAX:  # there may be better ones behind them
        usual.clear()
    return Plan(ranked, everybody, domains, tuple(ahead) if usual else (), tuple(usual))


class Plans:
    """What was planned, within bounds: ``planned_max`` sites named in all plans together, ``matches_max`` matches whose plan is known."""

    def __init__(self, planned_max: int, matches_max: int) -> None:
        self._planned_max = planned_max
        self._matches_max = matches_max
        self._standings: Mapping[str, Standing] = {}
        self._open: tuple[Standing, ...] = ()
        self._domains: frozenset[str] = frozenset()
        self._plans: dict[tuple[tuple[str, ...], frozenset[str]], Plan] = {}
        self._plan_of: dict[int, tuple[Plan, Match]] = {}
        """By the identity of a match, which is kept with it so that it stays the only one of that identity."""
        self._sites_planned = 0

    def __len__(self) -> int:
        return len(self._plans)

    def gather(self, standings: Mapping[str, Standing]) -> None:
        """Plan anew: these are the sites now."""
        self._standings = standings
        self._open = tuple(each for each in standings.values() if not each.site.isp)
        self._domains = frozenset(each.domain for each in self._open)
        self._forget()

    def of(self, match: Match) -> Plan:
        known = self._plan_of.get(id(match))
        if known is not None:
            return known[0]
        found = self._plans.get((match.sites, match.announced))
        if found is None:
            found = planned(match, self._standings, self._open, self._domains)
            self._sites_planned += 1 + len(found.ranked)
            if self._sites_planned > self._planned_max:
                self._forget()
                self._sites_planned = 1 + len(found.ranked)
            self._plans[match.sites, match.announced] = found
        if len(self._plan_of) >= self._matches_max:
            self._plan_of.clear()
        self._plan_of[id(match)] = found, match
        return found

    def _forget(self) -> None:
        self._plans.clear()
        self._plan_of.clear()
        self._sites_planned = 0
