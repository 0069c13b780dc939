"""Reads and writes of insight's tables, inside a transaction that the caller opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from nearcast.insight.offload import Entry, SiteSums
from nearcast.insight.sums import SITE_SUMS, KnownFile, Sums, fresh, summed
from nearcast.insight.tables import demand, ledger, misses, rungs, runs, sites
from nearcast.model.traffic import TrafficReport

Row = dict[str, Any]


def count(connection: Connection, reports: Sequence[TrafficReport], files: Mapping[str, KnownFile], day: int, now_s: float) -> int:
    """Add the reports that were not counted yet to the sums of ``day``; how many these were."""
    found = fresh(reports, _counted(connection, reports))
    if not found:
        return 0
    sums = summed(found, files)
    _add(
        connection,
        demand,
        (
            {"day": day, "site": site, "title_id": title, "bytes": size, "starts": starts}
            for (site, title), (size, starts) in sums.demand.items()
        ),
    )
    _add(connection, rungs, ({"day": day, "site": site, "rung": rung, "bytes": size} for (site, rung), size in sums.rungs.items()))
    _add(
        connection, sites, ({"day": day, "site": site, **dict(zip(SITE_SUMS, values, strict=True))} for site, values in sums.sites.items())
    )
    _add(connection, misses, ({"day": day, "site": site, "cause": cause, "bytes": size} for (site, cause), size in sums.misses.items()))
    _add(connection, ledger, _ledger_rows(sums), largest=("file_bytes",))
    last = {(each.appliance, each.run): each.sequence for each in found}
    rows = [{"appliance": appliance, "run": run, "sequence": sequence, "counted_at": now_s} for (appliance, run), sequence in last.items()]
    _add(connection, runs, rows, largest=("sequence", "counted_at"))
    return len(found)


def _counted(connection: Connection, reports: Iterable[TrafficReport]) -> dict[tuple[str, str], int]:
    names = sorted({each.appliance for each in reports})
    query = select(runs.c.appliance, runs.c.run, runs.c.sequence).where(runs.c.appliance.in_(names))
    return {(row.appliance, row.run): row.sequence for row in connection.execute(query)}


def _ledger_rows(sums: Sums) -> list[Row]:
    return [
        {"generation": key[0], "site": key[1], "title_id": key[2], "file": key[3], "kind": key[4], "bytes": size, "file_bytes": whole}
        for key, (size, whole) in sums.ledger.items()
    ]


def _add(connection: Connection, table: Table, rows: Iterable[Row], *, largest: Sequence[str] = ()) -> None:
    """Rows that are new, and sums that grow; of the columns ``largest`` the larger value stays."""
    found = list(rows)
    if not found:
        return
    fresh_rows = insert(table)
    changes = {
        each.name: func.max(each, fresh_rows.excluded[each.name]) if each.name in largest else each + fresh_rows.excluded[each.name]
        for each in table.columns
        if not each.primary_key
    }
    connection.execute(fresh_rows.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes), found)


def demand_since(connection: Connection, day: int) -> list[tuple[int, str, str, int, int]]:
    """Day, site, title, bytes and starts."""
    query = select(demand.c.day, demand.c.site, demand.c.title_id, demand.c.bytes, demand.c.starts).where(demand.c.day >= day)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query)]


def rungs_since(connection: Connection, day: int) -> dict[tuple[str, str], int]:
    """Bytes by site and rung."""
    query = select(rungs.c.site, rungs.c.rung, func.sum(rungs.c.bytes)).where(rungs.c.day >= day).group_by(rungs.c.site, rungs.c.rung)
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def sites_since(connection: Connection, day: int) -> list[SiteSums]:
    query = select(sites.c.site, *(func.sum(sites.c[each]) for each in SITE_SUMS)).where(sites.c.day >= day).group_by(sites.c.site)
    return [SiteSums(*row) for row in connection.execute(query)]


def misses_since(connection: Connection, day: int) -> dict[str, dict[str, int]]:
    """Bytes by site and cause."""
    query = (
        select(misses.c.site, misses.c.cause, func.sum(misses.c.bytes)).where(misses.c.day >= day).group_by(misses.c.site, misses.c.cause)
    )
    found: dict[str, dict[str, int]] = {}
    for site, cause, size in connection.execute(query):
        found.setdefault(site, {})[cause] = size
    return found


def entries(connection: Connection, generations: int) -> list[Entry]:
    """The ledger of the newest generations."""
    return [
        Entry(*row) for row in connection.execute(select(*ledger.columns).where(ledger.c.generation.in_(_newest(connection, generations))))
    ]


def _newest(connection: Connection, generations: int) -> list[int]:
    query = select(ledger.c.generation).distinct().order_by(ledger.c.generation.desc()).limit(generations)
    return list(connection.execute(query).scalars())


def forget(connection: Connection, before_day: int, before_s: float, generations: int) -> None:
    """Drop days before ``before_day``, runs that were silent since ``before_s``, and all but the newest generations of the ledger."""
    for table in (demand, rungs, sites, misses):
        connection.execute(delete(table).where(table.c.day < before_day))
    connection.execute(delete(runs).where(runs.c.counted_at < before_s))
    if kept := _newest(connection, generations):
        connection.execute(delete(ledger).where(ledger.c.generation < kept[-1]))
