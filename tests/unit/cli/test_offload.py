"""What `nearcast offload` reports."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from nearcast.cli import offload, reach
from nearcast.model.services import OffloadQuestion
from nearcast.model.traffic import GenerationFlow, OffloadReport, SiteOffload

SITE = SiteOffload(
    site="frankfurt",
    tier="edge",
    sent_bytes=1_000_000_000,
    placed_bytes=900_000_000,
    reactive_bytes=60_000_000,
    missed_bytes=40_000_000,
    filled_bytes=160_000_000,
    parent_bytes=40_000_000,
    origin_bytes=10_000_000,
    misses={"content": 90_000_000, "overload": 10_000_000},
)
FLOW = GenerationFlow(generation=3, site="frankfurt", peer_bytes=5, tier_bytes=0, origin_bytes=160_000_000, most_times=1.0)


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], report: OffloadReport) -> tuple[str, str]:
    class Insight:
        async def offload(self, question: OffloadQuestion) -> OffloadReport:
            return report

    system = SimpleNamespace(client=lambda *_, **__: Insight())
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(system)))
    offload.command.main(["--days", str(report.days)], standalone_mode=False)
    said = capsys.readouterr()
    return said.out, said.err


def test_shares_causes_and_what_the_link_was_spared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    report = OffloadReport(days=7, sites=(SITE,), sent_bytes=1_000_000_000, origin_bytes=200_000_000, flows=(FLOW,))
    out, err = shown(monkeypatch, capsys, report)
    site = next(line for line in out.splitlines() if line.startswith("frankfurt"))
    assert all(each in site for each in ("90.0 %", "6.0 %", "4.0 %", "160.0 MB", "800.0 MB (80.0 %)"))
    assert "content     90.0 MB  90.0 %" in out
    served = [line.split("  ")[0] for line in out.splitlines() if line.startswith("the ")]
    assert served == ["the edge, placed", "the edge, reactive", "the exchange", "the origin"]
    exchange, origin = (line for line in out.splitlines() if line.startswith(("the exchange", "the origin")))
    assert ("30.0 MB" in exchange, "10.0 MB" in origin) == (True, True)
    assert "1.00 ×" in out
    assert "offload 80.0 %" in err
    assert "in 7 days" in err


def test_causes_add_up_to_what_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    report = OffloadReport(days=1, sites=(SITE,), sent_bytes=1_000_000_000, origin_bytes=0)
    assert sum(offload.miss_causes(report).values()) == SITE.reactive_bytes + SITE.missed_bytes
    assert "because (reactive hits and misses alike)" in shown(monkeypatch, capsys, report)[0]


def test_where_the_fill_has_brought_more_than_was_sent_no_percentage_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    early = replace(SITE, sent_bytes=1_000_000, placed_bytes=1_000_000, reactive_bytes=0, missed_bytes=0, parent_bytes=0, misses={})
    report = OffloadReport(days=1, sites=(early,), sent_bytes=1_000_000, origin_bytes=160_000_000)
    out, err = shown(monkeypatch, capsys, report)
    assert next(line for line in out.splitlines() if line.startswith("frankfurt")).endswith("-159.0 MB")
    assert "no offload yet: 160.0 MB left the origin for 1.0 MB" in err
    assert "-1" not in err


def test_nothing_sent_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(monkeypatch, capsys, OffloadReport(days=1, sites=(), sent_bytes=0, origin_bytes=0))
    assert out == ""
    assert "nothing was sent" in err
