"""The door to the store: what fails is told in our words, and the loop is never held up."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy.exc
from sqlalchemy import Connection, text

from nearcast.base.errors import NearcastError
from nearcast.control.store import Store, sqlite_url
from nearcast.control.store.errors import (
    StoreBusy,
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreOutdated,
    StoreUnavailable,
    mapped,
)
from nearcast.control.store.settings import StoreSettings
from tests.unit.control.helpers import FAST, new_database, new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


async def test_sqlite_is_set_up_as_said(tmp_path: Path) -> None:
    store = new_store(tmp_path, StoreSettings(busy_timeout_ms=1234))
    found = {
        name: await store.read(lambda connection, name=name: connection.exec_driver_sql(f"PRAGMA {name}").scalar())  # type: ignore[misc]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    store.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 1234}


async def test_what_raises_is_rolled_back(store: Store) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("UPDATE catalog_version SET version = 7"))
        raise StoreFull("in the middle")

    with pytest.raises(StoreFull):
        await store.write(half)
    assert await store.read(lambda connection: connection.execute(text("SELECT version FROM catalog_version")).scalar()) == 0


async def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(StoreConflict):
        await store.write(lambda connection: connection.execute(text("INSERT INTO title_genres VALUES ('t_nothing', 'drama')")))


async def test_the_loop_runs_while_the_store_works(store: Store) -> None:
    released = threading.Event()
    slow = asyncio.create_task(store.write(lambda _connection: released.wait(30)))
    assert await asyncio.wait_for(store.read(lambda connection: connection.execute(text("SELECT 1")).scalar()), 60) == 1
    assert not slow.done()
    released.set()
    assert await slow


async def test_a_writer_elsewhere_that_holds_on_is_told_as_busy(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    store = Store(sqlite_url(path), StoreSettings(busy_timeout_ms=20))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy):
        await store.write(lambda connection: connection.execute(text("UPDATE catalog_version SET version = 1")))
    assert await store.read(lambda connection: connection.execute(text("SELECT version FROM catalog_version")).scalar()) == 0
    holder.execute("ROLLBACK")
    await store.write(lambda connection: connection.execute(text("UPDATE catalog_version SET version = 1")))
    holder.close()
    store.close()


async def test_a_full_disk_is_told_and_nothing_is_half_written(store: Store) -> None:
    def too_much(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")  # what SQLite does then is what it does on a full disk
        connection.execute(text("UPDATE catalog_version SET version = 7"))
        insert = text("INSERT INTO content_keys VALUES ('t', 'SD', :key_id, :sealed, 'm')")
        connection.execute(insert, {"key_id": bytes(16), "sealed": bytes(1 << 20)})

    with pytest.raises(StoreFull) as caught:
        await store.write(too_much)
    assert "free space" in caught.value.hint
    assert await store.read(lambda connection: connection.execute(text("SELECT version FROM catalog_version")).scalar()) == 0


async def test_an_error_names_no_values(store: Store) -> None:
    secret = "argon2id-hash-of-somebody"
    insert = text("INSERT INTO title_genres VALUES (:secret, 'drama')")
    with pytest.raises(StoreConflict) as caught:
        await store.write(lambda connection: connection.execute(insert, {"secret": secret}))
    assert secret not in f"{caught.value} {caught.value.__cause__}"


async def test_writers_of_two_stores_lose_no_update(tmp_path: Path) -> None:
    url = sqlite_url(new_database(tmp_path))
    stores = [Store(url, FAST), Store(url, FAST)]

    def count(connection: Connection) -> None:
        version = connection.execute(text("SELECT version FROM catalog_version")).scalar_one()
        connection.execute(text("UPDATE catalog_version SET version = :next"), {"next": version + 1})

    await asyncio.gather(*(store.write(count) for store in stores for _ in range(50)))
    assert await stores[0].read(lambda connection: connection.execute(text("SELECT version FROM catalog_version")).scalar()) == 100
    for store in stores:
        store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.read(lambda _connection: None)


async def test_a_database_without_tables_says_what_to_run(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path / "empty.db"), FAST)
    with pytest.raises(StoreOutdated) as caught:
        await store.read(lambda connection: connection.execute(text("SELECT * FROM accounts")).all())
    assert "nearcast up" in caught.value.hint
    store.close()


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path / "nowhere" / "nearcast.db"), FAST)
    with pytest.raises(StoreUnavailable):
        await store.read(lambda connection: connection.execute(text("SELECT 1")).all())
    store.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite3.OperationalError("database or disk is full"), StoreFull),
        (sqlite3.DatabaseError("database disk image is malformed"), StoreDamaged),
        (sqlite3.DatabaseError("file is not a database"), StoreDamaged),
        (sqlite3.OperationalError("database is locked"), StoreBusy),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), StoreConflict),
        (sqlite3.OperationalError("unable to open database file"), StoreUnavailable),
        (sqlalchemy.exc.TimeoutError("QueuePool limit"), StoreUnavailable),
        (sqlalchemy.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked")), StoreBusy),
    ],
)
def test_foreign_errors_become_ours_by_what_they_say(error: Exception, kind: type[NearcastError]) -> None:
    ours = mapped(error)
    assert type(ours) is kind
    assert ours.hint
