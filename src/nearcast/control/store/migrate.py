"""Brings a database's tables up to this version with Alembic. Two processes that start at once cannot hurt each other:
on SQLite the whole upgrade runs under the write lock, so that the second waits and then finds nothing to do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection

from nearcast.control.store.engine import is_sqlite, make_engine, transact
from nearcast.control.store.errors import StoreOutdated, StoreUnavailable, seam
from nearcast.control.store.settings import StoreSettings

HEAD = "0001"
"""The newest revision in ``migrations/versions``; a test holds the two together. Known here, a start with nothing to do
need not load Alembic (150 ms and 15 MB)."""
SCRIPTS = Path(__file__).parent / "migrations"


def revision(url: str) -> str:
    """The revision that the database is at, empty when it has no tables yet."""
    engine = make_engine(url)
    try:
        return transact(engine, _revision)
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str:
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")


def migrate(url: str) -> bool:
    """Bring the tables to ``HEAD``; True when something was done. Raises StoreOutdated for a database newer than this code."""
    if is_sqlite(url):
        path = Path(str(sqlalchemy.make_url(url).database))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
        except OSError as error:
            raise StoreUnavailable(f"cannot make the database {path}: {error.strerror}") from error
    if revision(url) == HEAD:
        return False
    # Foreign keys are off while tables are rebuilt: SQLite alters a table by dropping the old one, and that would cascade.
    engine = make_engine(url, StoreSettings(busy_timeout_ms=60_000), foreign_keys=False)
    try:
        return transact(engine.execution_options(nearcast_writes=True), _upgrade)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> bool:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if _revision(connection) == HEAD:
        return False
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        with seam():
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreOutdated(f"the database is of another version of Nearcast: {error}") from error
    return True
