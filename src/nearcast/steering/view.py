"""The health view in memory, indexed for decisions: who stands where, and who holds what. Immutable."""

from __future__ import annotations

from collections.abc import Mapping

from nearcast.model.health import ApplianceHealth, HealthSnapshot

Holdings = Mapping[str, int]
NOTHING: Holdings = {}


class View:
    """``snapshot`` with the holdings (title id to bytes) of each appliance by its id; who is not in ``holdings`` holds nothing."""

    def __init__(self, snapshot: HealthSnapshot, holdings: Mapping[str, Holdings]) -> None:
        self.snapshot = snapshot
        self.holdings = holdings
        self.by_id: dict[str, ApplianceHealth] = {each.id: each for each in snapshot.appliances}
        sites: dict[str, list[ApplianceHealth]] = {}
        for each in snapshot.appliances:
            sites.setdefault(each.site, []).append(each)
        self.by_site: dict[str, tuple[ApplianceHealth, ...]] = {site: tuple(found) for site, found in sites.items()}


NO_VIEW = View(HealthSnapshot(version=0, published_s=float("-inf"), source="last-known"), {})
