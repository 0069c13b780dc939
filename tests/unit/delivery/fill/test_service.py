"""The fill over a real registry and a real store: what it says, and what it leaves as it is when others do not answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.base.clock import SystemClock
from nearcast.base.errors import NearcastError
from nearcast.control.discovery import DiscoveryService
from nearcast.delivery.fill.planner import BadPin, NotPinned, TooEarly, UnknownTitle
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    CausesQuestion,
    DropQuestion,
    FillQuestion,
    Nothing,
    PinQuestion,
    PlanQuestion,
)
from nearcast.model.traffic import DemandDay
from tests.unit.delivery.fill.planning import DAY_S, House, Shifted, assigned, eventually, titles

from .test_plan import film, publication, rendition


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "placement.db")


async def test_a_title_is_placed_everywhere_at_once_where_it_fits(house: House) -> None:
    house.library.add(*(film(number) for number in range(5)))
    async with house.fill() as fill:
        assert (await fill.assignment(FillQuestion(appliance="a", wait_s=0.05))).items is None, "nobody is known yet"
        await house.report("a")
        await house.report("b", "dallas")
        everything = {f"t_{number}" for number in range(5)}
        first = await assigned(fill, "a", everything)
        assert titles(await assigned(fill, "b", everything)) == everything
        same = await fill.assignment(FillQuestion(appliance="a", after=first.version))
        assert (same.items, same.version) == (None, first.version)
        house.library.add(publication("t_new", "complete", rendition("f", 1), created_at=time.time()))
        second = await assigned(fill, "a", everything | {"t_new"}, first.version)
        assert second.items is not None
        assert {each.title_id for each in second.items if each.urgent} == {"t_new"}, "what was just published does not wait"
        assert second.items[0].title_id == "t_new"
        house.library.add(replace(film(0), state="unpublished"))
        await assigned(fill, "a", (everything | {"t_new"}) - {"t_0"}, second.version)


async def test_peers_are_sources_with_their_tokens(house: House) -> None:
    house.library.add(film(0))
    await house.report("a")
    await house.report("b")
    async with house.fill() as fill:
        made = await assigned(fill, "a", {"t_0"})
        (peer,) = (each for each in made.sources if each.kind == "peer")
        assert (peer.id, peer.url, peer.token) == ("b", "http://b", "of b")


async def test_an_empty_catalog_is_known_at_once(house: House) -> None:
    await house.report("a")
    async with house.fill() as fill:
        assert (await fill.assignment(FillQuestion(appliance="a", wait_s=10))).items == ()


async def test_what_does_not_answer_changes_nothing(house: House) -> None:
    house.library.add(film(0))
    house.library.dead, house.audience.dead = True, True
    await house.report("a")
    async with house.fill() as fill:
        assert (await fill.assignment(FillQuestion(appliance="a", after=3, wait_s=0.8))).items is None, "an empty one would empty disks"
        with pytest.raises(TooEarly):
            await fill.plan(PlanQuestion())
        house.library.dead = False
        first = await assigned(fill, "a", {"t_0"})
        house.library.dead = True
        await house.discovery.drop(DropQuestion(id="a"))
        await asyncio.sleep(1.2)  # two answers of an empty registry
        later = await fill.assignment(FillQuestion(appliance="a"))
        assert titles(later) == {"t_0"}
        assert later.generation == first.generation
        assert [each.state for each in (await fill.status(Nothing())).appliances] == ["down"]


async def test_a_new_process_goes_on_where_the_old_one_was(house: House) -> None:
    house.library.add(film(0), film(1))
    await house.report("a", capacity_bytes=120)
    async with house.fill() as fill:
        async with asyncio.timeout(60):
            before = await fill.assignment(FillQuestion(appliance="a", wait_s=10))
        generation = fill.generation
    house.discovery = DiscoveryService(clock=SystemClock())  # it knows nobody yet
    async with house.fill() as fill:
        async with asyncio.timeout(60):
            after = await fill.assignment(FillQuestion(appliance="a", wait_s=10))
        assert (titles(after), fill.generation) == (titles(before), generation)


async def test_after_a_backup_was_restored_numbers_are_not_used_again(house: House) -> None:
    house.library.add(film(0))
    await house.report("a", generation=41)
    async with house.fill() as fill:
        assert (await assigned(fill, "a", {"t_0"})).generation == 42
    await house.report("b", generation=2**63)
    async with house.fill() as fill:
        assert (await assigned(fill, "b", {"t_0"})).generation == 43, "what nobody can have been told is not believed"


async def test_who_leaves_for_good_leaves_its_share_to_others(house: House) -> None:
    house.library.add(film(0), film(1))
    for name in ("a", "b"):
        await house.report(name, capacity_bytes=120)
    async with house.fill(configured=("a",)) as fill:
        await eventually(lambda: fill.generation > 0 and len(fill._knowledge.members) == 2)
        alone = fill.generation
        house.dismissed = {"b": time.time()}
        await house.discovery.drop(DropQuestion(id="b"))
        await eventually(lambda: set(fill._knowledge.members) == {"a"})
        await eventually(lambda: fill.generation > alone)
        house.dismissed = {"b": time.time() - 60}
        await house.report("b", capacity_bytes=120)
        await eventually(lambda: set(fill._knowledge.members) == {"a", "b"})
        await house.discovery.drop(DropQuestion(id="b"))
        await asyncio.sleep(1.2)
        assert set(fill._knowledge.members) == {"a", "b"}, "who was invited anew may restart"
    async with house.fill(configured=()) as fill:
        await house.discovery.drop(DropQuestion(id="a"))
        await eventually(lambda: set(fill._knowledge.members) == {"b"})


async def test_a_catalog_restored_from_a_backup_is_read_anew(house: House) -> None:
    house.library.add(film(0), film(1))
    await house.report("a")
    async with house.fill() as fill:
        first = await assigned(fill, "a", {"t_0", "t_1"})
        house.library.log = []
        house.library.add(film(1))
        await assigned(fill, "a", {"t_1"}, first.version)


async def test_two_planners_agree_and_never_commit_the_same_generation(house: House) -> None:
    house.library.add(*(film(number) for number in range(4)))
    await house.report("a", capacity_bytes=230)
    await house.report("b", "dallas", capacity_bytes=230)
    async with house.fill() as one, house.fill() as two:
        await eventually(lambda: min(one.generation, two.generation) > 0)
        for number in range(5):
            house.audience.days = [
                DemandDay(int(time.time() // DAY_S) - 1, region, f"t_{number % 4}", 1e12, 1e6) for region in ("eu", "us")
            ]
            for each in (one, two):
                each._planning._demand_s = float("-inf")
            answers = await asyncio.gather(*(each.plan(PlanQuestion(commit=True)) for each in (one, two, one, two)), return_exceptions=True)
            assert not [each for each in answers if isinstance(each, BaseException) and not isinstance(each, NearcastError)]
            await eventually(lambda: one.generation == two.generation)
        assert one.generation > 2, "demand moved, and so did the placement"
        first, second = [await asyncio.gather(*(fill.assignment(FillQuestion(appliance=name)) for name in "ab")) for fill in (one, two)]
        assert [titles(each) for each in first] == [titles(each) for each in second]
        await eventually(lambda: one._knowledge.order == two._knowledge.order)
        versions = [[(await fill.assignment(FillQuestion(appliance=name))).version for name in "ab"] for fill in (one, two)]
        assert versions[0] == versions[1], "an appliance may ask either"


async def test_a_new_title_that_may_wait_is_placed_all_the_same(house: House) -> None:
    house.settings = replace(house.settings, launch_at_once=False, window="00:00-00:01")
    house.library.add(film(0))
    await house.report("a")
    async with house.fill() as fill:
        first = await assigned(fill, "a", {"t_0"})
        house.library.add(publication("t_new", "complete", rendition("f", 1), created_at=time.time()))
        second = await assigned(fill, "a", {"t_0", "t_new"}, first.version)
        assert second.generation == first.generation + 1
        assert second.items is not None
        assert not any(each.urgent for each in second.items)


async def test_a_plan_is_shown_before_it_is_made(house: House) -> None:
    house.settings = replace(house.settings, window="00:00-00:01")
    house.library.add(film(0), film(1))
    house.audience.days = [DemandDay(int(time.time() // DAY_S) - 1, "eu", "t_0", 1e9, 1e6)]
    await house.report("a", capacity_bytes=130)
    async with house.fill() as fill:
        await assigned(fill, "a", {"t_0"})
        house.audience.days = [DemandDay(int(time.time() // DAY_S) - 1, "eu", "t_1", 1e9, 1e6)]
        fill._planning._demand_s = float("-inf")
        shown = await fill.plan(PlanQuestion(changes=True))
        assert not shown.committed
        assert [(each.site, each.titles_in, each.enter_bytes) for each in shown.sites] == [("paris", 1, 111)]
        assert ({each.title_id for each in shown.changes}, shown.origin_bytes) == ({"t_0", "t_1"}, 111)
        assert fill.generation == shown.generation - 1
        made = await fill.plan(PlanQuestion(commit=True, at_once=True))
        assert (made.committed, fill.generation) == (True, shown.generation)
        now = await assigned(fill, "a", {"t_1"})
        assert now.items is not None
        assert all(each.urgent for each in now.items), "at once means: not in the next quiet hours"
        again = await fill.plan(PlanQuestion(commit=True))
        assert (again.committed, again.generation, again.origin_bytes) == (True, shown.generation, 0), "nothing to do is no generation"


async def test_a_silent_appliance_lacks_what_it_lacked_and_one_never_heard_lacks_all(house: House) -> None:
    house.settings = replace(house.settings, window="02:00-03:00")
    house.library.add(film(0))
    await house.report("a", holdings={"t_0": 11})
    async with house.fill(clock=Shifted(12)) as fill:
        await assigned(fill, "a", {"t_0"})
        (plan,) = (await fill.plan(PlanQuestion(commit=True))).sites
        assert (plan.enter_bytes, plan.missing_bytes) == (0, 100), "nothing changes, and not everything is there"
        assert plan.opens_in_s > 0
        await house.discovery.drop(DropQuestion(id="a"))
        await eventually(lambda: not fill._knowledge.reports)
        (told,) = (await fill.status(Nothing())).appliances
        assert (told.assigned_bytes, told.missing_bytes, told.urgent_bytes, told.problem) == (111, 100, 0, "is silent")
    async with house.fill(clock=Shifted(12)) as fill:
        await eventually(lambda: fill.version > 0)
        (told,) = (await fill.status(Nothing())).appliances
        assert told.missing_bytes == 111
        await fill.plan(PlanQuestion(commit=True, at_once=True))
        (told,) = (await fill.status(Nothing())).appliances
        assert told.urgent_bytes == 111


async def test_a_pinned_title_is_everywhere_by_its_hour(house: House) -> None:
    house.settings = replace(house.settings, appliance_max_bps=1.0)
    house.library.add(film(0), film(1))
    house.audience.days = [DemandDay(int(time.time() // DAY_S) - 1, "eu", "t_0", 1e9, 1e6)]
    await house.report("a", capacity_bytes=130)
    async with house.fill() as fill:
        first = await assigned(fill, "a", {"t_0"})
        pins = (await fill.pin(PinQuestion(title_id="t_1", release_at=time.time() + 30))).pins
        assert [each.title_id for each in pins] == ["t_1"]
        made = await assigned(fill, "a", {"t_1"}, first.version)
        assert made.items is not None
        assert all(each.urgent for each in made.items), "half a minute is not long at a bit a second"
        with pytest.raises(UnknownTitle):
            await fill.pin(PinQuestion(title_id="t_nothing", release_at=time.time() + 30))
        for release_at in (time.time() - 5, float("nan"), float("inf")):
            with pytest.raises(BadPin):
                await fill.pin(PinQuestion(title_id="t_1", release_at=release_at))
        assert (await fill.pin(PinQuestion(title_id="t_1"))).pins == ()
        await assigned(fill, "a", {"t_0"}, made.version)
        with pytest.raises(NotPinned):
            await fill.pin(PinQuestion(title_id="t_1"))


async def test_misses_have_causes(house: House) -> None:
    house.library.add(film(0))
    await house.report("a", capacity_bytes=1)
    await house.report("b")
    async with house.fill() as fill:
        assert (await fill.causes(CausesQuestion(appliance="a", title_ids=("t_0",)))).causes == {}
        await assigned(fill, "b", {"t_0"})
        await house.report("b", holdings={"t_0": 111}, state="draining")
        await eventually(lambda: fill._knowledge.reports["b"].state == "draining")
        found = await fill.causes(CausesQuestion(appliance="a", title_ids=("t_0", "t_1")))
        assert found.causes == {"t_0": "health", "t_1": "content"}
        assert (await fill.causes(CausesQuestion(appliance="nobody", title_ids=("t_0",)))).causes == {}


async def test_discovery_that_was_away_is_no_reason_to_give_anyone_up(house: House) -> None:
    class Away:
        """Answers, is away for what its clock calls an hour, and answers with nobody."""

        hours = 0

        async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
            return await house.discovery.appliances(question)

    house.library.add(film(0))
    await house.report("a")
    async with house.fill(Away()) as fill:
        await assigned(fill, "a", {"t_0"})
        known = fill._knowledge
        known.miss_discovery()
        known.take_appliances((), {}, SystemClock().monotonic_s() + 3600, 0.0)
        assert set(known.members) == {"a"}, "it was not heard of for an hour, because nobody could be heard of"
        known.take_appliances((), {}, SystemClock().monotonic_s() + 3600 + 601, 0.0)
        assert known.members == {}
