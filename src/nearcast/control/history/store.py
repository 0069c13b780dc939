"""Where bookmarks are kept. The port is two methods; the embedded engine is a SQLite file of its own, so that heartbeats
never queue behind a publication."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from nearcast.base import sqlite
from nearcast.control.history.bookmarks import Mark
from nearcast.control.store.errors import StoreOutdated, StoreUnavailable, seam
from nearcast.control.store.settings import StoreSettings
from nearcast.model.session import Bookmark

T = TypeVar("T")

SCHEMA_VERSION = 1
_IDS_PER_QUERY = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS bookmarks (
    profile_id TEXT NOT NULL,
    title_id TEXT NOT NULL,
    position_s REAL NOT NULL,
    runtime_s REAL NOT NULL,
    updated_at REAL NOT NULL,
    finished INTEGER NOT NULL,
    PRIMARY KEY (profile_id, title_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bookmarks_newest ON bookmarks (profile_id, updated_at DESC);
"""
# A mark older than the one stored loses; a runtime once known is not lost when the catalog could not be asked.
_PUT = """
INSERT INTO bookmarks (profile_id, title_id, position_s, runtime_s, updated_at, finished) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (profile_id, title_id) DO UPDATE SET
    position_s = excluded.position_s,
    runtime_s = CASE WHEN excluded.runtime_s > 0 THEN excluded.runtime_s ELSE runtime_s END,
    updated_at = excluded.updated_at,
    finished = excluded.finished
WHERE excluded.updated_at >= updated_at
"""
_COLUMNS = "title_id, position_s, runtime_s, updated_at, finished"


class BookmarkStore(Protocol):
    """A mark put is durable when ``put`` returns, and loses against a newer one. ``title_ids`` empty: all, newest first."""

    async def put(self, marks: Sequence[Mark]) -> None: ...
    async def get(self, profile_id: str, title_ids: Sequence[str], limit: int) -> list[Bookmark]: ...
    def close(self) -> None: ...


class SqliteBookmarks:
    """Bookmarks in a SQLite file in WAL mode; one thread writes, one reads. Fits BookmarkStore; raises the errors of control.store."""

    def __init__(self, path: Path, settings: StoreSettings | None = None) -> None:
        self._path = path
        self._settings = settings or StoreSettings()
        with seam():
            self._writing = self._open()
            self._prepare()
            self._reading = self._open()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="history-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="history-read")

    def _open(self) -> sqlite3.Connection:
        try:
            return sqlite.connect(self._path, busy_s=self._settings.busy_timeout_ms / 1000, synchronous=self._settings.synchronous)
        except OSError as error:
            raise StoreUnavailable(f"cannot make the folder of {self._path}: {error.strerror}") from error

    def _prepare(self) -> None:
        if not sqlite.make_tables(self._writing, _TABLES, SCHEMA_VERSION):
            raise StoreOutdated(f"{self._path.name} is of a newer version of Nearcast")

    async def put(self, marks: Sequence[Mark]) -> None:
        rows = [
            (mark.profile_id, each.title_id, each.position_s, each.runtime_s, each.updated_at, each.finished)
            for mark in marks
            for each in (mark.bookmark,)
        ]
        await self._on(self._writer, lambda: self._put(rows))

    def _put(self, rows: list[tuple[str, str, float, float, float, bool]]) -> None:
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            self._writing.executemany(_PUT, rows)
            self._writing.execute("COMMIT")
        except BaseException:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise

    async def get(self, profile_id: str, title_ids: Sequence[str], limit: int) -> list[Bookmark]:
        return await self._on(self._reader, lambda: self._get(profile_id, title_ids, limit))

    def _get(self, profile_id: str, title_ids: Sequence[str], limit: int) -> list[Bookmark]:
        newest = "ORDER BY updated_at DESC, title_id LIMIT ?"
        if not title_ids:
            query = f"SELECT {_COLUMNS} FROM bookmarks WHERE profile_id = ? {newest}"  # noqa: S608  (constants alone)
            return [_bookmark(row) for row in self._reading.execute(query, (profile_id, limit))]
        found: list[Bookmark] = []
        for start in range(0, len(title_ids), _IDS_PER_QUERY):
            some = title_ids[start : start + _IDS_PER_QUERY]
            marks = ", ".join("?" * len(some))
            query = f"SELECT {_COLUMNS} FROM bookmarks WHERE profile_id = ? AND title_id IN ({marks}) {newest}"  # noqa: S608  (likewise)
            found += [_bookmark(row) for row in self._reading.execute(query, (profile_id, *some, limit))]
        return sorted(found, key=lambda each: (-each.updated_at, each.title_id))[:limit]

    async def _on(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        def run() -> T:
            with seam():
                return work()

        try:
            future = threads.submit(run)
        except RuntimeError as error:
            raise StoreUnavailable("the history is closed") from error
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """After what is under way has been written."""
        for threads in (self._writer, self._reader):
            threads.shutdown(wait=True)
        self._reading.close()
        self._writing.close()


def _bookmark(row: tuple[str, float, float, float, int]) -> Bookmark:
    title_id, position_s, runtime_s, updated_at, finished = row
    return Bookmark(title_id=title_id, position_s=position_s, runtime_s=runtime_s, updated_at=updated_at, finished=bool(finished))
