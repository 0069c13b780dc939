"""Errors of the stores, and the one place where the exceptions of SQLAlchemy and sqlite3 become ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from nearcast.base.errors import Conflict, Unavailable


class StoreUnavailable(Unavailable):
    """The database cannot be reached or opened."""

    code = "NC4601"
    cure = "check that the database's folder exists and may be written, or that its server runs"


class StoreBusy(Unavailable):
    """Another process holds the database's write lock for too long."""

    code = "NC4602"
    cure = "try again; end a backup tool or shell that keeps the database open for writing"


class StoreFull(Unavailable):
    """The disk that holds the database is full."""

    code = "NC4603"
    cure = "free space on the disk of the home folder, then try again"


class StoreDamaged(Unavailable):
    """The database file is damaged, or is no database."""

    code = "NC4604"
    cure = "stop Nearcast and bring the last backup back with `nearcast restore`"


class StoreOutdated(Unavailable):
    """The database has other tables than this version of Nearcast needs."""

    code = "NC4605"
    cure = "start with `nearcast up`, which brings the tables up to date; a newer database needs the newer Nearcast"


class StoreConflict(Conflict):
    """A row with the same key, or one that is still referred to, stands against the change."""

    code = "NC4606"
    cure = "look at what is there now, then ask again"


def mapped(error: Exception) -> Unavailable | Conflict:
    """Ours for ``error``, judged by its kind and by what SQLite says (its Python module gives text before codes)."""
    origin = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None else error
    text = str(origin).lower()
    if isinstance(error, sqlalchemy.exc.IntegrityError) or isinstance(origin, sqlite3.IntegrityError):
        return StoreConflict("the database refuses the change: something with the same key is there")
    if "locked" in text or "busy" in text:
        return StoreBusy("the database is locked by another process")
    if "disk is full" in text or "disk full" in text:
        return StoreFull("the database's disk is full")
    if "malformed" in text or "not a database" in text or "encrypted" in text:
        return StoreDamaged(f"the database is damaged: {origin}")
    if "no such table" in text or "no such column" in text or "has no column" in text:
        return StoreOutdated(f"the database does not fit this version: {origin}")
    return StoreUnavailable(f"the database does not answer: {origin}")


@contextmanager
def seam() -> Iterator[None]:
    """Inside it, foreign exceptions become ours."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise mapped(error) from error
