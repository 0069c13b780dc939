"""Why each way to an address stands where it does, in the words of the first rule by which it differs from the one before. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nearcast.model.route import Candidate
from nearcast.steering.routes.base import CONFIG
from nearcast.steering.routes.geographic import GEOGRAPHY

_DEFAULTS = ("0.0.0.0/0", "::/0")


def standings(candidates: Sequence[Candidate]) -> list[str]:
    """For each way why it stands where it does. Only the first of a site counts."""
    named: set[str] = set()
    found: list[str] = []
    before: Candidate | None = None
    for each in candidates:
        found.append("named above" if each.site in named else _standing(each, before))
        named.add(each.site)
        before = each
    return found


def _standing(each: Candidate, before: Candidate | None) -> str:
    """What put a way behind the one before it: the first rule by which the two differ."""
    if before is None:
        return "default" if each.prefix in _DEFAULTS else "longest prefix" if each.source != GEOGRAPHY else "nearest"
    if each.prefix in _DEFAULTS and before.prefix not in _DEFAULTS:
        return "default"
    if each.source == GEOGRAPHY != before.source:
        return "nearest of those that no route names"
    if each.prefix != before.prefix:
        return "shorter prefix"
    if CONFIG in (each.source, before.source) and each.source != before.source:
        return "told by BGP, not by the configuration"
    if len(each.as_path) != len(before.as_path):
        return "longer AS path"
    if each.med != before.med:
        return "higher MED"
    if each.order != before.order:
        return "later in the order"
    return "farther" if each.distance_km > before.distance_km else "later by name"
