"""What keeps placement generations: of many who commit the same one, exactly one does, and everyone then reads the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nearcast.delivery.fill.store import PlacementStore, SqlitePlacements
from nearcast.model.fill import Pin, Placement

ENGINES: dict[str, Callable[[Path], PlacementStore]] = {"sqlite": lambda folder: SqlitePlacements(folder / "fill.db")}
PLANNERS = 5


@pytest.fixture(params=sorted(ENGINES))
def planners(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[PlacementStore]]:
    stores = [ENGINES[request.param](tmp_path) for _ in range(PLANNERS)]
    yield stores
    for each in stores:
        each.close()


def placement(generation: int, who: int) -> Placement:
    return Placement(generation=generation, made_at=float(who), holdings={f"a-{who}": {"t_1": ("x.mp4", "y.mp4")}, "b": {}})


async def test_one_of_many_wins_each_generation(planners: list[PlacementStore]) -> None:
    for generation in range(1, 11):
        won = await asyncio.gather(*(each.commit(placement(generation, who)) for who, each in enumerate(planners)))
        assert won.count(True) == 1
        for each in planners:
            assert await each.latest() == placement(generation, won.index(True))
            assert await each.latest(generation - 1) == await each.latest()
            assert await each.latest(generation) is None, "what is known already is not told again"


async def test_neither_gaps_nor_the_past(planners: list[PlacementStore]) -> None:
    one, two = planners[:2]
    assert await one.latest() is None
    assert not await one.commit(placement(2, 0))
    assert await one.commit(placement(1, 0))
    assert not await two.commit(placement(1, 1))
    assert not await two.commit(placement(3, 1))


async def test_numbers_may_be_left_out_but_nobody_is_passed_over(planners: list[PlacementStore]) -> None:
    one, two = planners[:2]
    assert await one.commit(placement(1, 0))
    assert await one.commit(placement(9, 0), after=1)
    assert not await two.commit(placement(10, 1), after=1), "it was planned from what is no longer so"
    assert not await two.commit(placement(9, 1), after=9)
    assert await two.commit(placement(10, 1), after=9)
    assert await one.latest() == placement(10, 1)


async def test_pins_are_everyones(planners: list[PlacementStore]) -> None:
    one, two = planners[:2]
    await one.pin(Pin(title_id="t_late", release_at=9.0))
    await two.pin(Pin(title_id="t_soon", release_at=5.0))
    await two.pin(Pin(title_id="t_late", release_at=7.0))
    assert await one.pins() == (Pin(title_id="t_soon", release_at=5.0), Pin(title_id="t_late", release_at=7.0))
    await one.unpin("t_soon")
    await one.unpin("t_nobody")
    assert await two.pins() == (Pin(title_id="t_late", release_at=7.0),)
