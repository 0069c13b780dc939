"""The door to the relational store: transactions run on threads, so that the event loop never waits for a disk.

SQLite: write-ahead log (readers never wait for the writer); ``synchronous=FULL`` because a used sign-in link must stay used
after a power cut and writes are rare here; writes begin with ``BEGIN IMMEDIATE`` (sqlite.org/lang_transaction.html), since a
read that turns into a write fails at once when another process wrote in between. One thread writes, so that the writers of
one process queue fairly and only those of other processes meet at the file's lock.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from nearcast.base import sqlite
from nearcast.base.errors import NearcastError
from nearcast.control.store.errors import StoreUnavailable, seam
from nearcast.control.store.settings import StoreSettings

T = TypeVar("T")
Work = Callable[[Connection], T]

_WRITES = "nearcast_writes"
_DEFAULT = StoreSettings()


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file, as ``sqlite:////var/lib/nearcast/nearcast.db``."""
    return sqlalchemy.URL.create("sqlite", database=str(path.absolute())).render_as_string()


def is_sqlite(url: str) -> bool:
    """Raises StoreUnavailable when ``url`` is no database address at all."""
    try:
        return make_url(url).get_backend_name() == "sqlite"
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise StoreUnavailable(f"not the address of a database: {url!r}", hint="write it as sqlite:////path/to/file.db") from error


def make_engine(url: str, settings: StoreSettings = _DEFAULT, *, foreign_keys: bool = True) -> Engine:
    """An engine with SQLite set up as the module says; other addresses pass through to their driver."""
    if not is_sqlite(url):
        with seam():
            try:
                return sqlalchemy.create_engine(url, pool_size=settings.readers + 1, pool_pre_ping=True, hide_parameters=True)
            except ImportError as error:
                raise StoreUnavailable(f"the database driver is not installed: {error}", hint="install the driver named") from error
    engine = sqlalchemy.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=settings.readers + 1,
        max_overflow=0,
        hide_parameters=True,  # an error's text goes to the log: it must not bring hashes and keys there
        connect_args={"check_same_thread": False, "timeout": settings.busy_timeout_ms / 1000, "isolation_level": None},
    )

    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        busy_s = settings.busy_timeout_ms / 1000
        sqlite.prepare(connection, busy_s=busy_s, synchronous=settings.synchronous, foreign_keys=foreign_keys)

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


class Store:
    """Runs transactions: ``read`` on one of a few threads, ``write`` on the one that writes.

    ``work`` takes a connection inside a transaction, which is committed when it returns and rolled back when it raises.
    Raises the errors of ``control.store.errors``. ``close`` when done.
    """

    def __init__(self, url: str, settings: StoreSettings = _DEFAULT) -> None:
        self.url = url
        self._engine = make_engine(url, settings)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        writers = 1 if is_sqlite(url) else settings.readers
        self._readers = ThreadPoolExecutor(settings.readers, thread_name_prefix="store-read")
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="store-write")

    async def read(self, work: Work[T]) -> T:
        return await self._on(self._readers, self._engine, work)

    async def write(self, work: Work[T]) -> T:
        return await self._on(self._writers, self._writing, work)

    async def _on(self, threads: ThreadPoolExecutor, engine: Engine, work: Work[T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, transact, engine, work)
        except RuntimeError as error:
            if isinstance(error, NearcastError):
                raise
            raise StoreUnavailable("the store is closed") from error

    def close(self) -> None:
        """End the threads after their current work, and close every connection."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._writers.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()


def transact(engine: Engine, work: Work[T]) -> T:
    """``work`` in one transaction, on the calling thread."""
    with seam(), engine.begin() as connection:
        return work(connection)
