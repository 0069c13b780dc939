"""Placement generations and pins on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.fill.store import KEPT, PlanStoreBroken, PlanStoreDamaged, SqlitePlacements, pack, unpack
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


async def filled(path: Path) -> None:
    store = SqlitePlacements(path)
    for generation in range(1, 4):
        assert await store.commit(Placement(generation=generation, made_at=1.5, holdings={"a": {f"t_{at}": ("x",) for at in range(5000)}}))
    store.close()


def overwritten(path: Path, offset: int, size_bytes: int) -> None:
    with path.open("r+b") as out:
        out.seek(offset)
        out.write(b"\xa5" * size_bytes)


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "fill.db").write_bytes(b"not a database, however long it may be" * 100)
    with pytest.raises(PlanStoreDamaged, match=r"fill\.db"):
        SqlitePlacements(tmp_path / "fill.db")


async def test_damaged_pages_are_found_at_the_opening(tmp_path: Path) -> None:
    await filled(tmp_path / "fill.db")
    overwritten(tmp_path / "fill.db", 4096, 8192)
    with pytest.raises(PlanStoreDamaged, match=r"fill\.db"):
        SqlitePlacements(tmp_path / "fill.db")


async def test_a_generation_that_cannot_be_unpacked_is_damage(tmp_path: Path) -> None:
    await filled(tmp_path / "fill.db")
    raw = sqlite3.connect(tmp_path / "fill.db")
    raw.execute("UPDATE placements SET holdings = x'00112233'")
    raw.commit()
    raw.close()
    store = SqlitePlacements(tmp_path / "fill.db")
    with pytest.raises(PlanStoreDamaged, match=r"fill\.db"):
        await store.latest()
    store.close()


async def test_where_no_file_can_be_is_no_damage_of_it(tmp_path: Path) -> None:
    (tmp_path / "fill.db").mkdir()
    with pytest.raises(PlanStoreBroken, match=r"fill\.db") as caught:
        SqlitePlacements(tmp_path / "fill.db")
    assert type(caught.value) is PlanStoreBroken


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "fill.db")
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(PlanStoreBroken, match="newer version") as caught:
        SqlitePlacements(tmp_path / "fill.db")
    assert type(caught.value) is PlanStoreBroken
