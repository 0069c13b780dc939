"""What the fill's commands ask and say."""

from __future__ import annotations

import asyncio
import datetime
import json
from types import SimpleNamespace
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.cli import fill, reach
from nearcast.model.fill import ApplianceFill, FillStatus, Pin, PlacedChange, Plan, SiteMove
from nearcast.model.services import PinList, PinQuestion, PlanQuestion

MOVE = SiteMove(
    site="frankfurt",
    appliances=2,
    held_bytes=0,
    capacity_bytes=10**12,
    titles_in=2,
    titles_out=1,
    enter_bytes=3_000_000_000,
    inside_bytes=1_000_000_000,
    leave_bytes=500_000_000,
    seconds=90.0,
    opens_in_s=3700.0,
)
STILL = SiteMove(
    site="mumbai",
    appliances=1,
    held_bytes=5,
    capacity_bytes=10,
    titles_in=0,
    titles_out=0,
    enter_bytes=0,
    inside_bytes=0,
    leave_bytes=0,
    seconds=0.0,
    opens_in_s=0.0,
)
CHANGE = PlacedChange(appliance="fra-1", site="frankfurt", title_id="t_one", name="One", in_bytes=2_000_000_000, out_bytes=0)


class Planner:
    """Answers as told and remembers what it was asked."""

    def __init__(self, sites: tuple[SiteMove, ...] = (MOVE, STILL), appliances: tuple[ApplianceFill, ...] = ()) -> None:
        self.sites = sites
        self.appliances = appliances
        self.asked: list[Any] = []

    async def plan(self, question: PlanQuestion) -> Plan:
        self.asked.append(question)
        changes = (CHANGE,) if question.changes else ()
        return Plan(generation=7, committed=question.commit, sites=self.sites, origin_bytes=3_000_000_000, changes=changes)

    async def status(self, question: object) -> FillStatus:
        return FillStatus(generation=7, made_at=0.0, appliances=self.appliances)

    async def pin(self, question: PinQuestion) -> PinList:
        self.asked.append(question)
        return PinList(pins=() if question.release_at is None else (Pin(title_id=question.title_id, release_at=question.release_at),))


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Planner:
    found = Planner()
    there = SimpleNamespace(client=lambda *_, **__: found)
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(there)))
    return found


def run(*arguments: str) -> None:
    fill.command.main(list(arguments), standalone_mode=False)


def test_a_plan_changes_nothing_unless_told(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan")
    run("plan", "--apply")
    run("run", "--now")
    assert [(each.commit, each.at_once) for each in planner.asked] == [(False, False), (True, False), (True, True)]
    said = capsys.readouterr()
    assert "would be the next" in said.err
    assert "nearcast fill run" in said.err
    assert "is in force" in said.err


def test_a_plan_shows_what_moves_where_how_much_and_how_long(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "--titles")
    said = capsys.readouterr()
    line = next(each for each in said.out.splitlines() if each.startswith("frankfurt"))
    assert all(each in line for each in ("2 titles", "3.0 GB", "1.0 GB", "500.0 MB", "1:30", "in 1:01:40"))
    assert "mumbai" not in said.out, "nothing moves there"
    assert "fra-1" in said.out
    assert "+2.0 GB" in said.out
    assert "3.0 GB into 1 of 2 sites, 3.0 GB from the origin" in said.err


def test_a_plan_without_moves_says_so(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    planner.sites = (STILL,)
    run("plan")
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing has to move at any of 1 sites" in said.err


def test_what_is_still_missing_is_told_where_nothing_moves(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    planner.sites = (replace(STILL, missing_bytes=2_000_000_000), STILL)
    run("run")
    said = capsys.readouterr()
    assert "2.0 GB of the one before are still missing" in said.err
    assert "nothing else has to move at any of 2 sites" in said.err
    (line,) = (each for each in said.out.splitlines() if each.startswith("mumbai"))
    assert "2.0 GB" in line


@pytest.mark.parametrize(
    ("missing_bytes", "said"), [(1000, "0 %"), (999, "< 1 %"), (990, "1 %"), (500, "50 %"), (1, "99 %"), (0, "100 %"), (2000, "0 %")]
)
def test_shares_are_not_rounded_to_nothing_or_all(missing_bytes: int, said: str) -> None:
    assert fill.share_text(filling(missing_bytes=missing_bytes)) == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fill_bps": 8e6}, "8.0 Mb/s"),
        ({"fill_bps": 3456.0, "eta_s": 60.0}, "3.5 kb/s, 1:00 left"),
        ({"window_open": False, "opens_in_s": 120.0}, "waits for its quiet hours, 2:00"),
        ({"window_open": False, "opens_in_s": 120.0, "urgent_bytes": 1}, "waits for a source"),
        ({"problem": "is silent"}, "is silent"),
    ],
)
def test_what_an_appliance_does(more: dict[str, Any], said: str) -> None:
    assert fill.state_text(filling(missing_bytes=10, **more)) == said


def filling(**more: Any) -> ApplianceFill:
    told = {"appliance": "a", "site": "s", "state": "up", "assigned_bytes": 1000, "fill_bps": 0.0, "window_open": True, "opens_in_s": 0.0}
    return ApplianceFill(**{**told, **more})


def test_bars_have_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=120).print(fill._bars(FillStatus(generation=1, made_at=0.0, appliances=(filling(missing_bytes=1),))))
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["edge", "site", "filled", "to", "hold", "now"]
    assert "99 %" in line


