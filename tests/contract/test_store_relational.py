"""The relational store: one suite over every way in which it is used. What passes it may stand under accounts, catalog and license."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from nearcast.control.store import Store, sqlite_url
from nearcast.control.store.errors import StoreConflict
from nearcast.control.store.tables import accounts, catalog_version, content_keys, profiles, titles
from tests.unit.control.helpers import FAST, new_database

ACCOUNT = {"email": "a@example.org", "password_hash": None, "role": "viewer", "subscription": "active", "generation": 1, "created_at": 1.5}
WRITER = """
import asyncio, sys
from sqlalchemy import select, update
from nearcast.control.store.engine import Store
from nearcast.control.store.tables import catalog_version
def count(connection):
    version = connection.execute(select(catalog_version.c.version)).scalar_one()
    connection.execute(update(catalog_version).values(version=version + 1))
async def main():
    store = Store(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        await store.write(count)
    store.close()
asyncio.run(main())
"""


@pytest.fixture(params=["one store", "two stores over one file"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Where to write, and where to read."""
    url = sqlite_url(new_database(tmp_path))
    one = Store(url, FAST)
    other = one if request.param == "one store" else Store(url, FAST)
    yield one, other
    one.close()
    other.close()


def version(connection: Connection) -> int:
    return int(connection.execute(select(catalog_version.c.version)).scalar_one())


def count(connection: Connection) -> None:
    connection.execute(update(catalog_version).values(version=version(connection) + 1))


async def test_what_was_written_is_read_at_once(pair: tuple[Store, Store]) -> None:
    one, other = pair
    for expected in range(1, 20):
        await one.write(count)
        assert await other.read(version) == expected


async def test_a_transaction_is_all_or_nothing(pair: tuple[Store, Store]) -> None:
    one, other = pair

    def half(connection: Connection) -> None:
        connection.execute(insert(accounts).values(id="a_one", **ACCOUNT))
        connection.execute(insert(accounts).values(id="a_two", **ACCOUNT))

    with pytest.raises(StoreConflict):
        await one.write(half)
    assert await other.read(lambda connection: connection.execute(select(accounts)).all()) == []


async def test_counters_of_many_writers_lose_nothing(pair: tuple[Store, Store]) -> None:
    one, other = pair
    await asyncio.gather(*(store.write(count) for _ in range(40) for store in (one, other)))
    assert await one.read(version) == 80


async def test_a_reader_sees_one_moment(pair: tuple[Store, Store]) -> None:
    one, other = pair
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[int, int]:
        first = version(connection)
        asyncio.run_coroutine_threadsafe(one.write(count), loop).result(30)
        return first, version(connection)

    assert await other.read(twice) == (0, 0)
    assert await other.read(version) == 1


async def test_text_bytes_and_numbers_come_back_as_they_were(pair: tuple[Store, Store]) -> None:
    one, other = pair
    text = "Ünï🎬 '\"%_\\;-- \n\t 日本 ﷺ" * 10
    key = bytes(range(16))
    blank = {"synopsis": text * 5, "genres": "[]", "credit": "", "state": "complete", "version": 1, "generation": 1,
             "published_at": 1e9 + 0.123456,
             "runtime_s": 0.1, "max_height": 0, "audio_languages": "[]", "text_languages": "[]", "poster": True, "clear": False,
             "source_sha256": "", "submitted_metadata": "", "manifest": "x" * 3_000_000, "year": None}  # fmt: skip
    await one.write(lambda connection: connection.execute(insert(titles).values(id="t_one", name=text[:200], **blank)))
    await one.write(
        lambda connection: connection.execute(
            insert(content_keys).values(title_id="t", label="SD", key_id=key, sealed_key=b"\x00\xff" * 22, master_id="m")
        )
    )
    row = (await other.read(lambda connection: connection.execute(select(titles)).all()))[0]
    assert (row.name, row.synopsis, row.published_at, row.year, row.poster, row.clear) == (
        text[:200], text * 5, 1e9 + 0.123456, None, True, False
    )  # fmt: skip
    assert len(row.manifest) == 3_000_000
    sealed = (await other.read(lambda connection: connection.execute(select(content_keys)).all()))[0]
    assert (sealed.key_id, sealed.sealed_key) == (key, b"\x00\xff" * 22)


async def test_what_belongs_to_an_account_goes_with_it(pair: tuple[Store, Store]) -> None:
    one, other = pair

    def family(connection: Connection) -> None:
        connection.execute(insert(accounts).values(id="a_one", **ACCOUNT))
        profile = {"name": "Me", "avatar": "ember", "audio_language": "", "text_language": "", "created_at": 1.0}
        connection.execute(insert(profiles).values(id="p_one", account_id="a_one", **profile))
        connection.execute(accounts.delete())

    await one.write(family)
    assert await other.read(lambda connection: connection.execute(select(profiles)).all()) == []


async def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    url = sqlite_url(new_database(tmp_path))
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, "40"]) for _ in range(2)]  # noqa: ASYNC220  (awaited below)
    codes = [await asyncio.to_thread(writer.wait, 60) for writer in writers]
    store = Store(url, FAST)
    assert (codes, await store.read(version)) == ([0, 0], 80)
    store.close()
