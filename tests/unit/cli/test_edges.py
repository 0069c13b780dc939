"""What `nearcast edges` and the orders to edges show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nearcast.base.paths import Home
from nearcast.cli import edge, edges, reach
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.services import ApplianceList, OrderQuestion
from nearcast.model.site import Appliance, ApplianceReport, Order
from nearcast.steering.health.published import ViewWriter
from nearcast.system.folders import view_folder

REPORT: dict[str, Any] = {"site": "frankfurt", "address": "http://x", "health_url": "http://x/healthz", "state": "up"}
BUSY = ApplianceReport(
    id="fra-1",
    holdings={"t_one": 5, "t_two": 6},
    held_bytes=40_000_000,
    capacity_bytes=100_000_000,
    sent_bps=900e6,
    limit_bps=1e9,
    load="high",
    connections=12,
    connections_max=8192,
    placed_bytes_total=900,
    reactive_bytes_total=50,
    missed_bytes_total=50,
    problem="NC2011 no space left",
    **REPORT,
)
NEW = ApplianceReport(id="fra-2", holdings={}, **REPORT)


class Discovery:
    def __init__(self, *reports: ApplianceReport) -> None:
        self.reports = reports
        self.asked: list[OrderQuestion] = []

    async def appliances(self, question: object) -> ApplianceList:
        return ApplianceList(appliances=tuple(Appliance(report=each, age_s=0.1) for each in self.reports))

    async def order(self, question: OrderQuestion) -> Order:
        self.asked.append(question)
        return Order(appliance=question.appliance, draining=bool(question.draining), key_generation=int(question.rotate_key))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    found = Home(tmp_path)
    monkeypatch.setattr(reach, "home", lambda: found)
    return found


def there(monkeypatch: pytest.MonkeyPatch, discovery: Discovery) -> None:
    system = SimpleNamespace(client=lambda *_, **__: discovery)
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(system)))


def test_each_edge_has_its_load_hits_and_holdings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there(monkeypatch, Discovery(BUSY, NEW))
    edges.command.main([], standalone_mode=False)
    said = capsys.readouterr()
    busy, new = said.out.splitlines()[1:]
    assert all(each in busy for each in ("up, high", "900.0 Mb/s", "90 %", "12/8192", "95.0 %", "40.0 MB", "40 %"))
    assert new.split()[:3] == ["fra-2", "frankfurt", "up"]
    assert "fra-1: NC2011 no space left" in said.err


def test_what_is_believed_of_their_health(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Home) -> None:
    writer = ViewWriter(view_folder(home))
    writer.open()
    common: dict[str, Any] = {"site": "frankfurt", "address": "http://x"}
    appliances = (
        ApplianceHealth(id="fra-1", state="down", why="cut off: it reports, but is out of reach for 3 of 3 who look at it", **common),
        ApplianceHealth(id="fra-2", load="full", **common),
        ApplianceHealth(id="fra-3", heard=False, why="it does not report, but answers 2 of 2 who look at it", **common),
    )
    writer.publish(HealthSnapshot(version=0, published_s=0.0, appliances=appliances), {})
    there(monkeypatch, Discovery(BUSY, NEW))
    edges.command.main([], standalone_mode=False)
    said = capsys.readouterr()
    rows = [line.split("  ") for line in said.out.splitlines()[1:]]
    assert [[each.strip() for each in row if each][2] for row in rows] == ["down", "up, full", "up, silent"]
    assert "fra-1: cut off" in said.err
    assert "fra-3: it does not report" in said.err
    assert "last" not in said.err
    writer.close()
    (view_folder(home) / "pulse").unlink()
    edges.command.main([], standalone_mode=False)
    assert "as it was known last" in capsys.readouterr().err


def test_who_is_judged_from_within_its_network_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Home
) -> None:
    there(monkeypatch, Discovery(BUSY, NEW))
    site = '[[steering.sites]]\nname = "frankfurt"\nreach = "isp"\n[[steering.sites]]\nname = "x"\n'
    home.config.write_text(f"appliances = []\n[steering]\nroutes = []\n{site}")
    edges.command.main([], standalone_mode=False)
    said = capsys.readouterr().err
    assert said.count("its reports and its neighbours there decide") == 1
    assert "frankfurt is reached from its network alone" in said


def test_no_edge_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there(monkeypatch, Discovery())
    edges.command.main([], standalone_mode=False)
    assert "no edge reports" in capsys.readouterr().err


def test_drain_and_rotate_are_orders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    discovery = Discovery()
    there(monkeypatch, discovery)
    for arguments in (["drain", "fra-1"], ["drain", "fra-1", "--undo"], ["rotate-key", "fra-1"]):
        edge.command.main(arguments, standalone_mode=False)
    assert [(each.draining, each.rotate_key) for each in discovery.asked] == [(True, False), (False, False), (None, True)]
    said = capsys.readouterr().err
    assert "fra-1 drains" in said
    assert "takes new viewers again" in said
    assert "generation 1" in said