def test_watching_is_no_json(planner: Planner) -> None:
    with pytest.raises(click.UsageError, match="do not go together"):
        run("status", "--watch", "--json")


def test_json_has_everything(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["sites"][0]["enter_bytes"] == 3_000_000_000
    assert found["changes"][0]["title_id"] == "t_one"


def test_status_tells_of_each_appliance_what_it_does(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    common: dict[str, Any] = {"site": "frankfurt", "state": "up", "assigned_bytes": 1000, "opens_in_s": 0.0}
    planner.appliances = (
        ApplianceFill(appliance="a", missing_bytes=250, fill_bps=8e6, window_open=True, eta_s=65.0, **common),
        ApplianceFill(appliance="b", missing_bytes=0, fill_bps=0.0, window_open=True, **common),
        ApplianceFill(appliance="c", missing_bytes=10, fill_bps=0.0, window_open=False, **{**common, "opens_in_s": 120.0}),
        ApplianceFill(appliance="d", missing_bytes=10, fill_bps=0.0, window_open=True, problem="NC2011 no space left", **common),
    )
    run("status")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert "75 %" in lines[0]
    assert "8.0 Mb/s, 1:05 left" in lines[0]
    assert "holds everything" in lines[1]
    assert "waits for its quiet hours, 2:00" in lines[2]
    assert "NC2011" in lines[3]


def test_a_pipe_is_told_each_step_and_the_end(
    planner: Planner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [1000, 999, 450, 0]

    def filling(missing_bytes: int) -> ApplianceFill:
        common: dict[str, Any] = {"site": "s", "state": "up", "assigned_bytes": 1000, "opens_in_s": 0.0, "window_open": True}
        return ApplianceFill(appliance="a", missing_bytes=missing_bytes, fill_bps=8e6, **common)

    def passes(_: float) -> None:
        planner.appliances = (filling(left.pop(0)),)

    passes(0)
    monkeypatch.setattr("nearcast.cli.fill.time.sleep", passes)
    run("status", "--watch")
    assert capsys.readouterr().out.splitlines() == ["a: 0 %, 8.0 Mb/s", "a: 55 %, 8.0 Mb/s", "a: 100 %, holds everything"]
    assert left == []


def test_a_pin_needs_a_time_to_come(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    run("pin", "t_one", "--by", "2126-12-24T20:00+01:00")
    assert planner.asked[0].release_at == datetime.datetime(2126, 12, 24, 19, tzinfo=datetime.UTC).timestamp()
    assert "t_one" in capsys.readouterr().out
    with pytest.raises(fill.BadTime, match="is over"):
        run("pin", "t_one", "--by", "2001-01-01T00:00")
    run("unpin", "t_one")
    assert planner.asked[-1].release_at is None
    with pytest.raises(click.UsageError):
        run("pin", "t_one")


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00", "25:00", "2026-01-01T00:00+99:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(fill.BadTime, match="is not a time"):
        fill.parse_time(text, datetime.UTC)


@given(st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC)))
def test_any_iso_time_is_taken(at: datetime.datetime) -> None:
    assert fill.parse_time(at.isoformat(), datetime.UTC) == at.timestamp()


def test_a_date_alone_is_its_first_moment() -> None:
    assert fill.parse_time("2026-12-24", datetime.UTC) == fill.parse_time("2026-12-24T00:00+00:00", datetime.UTC)


def test_a_time_without_an_offset_is_local() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert fill.parse_time("2026-01-01T02:00", zone) == fill.parse_time("2026-01-01T00:00+00:00", zone)
