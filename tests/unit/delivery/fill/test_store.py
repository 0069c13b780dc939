"""Placement generations and pins on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.fill.store import KEPT, PlanStoreBroken, SqlitePlacements, pack, unpack
from nearcast.model.fill import Pin, Placement

names = st.text("abc", min_size=1, max_size=4)
holdings = st.dictionaries(names, st.dictionaries(names, st.lists(names, unique=True, max_size=4).map(tuple), max_size=4), max_size=4)


def placement(generation: int, **held: str) -> Placement:
    return Placement(generation=generation, made_at=1.5, holdings={each: {"t_film": (name,)} for each, name in held.items()})


@given(holdings)
def test_what_is_packed_is_unpacked(held: dict[str, dict[str, tuple[str, ...]]]) -> None:
    whole = Placement(generation=3, made_at=2.5, holdings=held)
    assert unpack(3, 2.5, pack(whole)) == whole


async def test_a_generation_is_the_one_after_the_latest(tmp_path: Path) -> None:
    store = SqlitePlacements(tmp_path / "fill.db")
    assert await store.latest() is None
    assert not await store.commit(placement(2, a="x"))
    assert await store.commit(placement(1, a="x"))
    assert not await store.commit(placement(1, a="y"))
    assert await store.latest() == placement(1, a="x")
    store.close()


async def test_of_two_planners_at_once_one_loses(tmp_path: Path) -> None:
    stores = [SqlitePlacements(tmp_path / "fill.db") for _ in range(4)]
    for generation in range(1, 11):
        won = await asyncio.gather(*(each.commit(placement(generation, a=str(at))) for at, each in enumerate(stores)))
        assert won.count(True) == 1
        latest = await stores[0].latest()
        assert latest == placement(generation, a=str(won.index(True)))
    for each in stores:
        each.close()


async def test_it_is_there_after_a_restart_and_old_ones_are_let_go(tmp_path: Path) -> None:
    store = SqlitePlacements(tmp_path / "fill.db")
    for generation in range(1, KEPT + 3):
        assert await store.commit(placement(generation, a="x"))
    store.close()
    again = SqlitePlacements(tmp_path / "fill.db")
    assert await again.latest() == placement(KEPT + 2, a="x")
    again.close()
    raw = sqlite3.connect(tmp_path / "fill.db")
    assert raw.execute("SELECT count(*) FROM placements").fetchone() == (KEPT,)
    raw.close()


async def test_pins_are_kept_and_changed(tmp_path: Path) -> None:
    store = SqlitePlacements(tmp_path / "fill.db")
    await store.pin(Pin(title_id="t_two", release_at=200.0))
    await store.pin(Pin(title_id="t_one", release_at=300.0))
    await store.pin(Pin(title_id="t_one", release_at=100.0))
    assert await store.pins() == (Pin(title_id="t_one", release_at=100.0), Pin(title_id="t_two", release_at=200.0))
    await store.unpin("t_one")
    await store.unpin("t_never")
    assert [each.title_id for each in await store.pins()] == ["t_two"]
    store.close()


async def test_a_damaged_file_is_an_error_of_the_house(tmp_path: Path) -> None:
    (tmp_path / "fill.db").write_bytes(b"not a database, however long it may be" * 100)
    with pytest.raises(PlanStoreBroken, match="cannot be kept"):
        SqlitePlacements(tmp_path / "fill.db")


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "fill.db")
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(PlanStoreBroken, match="newer version"):
        SqlitePlacements(tmp_path / "fill.db")
