"""Migrations: they make the declared tables, once, however many processes start at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from nearcast.control.store import sqlite_url
from nearcast.control.store.engine import make_engine
from nearcast.control.store.errors import StoreDamaged, StoreOutdated, StoreUnavailable
from nearcast.control.store.migrate import HEAD, SCRIPTS, migrate, revision
from nearcast.control.store.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_declares(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "deep" / "nearcast.db")
    assert migrate(url) is True
    assert migrate(url) is False
    engine = make_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        constraints = sqlalchemy.inspect(connection).get_check_constraints("catalog_version")
        assert [each["name"] for each in constraints] == ["ck_catalog_version_single"]
        assert connection.exec_driver_sql("SELECT version FROM catalog_version").scalar() == 0
    engine.dispose()


def test_the_known_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "nearcast.db")
    program = f"from nearcast.control.store.migrate import migrate; print(migrate({url!r}))"
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = sorted(process.communicate(timeout=240)[0].strip() for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert answers == ["False", "False", "True"]
    assert revision(url) == HEAD


def test_a_newer_database_is_refused_with_a_hint(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "nearcast.db")
    migrate(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreOutdated, match="another version") as caught:
        migrate(url)
    assert "newer Nearcast" in caught.value.hint


def test_a_file_that_is_no_database_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "nearcast.db"
    path.write_text("this is no database, and long enough to be read as a header of one")
    with pytest.raises(StoreDamaged):
        migrate(sqlite_url(path))


def test_a_folder_that_cannot_be_made_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot make the database"):
        migrate(sqlite_url(tmp_path / "file" / "nearcast.db"))


@pytest.mark.parametrize("url", ["", "nonsense", "nosuchdb://host/name"])
def test_an_address_that_is_none_is_told_so(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        migrate(url)
