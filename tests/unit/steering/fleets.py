"""Fleets, tables and views for the tests of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.site import Site
from nearcast.steering.decide import Decider
from nearcast.steering.decision import Decision, Limits
from nearcast.steering.routes import Match
from nearcast.steering.view import View

FILM = {"t": 1000}


def health(name: str, site: str = "", **more: Any) -> ApplianceHealth:
    """Up at ``site`` (else at the part of its name before the dash)."""
    return ApplianceHealth(**{"id": name, "site": site or name.partition("-")[0], "address": f"http://{name}.example", **more})


def view(
    appliances: Iterable[ApplianceHealth],
    holdings: Mapping[str, Mapping[str, int]] | None = None,
    *,
    now_s: float = 1000.0,
    demoted: dict[str, float] | None = None,
) -> View:
    """Everybody holds the title ``t`` where nothing else is said."""
    everybody = tuple(appliances)
    held = {each.id: FILM for each in everybody} if holdings is None else holdings
    return View(HealthSnapshot(version=1, published_s=now_s, appliances=everybody, demoted=demoted or {}), held)


class OneMatch:
    """A table in which everybody matches the same."""

    def __init__(self, *sites: str, announced: Iterable[str] = ()) -> None:
        self.found = Match("192.0.2.0/24", sites, frozenset(announced))

    def match(self, address: str, /) -> Match:
        return self.found


def decider(sites: Iterable[Site], table: OneMatch, seen: View, limits: Limits | None = None) -> Decider:
    made = Decider(tuple(sites), limits)
    made.use(table, seen)
    return made


def ids(decision: Decision) -> list[str]:
    return [each.id for each in decision.appliances]
