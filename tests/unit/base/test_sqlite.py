"""Files of SQLite: opened the same way everywhere, and never those of a newer version."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from nearcast.base import sqlite

TABLES = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY);\nCREATE INDEX IF NOT EXISTS some ON words (word);\n"


def test_a_file_is_made_for_its_owner_alone_with_a_log_and_full_commits(tmp_path: Path) -> None:
    path = tmp_path / "new" / "words.db"
    with closing(sqlite.connect(path, busy_s=1.5)) as connection:
        assert path.stat().st_mode & 0o777 == 0o600
        asked = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        assert [connection.execute(f"PRAGMA {each}").fetchone()[0] for each in asked] == ["wal", 2, 1500, 1]
    with closing(sqlite.connect(path, synchronous="normal")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_at_no_moment_others_may_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(opened: Path, mode: int) -> None:
        raise PermissionError(1, "it is too late")

    path = tmp_path / "words.db"
    before = os.umask(0o022)
    monkeypatch.setattr(Path, "chmod", refuse)
    try:
        with pytest.raises(PermissionError, match="too late"):
            sqlite.connect(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_open_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "words.db"

    def work(number: int) -> bool:
        with closing(sqlite.connect(path)) as connection:
            made = sqlite.make_tables(connection, TABLES, 3)
            connection.execute("INSERT INTO words VALUES (?)", (f"w{number}",))
            return made

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(16)))
    with closing(sqlite.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM words").fetchone() == (16,)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_one_of_a_newer_version_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    with closing(sqlite.connect(path)) as connection:
        connection.execute("PRAGMA user_version=4")
        assert not sqlite.make_tables(connection, TABLES, 3)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)


def test_tables_that_cannot_be_made_leave_nothing_half_made(tmp_path: Path) -> None:
    with closing(sqlite.connect(tmp_path / "words.db")) as connection:
        with pytest.raises(sqlite3.OperationalError):
            sqlite.make_tables(connection, f"{TABLES} CREATE NONSENSE;", 3)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert not connection.in_transaction


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite.connect(path)


def test_semicolons_within_triggers_strings_and_comments_end_no_statement(tmp_path: Path) -> None:
    more = """CREATE TABLE IF NOT EXISTS notes (text TEXT DEFAULT 'a;b'); -- one; or more
        CREATE TRIGGER IF NOT EXISTS told AFTER INSERT ON words BEGIN
          INSERT INTO notes (rowid) VALUES (NULL); INSERT INTO notes VALUES (NEW.word);
        END"""
    with closing(sqlite.connect(tmp_path / "words.db")) as connection:
        assert sqlite.make_tables(connection, TABLES + more, 1)
        connection.execute("INSERT INTO words VALUES ('w')")
        assert connection.execute("SELECT text FROM notes").fetchall() == [("a;b",), ("w",)]
