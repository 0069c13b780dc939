"""The tables of insight. They hold sums: the size of a fleet and of a library bounds them, not the number of viewers. ``measures`` has the
last minutes of what players measured (``kept``), which is bounded, too.

``day``: days since 1970-01-01 UTC. ``ledger`` has what one placement generation moved into a site; ``runs`` which reports were counted.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Column, Connection, Double, Integer, LargeBinary, MetaData, String, Table

from nearcast.base.errors import Unavailable

VERSION = 1
"""Of the tables, kept in the file itself (``user_version``). A later one adds what is missing here."""

CHECKED_BYTES_MAX = 1 << 30
"""A larger file is not read through on each start: that would take a minute."""

metadata = MetaData()


def _sums(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


demand = Table(
    "demand",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("title_id", String(32), primary_key=True),
    *_sums("bytes", "starts"),
    sqlite_with_rowid=False,
)
rungs = Table(
    "rungs",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("rung", String(32), primary_key=True),
    *_sums("bytes"),
    sqlite_with_rowid=False,
)
sites = Table(
    "sites",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("site", String(64), primary_key=True),
    *_sums("placed_bytes", "reactive_bytes", "missed_bytes", "parent_bytes", "origin_bytes", "filled_bytes", "fill_origin_bytes"),
    sqlite_with_rowid=False,
)
misses = Table(
    "misses",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("cause", String(16), primary_key=True),
    *_sums("bytes"),
    sqlite_with_rowid=False,
)
ledger = Table(
    "ledger",
    metadata,
    Column("generation", BigInteger, primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("title_id", String(32), primary_key=True),
    Column("file", String(96), primary_key=True),
    Column("kind", String(8), primary_key=True),
    *_sums("bytes", "file_bytes"),
    sqlite_with_rowid=False,
)
runs = Table(
    "runs",
    metadata,
    Column("appliance", String(64), primary_key=True),
    Column("run", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("counted_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
measures = Table(
    "measures",
    metadata,
    Column("part", String(16), primary_key=True),
    Column("began_at", Double, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)


class InsightOutdated(Unavailable):
    """The file of insight was written by a newer version of Nearcast."""

    code = "NC4620"
    cure = "run the newer Nearcast, or move data/insight.db away: sums of what was watched then begin anew"


class InsightDamaged(Unavailable):
    """The file of insight is a database no more."""

    code = "NC4624"
    cure = "start Nearcast anew, which sets the file aside; or bring the last backup back with `nearcast restore`"


def prepare(connection: Connection) -> None:
    """Make the tables where they are not there. Raises InsightOutdated, InsightDamaged."""
    if connection.dialect.name == "sqlite":
        found = int(connection.execute(sqlalchemy.text("PRAGMA user_version")).scalar() or 0)
        if found > VERSION:
            raise InsightOutdated(f"the tables are of version {found}, this Nearcast knows {VERSION}")
        pages, page_bytes = (
            int(connection.execute(sqlalchemy.text(f"PRAGMA {each}")).scalar() or 0) for each in ("page_count", "page_size")
        )
        if pages * page_bytes <= CHECKED_BYTES_MAX:
            told = connection.execute(sqlalchemy.text("PRAGMA quick_check(1)")).scalar()
            if told != "ok":
                raise InsightDamaged(f"the sums of what was watched are damaged: {told}")
        connection.execute(sqlalchemy.text(f"PRAGMA user_version={VERSION}"))
    metadata.create_all(connection)
