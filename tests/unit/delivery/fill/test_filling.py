"""How far an appliance is told to be: by its own count, else by what it told last."""

from __future__ import annotations

from typing import Any

import pytest

from nearcast.delivery.fill.knowledge import PACE_S, paced
from nearcast.delivery.fill.planner import LEFT_MAX_S, filling
from nearcast.delivery.fill.schedule import FillPeer
from nearcast.model.fill import ApplianceFill
from nearcast.model.site import ApplianceReport
from nearcast.policy.windows import WindowState

PEER = FillPeer(id="a", site="paris", url="", token="")
REPORT = ApplianceReport(id="a", site="paris", address="", health_url="", state="up", holdings={}, fill_bps=5.0)
OPEN, CLOSED = WindowState(True, 60.0), WindowState(False, 60.0)


def made(report: ApplianceReport | None = REPORT, **more: Any) -> ApplianceFill:
    told: dict[str, Any] = {"assigned_bytes": 1000, "lacks": {}, "missing_bytes": None, "urgent": (), "pace_bps": 0.0, "window": OPEN}
    return filling(PEER, report, **{"cap_bps": 0.0, **told, **more})


def test_who_is_silent_lacks_what_it_lacked() -> None:
    found = made(None, lacks={"t_one": 400})
    assert (found.missing_bytes, found.problem, found.eta_s) == (400, "is silent", None)


def test_its_own_count_comes_first() -> None:
    assert made(lacks={"t_one": 400}, missing_bytes=7).missing_bytes == 7


def test_what_hurries_is_told_apart() -> None:
    found = made(lacks={"t_one": 400, "t_two": 5}, urgent=("t_one", "t_gone"), window=CLOSED, pace_bps=8.0)
    assert (found.urgent_bytes, found.eta_s) == (400, None), "the rest waits for the window"
    found = made(lacks={"t_one": 400}, urgent=("t_one",), window=CLOSED, pace_bps=8.0)
    assert found.eta_s == 400.0


@pytest.mark.parametrize(("pace_bps", "cap_bps", "told"), [(8.0, 0.0, True), (8.0, 1000.0, False), (80.0, 1000.0, True), (0.0, 0.0, False)])
def test_what_hardly_moves_has_no_end(pace_bps: float, cap_bps: float, told: bool) -> None:
    assert (made(missing_bytes=100, pace_bps=pace_bps, cap_bps=cap_bps).eta_s is not None) is told


def test_an_end_beyond_reason_is_none() -> None:
    assert made(missing_bytes=int(LEFT_MAX_S) + 1, pace_bps=8.0).eta_s is None


def test_the_pace_is_an_average() -> None:
    assert paced(0.0, 100.0, 0.0) == 0.0
    assert 60 < paced(0.0, 100.0, PACE_S) < 64
    assert paced(50.0, 100.0, float("inf")) == 100.0
