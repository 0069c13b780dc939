"""What was heard and seen of an appliance, as the merge is given it."""

from __future__ import annotations

from collections.abc import Mapping

from nearcast.model.site import ApplianceState
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import Evidence, merge

SEEN, LOST, REFUSED, UNKNOWN = Sight(True), Sight(False, 0, True), Sight(False, 0, False), Sight()
STATES: list[ApplianceState] = ["up", "draining", "down"]


def evidence(**changes: object) -> Evidence:
    return Evidence(**{"told": "up", "fresh": True, "sight": SEEN, "before": "up", **changes})  # type: ignore[arg-type]


def states(found: Mapping[str, Evidence]) -> dict[str, ApplianceState]:
    return {name: verdict.state for name, verdict in merge(found).verdicts.items()}


def of(network: str, **changes: object) -> Evidence:
    return evidence(network=network, **{"reach": "public", **changes})
