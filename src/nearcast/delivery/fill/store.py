"""Where placement generations and pins are kept: a SQLite file that several planners may share.

A generation is committed by compare-and-set: it must come after the one that it was planned from, so of two planners at once one loses,
reads what the other committed, and plans anew from there.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from nearcast.base import sqlite
from nearcast.base.errors import Unavailable
from nearcast.model.fill import Pin, Placement

T = TypeVar("T")

SCHEMA_VERSION = 1
KEPT = 3
"""Generations that are kept, for who wants to compare."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES = """
CREATE TABLE IF NOT EXISTS placements (generation INTEGER PRIMARY KEY, made_at REAL NOT NULL, holdings BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pins (title_id TEXT PRIMARY KEY, release_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
"""


class PlanStoreBroken(Unavailable):
    """The file with the placement generations cannot be read or written."""

    code = "NC2042"
    cure = "see that the disk of the home folder has room and is healthy; what is placed stays placed"


class PlanStoreDamaged(PlanStoreBroken):
    """The file with the placement generations is no database, or what is in it makes no sense."""

    code = "NC2055"
    cure = "start Nearcast anew, which sets the file aside; or bring the last backup back with `nearcast restore`"


class PlacementStore(Protocol):
    """``latest``: None where there is none after ``after``. ``commit`` answers whether ``after`` (by default the number before its own) was
    still the latest, and is durable when it was."""

    async def latest(self, after: int = 0) -> Placement | None: ...
    async def commit(self, placement: Placement, after: int | None = None) -> bool: ...
    async def pins(self) -> tuple[Pin, ...]: ...
    async def pin(self, pin: Pin) -> None: ...
    async def unpin(self, title_id: str) -> None: ...
    def close(self) -> None: ...


class Notes(Protocol):
    """What planners write down beside the generations: the last word stays. ``recall`` answers with nothing where nothing was."""

    async def remember(self, name: str, content: bytes) -> None: ...
    async def recall(self, name: str) -> bytes: ...


class Packed(Struct, array_like=True):
    """A placement with each name once. ``held``: appliance id → pairs of a title's index and the indices of its files."""

    titles: list[str]
    files: list[list[str]]
    held: dict[str, list[tuple[int, list[int]]]]


def pack(placement: Placement) -> bytes:
    titles: dict[str, dict[str, int]] = {}
    held: dict[str, list[tuple[int, list[int]]]] = {}
    at: dict[str, int] = {}
    for appliance, holdings in placement.holdings.items():
        rows = held[appliance] = []
        for title_id, names in holdings.items():
            files = titles.setdefault(title_id, {})
            rows.append((at.setdefault(title_id, len(at)), [files.setdefault(name, len(files)) for name in names]))
    return zlib.compress(msgspec.msgpack.encode(Packed(list(titles), [list(each) for each in titles.values()], held)), 1)


def unpack(generation: int, made_at: float, raw: bytes) -> Placement:
    packed = msgspec.msgpack.decode(zlib.decompress(raw), type=Packed)
    holdings = {
        appliance: {packed.titles[title]: tuple(packed.files[title][file] for file in files) for title, files in rows}
        for appliance, rows in packed.held.items()
    }
    return Placement(generation=generation, made_at=made_at, holdings=holdings)


class SqlitePlacements:
    """Fits PlacementStore and Notes. Raises PlanStoreBroken, and where the file itself is to blame PlanStoreDamaged."""

    def __init__(self, path: Path) -> None:
        # One thread for the one connection; what is under way goes on when its caller is cancelled.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="placements")
        self._path = path
        with _seam(path):
            self._connection = sqlite.connect(path)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        (told,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise PlanStoreDamaged(f"{self._path} is damaged: {told}")
        if not sqlite.make_tables(self._connection, _TABLES, SCHEMA_VERSION):
            raise PlanStoreBroken(f"{self._path} is of a newer version of Nearcast", hint="run that version, or restore a backup")

    async def latest(self, after: int = 0) -> Placement | None:
        return await self._on(lambda: self._latest(after))

    def _latest(self, after: int) -> Placement | None:
        query = "SELECT generation, made_at, holdings FROM placements WHERE generation > ? ORDER BY generation DESC LIMIT 1"
        row = self._connection.execute(query, (after,)).fetchone()
        return unpack(*row) if row else None

    async def commit(self, placement: Placement, after: int | None = None) -> bool:
        return await self._on(lambda: self._commit(placement, placement.generation - 1 if after is None else after, pack(placement)))

    def _commit(self, placement: Placement, after: int, raw: bytes) -> bool:
        with _written(self._connection):
            (latest,) = self._connection.execute("SELECT coalesce(max(generation), 0) FROM placements").fetchone()
            if latest != after or placement.generation <= latest:
                return False
            row = (placement.generation, placement.made_at, raw)
            self._connection.execute("INSERT INTO placements (generation, made_at, holdings) VALUES (?, ?, ?)", row)
            old = "SELECT generation FROM placements ORDER BY generation DESC LIMIT -1 OFFSET ?"
            self._connection.execute(f"DELETE FROM placements WHERE generation IN ({old})", (KEPT,))  # noqa: S608  (constants alone)
        return True

    async def pins(self) -> tuple[Pin, ...]:
        query = "SELECT title_id, release_at FROM pins ORDER BY release_at, title_id"
        return await self._on(lambda: tuple(Pin(title_id=title, release_at=at) for title, at in self._connection.execute(query)))

    async def pin(self, pin: Pin) -> None:
        query = "INSERT INTO pins VALUES (?, ?) ON CONFLICT (title_id) DO UPDATE SET release_at = excluded.release_at"
        await self._on(lambda: self._connection.execute(query, (pin.title_id, pin.release_at)))

    async def unpin(self, title_id: str) -> None:
        await self._on(lambda: self._connection.execute("DELETE FROM pins WHERE title_id = ?", (title_id,)))

    async def remember(self, name: str, content: bytes) -> None:
        query = "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET content = excluded.content"
        await self._on(lambda: self._connection.execute(query, (name, content)))

    async def recall(self, name: str) -> bytes:
        row = await self._on(lambda: self._connection.execute("SELECT content FROM notes WHERE name = ?", (name,)).fetchone())
        return bytes(row[0]) if row else b""

    def close(self) -> None:
        """After what is under way."""
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def _on(self, work: Callable[[], T]) -> T:
        def run() -> T:
            with _seam(self._path):
                return work()

        try:
            future = self._thread.submit(run)
        except RuntimeError as error:
            raise PlanStoreBroken("the placement generations are closed") from error
        return await asyncio.wrap_future(future)


@contextmanager
def _written(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that takes the write lock at once, so that what is read in it is still so when it is written."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _seam(path: Path) -> Iterator[None]:
    try:
        yield
    except (zlib.error, msgspec.MsgspecError) as error:
        raise PlanStoreDamaged(f"{path} is damaged: {error}") from error
    except sqlite3.Error as error:
        # Primary codes stand in the low byte (sqlite.org/rescode.html); what raises without one has none to do with the file.
        kind = PlanStoreDamaged if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED else PlanStoreBroken
        raise kind(f"{path} cannot be used: {error}") from error
    except OSError as error:
        raise PlanStoreBroken(f"{path} cannot be used: {error.strerror or error}") from error
