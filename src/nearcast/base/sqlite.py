"""How a SQLite file of ours is opened: write-ahead log, so that readers never wait for the writer, and readable for its owner alone.

What is opened here begins no transaction by itself (sqlite3's ``isolation_level`` None) and may be used by one thread after the other.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Synchronous = Literal["normal", "full"]
"""``full`` survives a power cut with every commit; ``normal`` may lose the last ones, never the file."""
_ATTEMPTS, _PAUSE_S = 100, 0.02


def connect(path: Path, *, busy_s: float = 5.0, synchronous: Synchronous = "full") -> sqlite3.Connection:
    """The file at ``path``, made where it is not there. Raises OSError, sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mknod(path, 0o600 | stat.S_IFREG)  # not opened: to close it again would take the locks of our other connections (fcntl(2))
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)
        prepare(connection, busy_s=busy_s, synchronous=synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, *, busy_s: float, synchronous: Synchronous, foreign_keys: bool = True) -> None:
    """Set one fresh connection up. Turning the log on needs the file to itself for a moment, so it is tried for a while."""
    connection.execute(f"PRAGMA busy_timeout={round(1000 * busy_s)}")
    for attempt in range(_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite answers "locked" here without asking its busy handler while another process does the same.
            if "locked" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_S)
    connection.execute(f"PRAGMA synchronous={synchronous.upper()}")
    connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")


def statements(text: str) -> Iterator[str]:
    """Each by itself. A semicolon within a trigger, a string or a comment ends none."""
    begun = ""
    for part in text.split(";"):
        begun += f"{part};"
        if sqlite3.complete_statement(begun):
            if begun.strip(" \n\t;"):
                yield begun
            begun = ""
    if begun:
        yield begun


def make_tables(connection: sqlite3.Connection, tables: str, version: int) -> bool:
    """Have the tables of this ``version`` of a schema: its statements. False: the file is of a newer one, and stays."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found <= version:
            for statement in statements(tables):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return bool(found <= version)
