"""What discovery is told, and obeyed in; the appliance's own page."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from nearcast.base.errors import Unavailable
from nearcast.delivery.edge.admin import OwnPage, application, is_own_name
from nearcast.delivery.edge.metrics import EdgeMetrics
from nearcast.delivery.edge.page import _many, _percent, rate_text, render, spark
from nearcast.delivery.edge.report import PACE_S, SMOOTH_S, Pace, Rate, Telling
from nearcast.delivery.edge.status import Sample, Status
from nearcast.delivery.fill.stock import Stock, name_of
from nearcast.model.fill import FillItem
from nearcast.model.rendition import File
from nearcast.model.services import ReportAnswer
from nearcast.model.site import ApplianceReport
from nearcast.policy import capability, holdings

from ..making import ROOT, TITLE, Edge, film, publish, running_edge, running_origin, until

REPORT = ApplianceReport(id="fra-1", site="fra", address="x", health_url="x", state="up", holdings={})


def test_a_rate_comes_to_what_is_sent_and_fades() -> None:
    rate, total = Rate(), 0
    rate.see(0, 0.0)
    for second in range(1, 21):
        total += 1_000_000
        rate.see(total, float(second))
    assert rate.bps == pytest.approx(8e6, rel=0.01)
    assert rate.see(total, 20.0 + SMOOTH_S) == pytest.approx(8e6 / 2.718, rel=0.02)
    assert rate.see(total, 20.0 + SMOOTH_S) == rate.bps, "no time has passed"


def test_a_pace_is_of_the_last_seconds_of_work_and_nothing_while_there_is_none() -> None:
    pace, total, now_s = Pace(), 0, 0.0
    assert pace.see(0, now_s, False) == 0
    for second in range(60):
        now_s += 1
        total += 65_536 if second % 4 == 0 else 0  # at a small cap pieces are far between
        pace.see(total, now_s, True)
        if second > PACE_S:
            assert pace.bps == pytest.approx(8 * 65_536 / 4, rel=0.25)
    assert pace.see(total, now_s + PACE_S, True) == 0, "nothing came"
    total += 5
    assert pace.see(total, now_s + PACE_S + 1, False) > 0, "it came, and was done before it was looked at"
    assert pace.see(total, now_s + PACE_S + 2, False) == 0
    assert pace.see(total, now_s + 9999, False) == 0
    assert pace.see(total + 1000, now_s + 10_000, True) == 8000, "what was before does not count"


def test_one_is_not_many() -> None:
    assert [_many(each, "title") for each in (0, 1, 2, 1234)] == ["0 titles", "1 title", "2 titles", "1,234 titles"]


def test_what_is_not_whole_is_not_called_whole() -> None:
    assert [_percent(each) for each in (0.0, 0.0004, 0.5, 0.99999, 1.0)] == ["0 %", "0.0 %", "50.0 %", "99.9 %", "100 %"]


@given(st.lists(st.tuples(st.sampled_from(["place", "lose", "tell", "lost", "forgotten"]), st.integers(0, 5)), max_size=40))
def test_discovery_always_comes_to_know_what_is_held(steps: list[tuple[str, int]]) -> None:
    """Reports get lost, discovery forgets, files come and go: after two reports that arrive, both say the same."""
    items = [FillItem(title_id=f"t_{each % 3}", file=File(root=f"{each:064x}", extension="mp4", size_bytes=each + 1)) for each in range(6)]
    stock = Stock({})
    telling = Telling(stock)
    known: dict[str, int] = {}
    known_digest = holdings.EMPTY

    def tell(arrives: bool) -> None:
        nonlocal known, known_digest
        found, digest, base = telling.now()
        report = replace(REPORT, holdings=found, holdings_digest=digest, holdings_base=base)
        if not arrives:
            return
        wanted = bool(base) and base != known_digest
        if not wanted:
            known, known_digest = holdings.merged(known if base else {}, found), digest
            assert holdings.digest(known) == digest
        telling.told(report, ReportAnswer(lease_s=1, holdings_wanted=wanted))

    for what, which in steps:
        if what == "place":
            stock.placed(items[which])
        elif what == "lose":
            stock.gone(name_of(items[which]))
        elif what == "forgotten":
            known, known_digest = {}, holdings.EMPTY
        else:
            tell(arrives=what == "tell")
    tell(True)
    tell(True)
    assert known == stock.holdings
    assert telling.now()[0] == {}, "and then nothing is told any more"


async def test_it_drains_on_command_and_serves_on(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        item = await publish(edge.origin.store, film(10_000))
        await until(lambda: edge.registry.state == "up")
        edge.registry.answer = ReportAnswer(lease_s=3, draining=True)
        await until(lambda: edge.registry.state == "draining")
        assert (await edge.get(edge.path(item.file.name))).status_code == 200
        edge.registry.answer = ReportAnswer(lease_s=3)
        await until(lambda: edge.registry.state == "up")


async def test_a_new_mac_key_is_taken_and_the_one_before_stays_good(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        item = await publish(edge.origin.store, film(10_000))
        new = capability.edge_key(ROOT, "fra-1", 1)
        edge.registry.answer = ReportAnswer(lease_s=3, key_generation=1, key=new)
        await until(lambda: edge.registry.reports[-1].key_generation == 1, 30.0)
        path = capability.edge_path(new, TITLE, 4_000_000_000, 1) + item.file.name
        assert (await edge.get(path)).status_code == 200
        assert (await edge.get(edge.path(item.file.name))).status_code == 200


async def test_discovery_and_insight_that_do_not_answer_change_nothing_for_viewers(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        item = await publish(edge.origin.store, film(10_000))
        edge.registry.failing = edge.books.failing = Unavailable("away")
        await until(lambda: not edge.agent.reporter.answered)
        assert (await edge.get(edge.path(item.file.name))).status_code == 200
        edge.registry.failing = None
        await until(lambda: edge.agent.reporter.answered)


async def test_traffic_is_told_with_causes_and_fetches(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        edge.orders.known = {"t_absent": "content"}
        absent = await publish(edge.origin.store, film(30_000, 2), "t_absent")
        item = await publish(edge.origin.store, film(2_000_000))
        edge.orders.set(item, generation=5)
        await until(lambda: edge.agent.transfers.assigned and not edge.agent.transfers.missing_bytes())
        await edge.get(edge.path(item.file.name), Range="bytes=0-99999", CMCD_Session='sid="one"')
        await edge.get(edge.path(absent.file.name, "t_absent"))
        await until(lambda: edge.agent.log.counts.requests == 2)
        await until(lambda: edge.agent.counting.misses.requests == {"content": 1})
        await edge.agent.account.tell()
        told = {(each.title_id, each.starts, each.placed_bytes, each.missed_bytes, each.cause) for each in edge.books.reports[-1].served}
        assert told == {("t_film", 1, 100_000, 0, "other"), ("t_absent", 0, 0, 30_000, "content")}
        fetched = [(each.generation, each.source, each.size_bytes) for report in edge.books.reports for each in report.fetched]
        assert [each[:2] for each in fetched] == [(5, "origin")] * len(fetched)
        assert sum(each[2] for each in fetched) == 2_000_000
        assert "t_absent" in (tmp_path / "logs" / "misses.log").read_text()


# --- its own page ----------------------------------------------------------------------------------------------------------


async def test_the_page_the_status_and_the_metrics(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with running_origin() as origin:
        edge = Edge(tmp_path, origin, disk_bytes_max=300_000_000)
        edge.agent.metrics = EdgeMetrics(registry, "fra-1")
        edge.agent.page = OwnPage(edge.settings, application(edge.agent.status, registry))
        await edge.agent.start()
        try:
            item = await publish(origin.store, film(2_000_000))
            await edge.hold(item)
            await edge.get(edge.path(item.file.name))
            await until(lambda: edge.agent.log.counts.requests == 1)
            await until(lambda: len(edge.agent.counting.history.samples) > 2)
            own = f"http://127.0.0.1:{edge.settings.own_port}"
            page = await edge.get(f"{own}/")
            assert page.status_code == 200
            assert "fra-1" in page.text
            assert "serving" in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            status = msgspec.json.decode((await edge.get(f"{own}/status.json")).content, type=Status)
            assert (status.report.held_bytes, status.titles_held, status.hit_ratio) == (2_000_000, 1, 1.0)
            assert status.placed_capacity_bytes < 300_000_000
            text = (await edge.get(f"{own}/metrics")).text
            assert 'nearcast_edge_sent_bytes_total{appliance="fra-1",source="placed"} 2e+06' in text
            assert (await edge.client.post(f"{own}/")).status_code == 405
            assert (await edge.get(f"{own}/etc/passwd")).status_code == 404
            for host in ("evil.example", "127.0.0.1.evil.example", "192.0.2.1", "evil.example:80", ""):
                assert (await edge.get(f"{own}/", Host=host)).status_code == 403, host
        finally:
            await edge.client.aclose()
            await edge.agent.stop()


def test_names_of_this_machine() -> None:
    assert all(is_own_name(each) for each in ("127.0.0.1", "127.0.0.1:8201", "localhost:1", "LOCALHOST", "[::1]:8201", "[::1]"))
    assert not any(
        is_own_name(each) for each in ("", "127.0.0.1.nip.io", "localhost.evil", "127.0.0.1:80:80", "[::2]", ":8201", "127.0.0.1:x")
    )


async def test_a_taken_port_of_the_page_does_not_end_the_edge(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with running_edge(tmp_path, admin_port=taken.getsockname()[1]) as edge:
            await until(lambda: edge.agent.page.problem)
            assert edge.agent.page.problem is not None
            assert edge.agent.page.problem.code == "NC2032"
            item = await publish(edge.origin.store, film(100))
            assert (await edge.get(edge.path(item.file.name))).status_code == 200


async def test_what_is_shown_is_escaped(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        status = edge.agent.status()
        nasty = '<script>alert("x")</script>'
        shown = render(replace(status, top=((nasty, 5),), report=replace(status.report, site=nasty)), "n")
        assert nasty not in shown
        assert "&lt;script&gt;" in shown


def test_the_sparkline_is_bounded_by_its_frame() -> None:
    numbers = random.Random(5)
    samples = [Sample(float(at), numbers.random() * 1e9, numbers.random() * 1e8) for at in range(300)]
    for limit_bps in (0.0, 5e8, 1e12):
        drawn = spark(samples, limit_bps)
        heights = [float(each.partition(",")[2]) for each in drawn.partition('points="')[2].partition('"')[0].split()]
        assert all(0 <= each <= 100 for each in heights)
        assert ("stroke-dasharray" in drawn) is (limit_bps == 5e8)
    assert "measured" in spark(samples[:1], 0.0)


def test_rates_as_links_are_sold() -> None:
    assert [rate_text(each) for each in (0, 950, 1500, 12_345_678, 999_900_000, 2.5e9)] == [
        "0 b/s",
        "950 b/s",
        "1.5 kb/s",
        "12.3 Mb/s",
        "1.00 Gb/s",
        "2.50 Gb/s",
    ]


async def test_nothing_runs_after_the_end(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        await until(lambda: edge.registry.state == "up")
    ours = [task for task in asyncio.all_tasks() if task.get_name().startswith("fra-1")]
    assert ours == []
