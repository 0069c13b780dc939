"""Why something missed."""

from __future__ import annotations

from typing import Any

import pytest

from nearcast.delivery.fill.causes import causes
from nearcast.model.fill import Placement
from nearcast.model.site import ApplianceReport


def report(appliance: str, held: int = 100, **changes: Any) -> ApplianceReport:
    told: dict[str, Any] = {"id": appliance, "site": "s", "address": "", "health_url": "", "state": "up", "holdings": {"t": held}}
    return ApplianceReport(**told | changes)


BOTH = Placement(generation=1, made_at=0.0, holdings={"a": {"t": ("x.mp4",)}, "b": {"t": ("x.mp4",)}, "c": {}})


@pytest.mark.parametrize(
    ("holders", "cause"),
    [
        ({"b": report("b")}, "other"),
        ({"b": report("b", load="high")}, "other"),
        ({"b": report("b", load="full")}, "overload"),
        ({"b": report("b", state="draining")}, "health"),
        ({"b": report("b", state="down", load="full")}, "health"),
        ({"b": None}, "health"),
        ({"b": report("b", 0)}, "content"),
        ({"b": report("b", load="full"), "a": report("a", state="down")}, "overload"),
        ({"b": report("b"), "a": None}, "other"),
        ({}, "content"),
    ],
)
def test_a_miss_is_laid_at_the_door_of_who_was_to_hold_it(holders: dict[str, ApplianceReport | None], cause: str) -> None:
    assert causes("c", ["t"], BOTH, {"c": report("c"), **holders}) == {"t": cause}


def test_nobody_was_to_hold_it() -> None:
    assert causes("c", ["other"], BOTH, {"a": report("a"), "b": report("b"), "c": report("c")}) == {"other": "content"}


def test_holders_at_other_sites_do_not_count() -> None:
    assert causes("c", ["t"], BOTH, {"c": report("c")}) == {"t": "content"}


def test_its_own_files_missed_when_they_are_in_repair_or_yet_to_come() -> None:
    assert causes("a", ["t"], BOTH, {"a": report("a", 50)}) == {"t": "health"}
    assert causes("a", ["t"], BOTH, {"a": report("a", 0)}) == {"t": "content"}
    assert causes("a", ["t"], BOTH, {"a": report("a", 0), "b": report("b")}) == {"t": "other"}
