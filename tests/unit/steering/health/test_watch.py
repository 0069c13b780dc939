"""The watcher: discovery and appliances that come, go and are cut off; the published view throughout. Time is real here, and short."""

from __future__ import annotations

import asyncio
import shutil
import time
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.model.quality import ApplianceQuality
from nearcast.model.site import Site
from nearcast.steering.health import watch
from nearcast.steering.health.published import ViewReader
from nearcast.steering.routes.settings import Isp
from nearcast.steering.settings import SteeringSettings
from tests.unit.steering.health.watching import SETTINGS, Quality, World, world_of


async def test_a_system_that_is_well(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        assert (world.states, world.source) == ("a:up b:up c:up", "live")
        assert world.reader.view().holdings == {name: {f"t-{name}": 5} for name in "abc"}
        assert world["a"].up_since_s == 0.0
        version = world.reader.view().snapshot.version
        await asyncio.sleep(0.5)
        assert world.reader.view().snapshot.version == version, "nothing changed"
        assert world.source == "live"


async def test_killed_and_back(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        edge = world.edges["b"]
        edge.reporting = False
        await edge.stop()
        await world.until(lambda: world["b"].state == "down")
        assert not world["b"].heard
        assert "does not report" in world["b"].why
        since_s = time.monotonic()
        await edge.start(edge.port)
        edge.reporting = True
        await world.until(lambda: world["b"].state == "up" and world["b"].heard)
        assert world["b"].up_since_s >= since_s
        assert world["a"].up_since_s == 0.0
        assert world.registry.get_sample_value("nearcast_health_changes_total", {"state": "down"}) == 1


async def test_what_it_says_of_itself_counts(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        for state in ("draining", "down", "up"):
            world.edges["a"].report = replace(world.edges["a"].report, state=state)
            await world.until(partial(world.is_, "a", state))
        assert world.source == "live"


async def test_load_has_hysteresis_and_is_apart_from_down(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        edge = world.edges["a"]
        for sent, level in ((96.0, "full"), (90.0, "full"), (80.0, "high"), (10.0, "normal")):
            edge.report = replace(edge.report, sent_bps=sent, limit_bps=100.0)
            await world.until(partial(world.sends, "a", sent / 100))
            assert (world["a"].load, world["a"].state) == (level, "up")


async def test_a_lost_report_is_not_a_dead_edge(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.edges["a"].reporting = False
        await world.until(lambda: not world["a"].heard)
        await asyncio.sleep(0.5)
        assert world["a"].state == "up"
        world.dismissed.append("a")
        await world.until(lambda: world["a"].state == "down")
        assert world["a"].why == "it was dismissed"


async def test_it_reports_but_is_cut_off(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        edge = world.edges["a"]
        edge.thawed.clear()
        await asyncio.sleep(0.6)
        assert world["a"].state == "up", "we alone against its own word"
        edge.votes = {"b": False, "c": True}
        await asyncio.sleep(0.4)
        assert world["a"].state == "up"
        edge.votes = {"b": False, "c": False}
        await world.until(lambda: world["a"].state == "down")
        assert world["a"].why.startswith("cut off")
        edge.thawed.set()
        edge.votes = {"b": True, "c": True}
        await world.until(lambda: world["a"].state == "up")


async def test_others_vouch_for_one_that_we_do_not_reach(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.discovery.silent = {"a": {"b": True, "c": True}}
        world.edges["a"].reporting = False
        world.edges["a"].thawed.clear()
        await world.until(lambda: not world["a"].heard)
        await asyncio.sleep(1.0)
        assert world["a"].state == "up"


async def test_without_discovery_we_look_ourselves(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.discovery.dead = True
        await asyncio.sleep(1.6)
        assert (world.states, world.source) == ("a:up b:up c:up", "live")
        assert world["a"].heard, "that nobody can be heard is not its fault"
        await world.edges["c"].stop()
        await world.until(lambda: world["c"].state == "down")
        world.discovery.dead = False
        world.discovery.empty = True  # it has just begun to learn
        await asyncio.sleep(0.4)
        assert world.states == "a:up b:up c:down"
        world.discovery.empty = False
        await world.edges["c"].start(world.edges["c"].port)
        await world.until(lambda: world.states == "a:up b:up c:up")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """All edges are on other machines, for all that the watcher knows."""
    monkeypatch.setattr(watch, "near", lambda url: False)


def shut(*sites: str) -> SteeringSettings:
    """Sites that only their ISP's customers reach, besides a public one."""
    made = (*(Site(name=name, isp="acme", reach="isp") for name in sites), Site(name="s-c"))
    return replace(SETTINGS, sites=made, routes=(), isps=(Isp(name="acme", asn=64601),))


async def test_an_isps_edge_is_judged_from_within_its_network(tmp_path: Path, elsewhere: None) -> None:
    async with world_of(tmp_path, settings=shut("s-a", "s-b")) as world:
        edge = world.edges["a"]
        await edge.stop()
        edge.votes = {"b": True, "c": False}
        await world.until(lambda: world.looked_at("c") > 4)
        assert world.states == "a:up b:up c:up", "nobody outside is asked"
        assert (world.looked_at("a"), world.looked_at("b")) == (0, 0)
        edge.reporting = False
        world.discovery.silent = {"a": {"b": True}}
        await world.until(lambda: not world["a"].heard)
        assert world["a"].state == "up"
        world.discovery.silent = {"a": {"b": False, "c": True}}
        await world.until(lambda: world["a"].state == "down")
        world.edges["b"].reporting = False
        await world.until(lambda: world["b"].state == "down")
        assert world["b"].why == "nothing is heard of it"
        assert world["c"].state == "up"


async def test_without_discovery_an_isps_edge_is_taken_for_what_it_was(
    tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SETTLED_S", 3.0)
    async with world_of(tmp_path, settings=shut("s-a", "s-b")) as world:
        await world.until(lambda: world["a"].heard)
        world.discovery.dead = True
        await asyncio.sleep(2.0)
        assert (world.states, world.source) == ("a:up b:up c:up", "live")
        world.discovery.dead, world.discovery.empty = False, True  # it has just begun to learn
        await asyncio.sleep(0.3)
        assert world.states == "a:up b:up c:up"
        world.discovery.empty = False
        await world.until(lambda: world["a"].heard)
        world.edges["a"].reporting = False
        await world.until(lambda: world["a"].state == "down")
        assert world.states == "a:down b:up c:up"


async def test_the_next_watcher_goes_on_without_discovery(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.edges["c"].report = replace(world.edges["c"].report, state="draining")
        await world.until(lambda: world["c"].state == "draining")
        version = world.reader.view().snapshot.version
    world = World(tmp_path, "abc")
    world.discovery.dead = True
    watcher = await world.watch()
    assert world.states == "a:up b:up c:draining"
    assert world.reader.view().snapshot.version > version
    assert world.reader.view().holdings == {name: {f"t-{name}": 5} for name in "abc"}
    assert world.source == "last-known"
    await world.until(lambda: world.states == "a:down b:down c:down")  # they were ended with their world
    await watcher.stop()


async def test_a_first_start_without_anything(tmp_path: Path) -> None:
    world = World(tmp_path, "")
    world.discovery.dead = True
    watcher = await world.watch()
    assert (world.states, world.source) == ("", "last-known")
    await watcher.stop()


async def test_who_is_silent_for_long_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KEPT_S", 0.5)
    async with world_of(tmp_path) as world:
        world.edges["a"].reporting = False
        await world.edges["a"].stop()
        await world.until(lambda: "a" not in world.reader.view().by_id)
        assert world.states == "b:up c:up"


async def test_a_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        await world.until(lambda: world.states == "a:up b:up c:up")
        shutil.rmtree(tmp_path)
        fresh = ViewReader(tmp_path)
        await world.until(lambda: fresh.view().snapshot.source == "live")
        assert set(fresh.view().by_id) == set("abc")
        assert fresh.view().holdings == {name: {f"t-{name}": 5} for name in "abc"}
        fresh.close()


async def test_who_cannot_report_but_answers_is_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KEPT_S", 0.5)
    async with world_of(tmp_path) as world:
        world.edges["a"].reporting = False
        await world.until(lambda: not world["a"].heard)
        silent_s = time.monotonic()
        while time.monotonic() < silent_s + 1.5:
            assert world.is_("a", "up")
            await asyncio.sleep(0.02)
        await world.edges["a"].stop()
        await world.until(lambda: world.is_("a", "down"))
        assert "a" in world.reader.view().by_id, "it is kept for a while, the last resort"
        await world.until(lambda: "a" not in world.reader.view().by_id)


async def test_what_players_measured_demotes_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUALITY_S", 0.2)
    bad = {"stalled_share": 0.5, "failed_share": 0.5, "throughput_bps": 1e5}
    sites = [each.name for each in SETTINGS.sites]
    found = [
        ApplianceQuality(appliance=f"e-{site}", site=site, accounts=500.0, suffering=1.0 if site == sites[0] else 0.0, **bad)
        for site in sites
    ]
    async with world_of(tmp_path, quality=Quality(*found)) as world:
        await world.until(lambda: world.reader.view().snapshot.demoted.get(sites[0], 0.0) > 0)
        assert set(world.reader.view().snapshot.demoted) == {sites[0]}
