"""What the fill does with a surprise, before, in and after the peak, and when the day's plan is made."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nearcast.delivery.fill.service import FillService
from nearcast.delivery.fill.store import SqlitePlacements
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    FillQuestion,
)
from nearcast.model.traffic import DemandDay
from tests.unit.delivery.fill.planning import DAY_S, House, Shifted, assigned, eventually

from .test_plan import film


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "placement.db")


async def test_a_surprise_is_placed_at_once_whatever_the_hour(house: House) -> None:
    house.settings = replace(house.settings, window="00:00-00:01", peak="")
    today = int(time.time() // DAY_S)
    house.library.add(film(0), film(1))
    house.audience.days = [DemandDay(today - back, "eu", "t_0", 1e9, 1e6) for back in range(1, 8)]
    house.audience.days += [DemandDay(today - back, "eu", "t_1", 1e7, 1e4) for back in range(1, 8)]
    await house.report("a", capacity_bytes=130)
    async with house.fill() as fill:
        first = await assigned(fill, "a", {"t_0"})
        assert first.items is not None
        assert not any(each.urgent for each in first.items)
        house.audience.days += [DemandDay(today, "eu", "t_0", 5e8, 5e5), DemandDay(today, "eu", "t_1", 9e9, 9e6)]
        fill._planning._surprised_s = float("-inf")
        await fill._planning.look()
        made = await assigned(fill, "a", {"t_1"}, first.version)
        assert made.items is not None
        assert all(each.urgent for each in made.items)
        generation = fill.generation
        fill._planning._surprised_s = float("-inf")
        await fill._planning.look()
        assert fill.generation == generation, "what has surprised does so once a day"


async def test_in_the_peak_a_surprise_is_not_placed_and_after_it_is(house: House) -> None:
    house.settings = replace(house.settings, window="02:00-03:00", peak="11:00-13:00")
    today = int(time.time() // DAY_S)
    house.library.add(film(0), film(1))
    house.audience.days = [DemandDay(today - back, "eu", "t_0", 1e9, 1e6) for back in range(1, 8)]
    house.audience.days += [DemandDay(today - back, "eu", "t_1", 1e7, 1e4) for back in range(1, 8)]
    await house.report("a", capacity_bytes=130)
    clock = Shifted(12)
    async with house.fill(clock=clock) as fill:
        first = await assigned(fill, "a", {"t_0"})
        fill._planning._planned_at = clock.now_s()
        house.audience.days += [DemandDay(today, "eu", "t_1", 9e9, 9e6)]
        fill._planning._surprised_s = float("-inf")
        await fill._planning.look()
        assert fill.generation == first.generation
        clock.set(14)
        fill._planning._surprised_s = float("-inf")
        await fill._planning.look()
        made = await assigned(fill, "a", {"t_1"}, first.version)
        assert made.items is not None
        assert all(each.urgent for each in made.items)


async def test_what_surprised_before_the_peak_waits_through_it_and_whoever_asks_is_told_when_it_is_over(house: House) -> None:
    house.settings = replace(house.settings, window="02:00-03:00", peak="11:00-13:00")
    house.library.add(film(0), film(1))
    await house.report("a")
    clock = Shifted(13 - 1.5 / 3600)
    async with house.fill(clock=clock) as fill:
        first = await assigned(fill, "a", {"t_0", "t_1"})
        await fill._planning._remember("surprised", {"t_0": clock.now_s() + DAY_S, "t_gone": clock.now_s() + DAY_S})
        await eventually(lambda: fill._view is not None and fill._view.surprises == {"t_0"})
        assert fill._view is not None
        assert [set(fill._view.urgent(peak=each)) for each in (True, False)] == [set(), {"t_0"}]
        made = await fill.assignment(FillQuestion(appliance="a", after=first.version, wait_s=20))
        assert made.items is not None
        assert {each.title_id for each in made.items if each.urgent} == {"t_0"}
        clock.set(12)
        await fill._planning._hurry({"t_1": clock.now_s() + DAY_S})
        await eventually(lambda: fill._view is not None and fill._view.hurry == {"t_1"})
        made = await fill.assignment(FillQuestion(appliance="a"))
        assert made.items is not None
        assert {each.title_id for each in made.items if each.urgent} == {"t_1"}, "what is ordered does not wait"


async def test_the_day_is_planned_at_its_hour_and_once(house: House) -> None:
    house.library.add(film(0), film(1))
    await house.report("a", capacity_bytes=130)
    house.audience.days = [DemandDay(int(time.time() // DAY_S) - 1, "eu", "t_0", 1e9, 1e6)]
    async with house.fill() as fill:
        first = await assigned(fill, "a", {"t_0"})
        await fill._planning.look()
        house.audience.days = [DemandDay(int(time.time() // DAY_S) - 1, "eu", "t_1", 1e9, 1e6)]
        await fill._planning.look()
        assert fill.generation == first.generation, "it is planned already"
    async with house.fill() as fill:
        await eventually(lambda: fill.generation == first.generation and bool(fill._knowledge.reports) and fill.version >= 0)
        fill._planning._planned_at -= DAY_S
        await fill._planning.look()
        await assigned(fill, "a", {"t_1"}, first.version)


async def test_a_defect_is_told_to_who_waits(house: House) -> None:
    """Otherwise the fill would stand still, and nobody would know."""

    class Broken:
        async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
            raise ZeroDivisionError

    async with asyncio.timeout(60):
        store = SqlitePlacements(house._path)
        broken: Any = Broken()
        fill = FillService(catalog=house.library, discovery=broken, insight=house.audience, store=store)
        await fill.start()
        with pytest.raises(ZeroDivisionError):
            await fill.wait()
        await fill.stop()
        store.close()
