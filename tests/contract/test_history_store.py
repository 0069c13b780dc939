"""The port BookmarkStore: one suite over every engine. What passes it may keep the viewing history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearcast.control.history import BookmarkStore, SqliteBookmarks
from nearcast.control.history.bookmarks import Mark
from nearcast.control.store.errors import StoreDamaged, StoreOutdated, StoreUnavailable
from nearcast.model.session import Bookmark
from tests.unit.control.helpers import FAST

Opener = Callable[[Path], BookmarkStore]

ENGINES: dict[str, Opener] = {"sqlite": lambda folder: SqliteBookmarks(folder / "history.db", FAST)}


@pytest.fixture(params=ENGINES)
def opener(request: pytest.FixtureRequest) -> Opener:
    return ENGINES[request.param]


@pytest.fixture
def store(opener: Opener, tmp_path: Path) -> Iterator[BookmarkStore]:
    made = opener(tmp_path)
    yield made
    made.close()


def mark(title_id: str, position_s: float, at: float, *, profile_id: str = "p", runtime_s: float = 100.0, finished: bool = False) -> Mark:
    return Mark(profile_id, Bookmark(title_id=title_id, position_s=position_s, runtime_s=runtime_s, updated_at=at, finished=finished))


async def positions(store: BookmarkStore, *title_ids: str, profile_id: str = "p", limit: int = 100) -> list[tuple[str, float]]:
    return [(each.title_id, each.position_s) for each in await store.get(profile_id, title_ids, limit)]


async def test_a_mark_comes_back_whole(store: BookmarkStore) -> None:
    one = mark("t_one", 12.345678901, 1_700_000_000.123456, runtime_s=5400.25, finished=True)
    await store.put([one])
    assert await store.get("p", (), 10) == [one.bookmark]


async def test_newest_first_for_one_profile(store: BookmarkStore) -> None:
    await store.put([mark("t_a", 1, 10), mark("t_b", 2, 30), mark("t_c", 3, 20), mark("t_x", 9, 99, profile_id="other")])
    assert await positions(store) == [("t_b", 2), ("t_c", 3), ("t_a", 1)]
    assert await positions(store, limit=2) == [("t_b", 2), ("t_c", 3)]
    assert await positions(store, "t_a", "t_c", "t_nothing") == [("t_c", 3), ("t_a", 1)]
    assert await positions(store, "t_a", "t_c", limit=1) == [("t_c", 3)]
    assert await positions(store, profile_id="nobody") == []


async def test_what_comes_late_loses_and_what_comes_again_wins(store: BookmarkStore) -> None:
    await store.put([mark("t", 50, 10)])
    await store.put([mark("t", 10, 9)])
    assert await positions(store) == [("t", 50)]
    await store.put([mark("t", 20, 10)])
    assert await positions(store) == [("t", 20)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 99)), max_size=4), max_size=6))
def test_bookmarks_are_monotonic_by_time(opener: Opener, batches: list[list[tuple[str, int, int]]]) -> None:
    """Against a model: whatever the order and the batches, the newest mark of a title stands."""
    model: dict[str, tuple[int, int]] = {}

    async def run(store: BookmarkStore) -> None:
        for batch in batches:
            await store.put([mark(title_id, position, at) for title_id, at, position in batch])
            for title_id, at, position in batch:
                if title_id not in model or at >= model[title_id][0]:
                    model[title_id] = (at, position)
            expected = sorted(((title_id, float(position)) for title_id, (_, position) in model.items()))
            assert sorted(await positions(store)) == expected

    with TemporaryDirectory() as folder:
        store = opener(Path(folder))
        try:
            asyncio.run(run(store))
        finally:
            store.close()


async def test_a_runtime_once_known_is_not_forgotten(store: BookmarkStore) -> None:
    await store.put([mark("t", 1, 1)])
    await store.put([mark("t", 2, 2, runtime_s=0)])
    assert [each.runtime_s for each in await store.get("p", (), 1)] == [100.0]
    await store.put([mark("t", 3, 3, runtime_s=90)])
    assert [each.runtime_s for each in await store.get("p", (), 1)] == [90.0]


@pytest.mark.parametrize("name", ["", "%", "_", "' OR '1'='1", "ünï 🎬", "a" * 5000, "\x00"])
async def test_names_are_only_names(store: BookmarkStore, name: str) -> None:
    await store.put([mark("t_real", 1, 1), mark(name, 2, 2, profile_id=name)])
    assert await positions(store, profile_id=name) == [(name, 2)]
    assert await positions(store) == [("t_real", 1)]


async def test_thousands_of_titles_may_be_asked_for_at_once(store: BookmarkStore) -> None:
    await store.put([mark(f"t_{number}", number, number) for number in range(1500)])
    ids = tuple(f"t_{number}" for number in range(5000))
    found = await positions(store, *ids, limit=1000)
    assert (len(found), found[0]) == (1000, ("t_1499", 1499))


async def test_two_stores_over_one_place_agree(opener: Opener, tmp_path: Path) -> None:
    one, other = opener(tmp_path), opener(tmp_path)
    await asyncio.gather(*(store.put([mark(f"t_{number}", at, at)]) for number in range(10) for at, store in enumerate((one, other))))
    for store in (one, other):
        assert sorted(await positions(store)) == sorted((f"t_{number}", 1) for number in range(10))
    one.close()
    other.close()


async def test_what_was_put_is_there_when_it_is_opened_again(opener: Opener, tmp_path: Path) -> None:
    one = opener(tmp_path)
    await one.put([mark("t", 7, 7)])
    one.close()
    with pytest.raises(StoreUnavailable):
        await one.put([mark("t", 8, 8)])
    again = opener(tmp_path)
    assert await positions(again) == [("t", 7)]
    again.close()


def test_sqlite_of_a_newer_version_or_damaged_is_told(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "history.db"
    SqliteBookmarks(path, FAST).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreOutdated):
        SqliteBookmarks(path, FAST)
    bad = tmp_path / "bad.db"
    bad.write_text("this is no database at all, and long enough to be read as the header of one")
    with pytest.raises(StoreDamaged):
        SqliteBookmarks(bad, FAST)
