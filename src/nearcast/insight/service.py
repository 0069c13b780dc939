"""The Insight service of ``model.services``: reports of edges in, demand and offload out.

Only edges are believed here: what players say of themselves goes to insight.quality. A report counts once, however often it comes,
and is on the disk when it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from nearcast.base.batch import GroupCommit
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import BadInput, NearcastError, Unavailable
from nearcast.insight import offload, store
from nearcast.insight.sums import DAY_S, KnownFile, day_of, known_files
from nearcast.insight.tables import prepare
from nearcast.model.services import Catalog, ChangesQuestion, Demand, DemandQuestion, Nothing, OffloadQuestion
from nearcast.model.site import Site
from nearcast.model.traffic import SESSIONS_MAX, DemandDay, OffloadReport, TrafficReport

T = TypeVar("T")

DAYS_KEPT = 60
GENERATIONS_KEPT = 10
FORGET_S = 3600.0
LINGER_S = 0.05
"""Reports that come within it are synced to the disk together."""
BATCH_MAX = 256
WAITING_MAX = 20_000
LINES_MAX = 200_000
FILE_NAME_MAX = 96
COUNT_MAX = 2**53
"""More than any appliance sends in its life; sums of it still fit into 64 bits."""
WAIT_S = 20.0
RETRY_S = 1.0
_log = structlog.get_logger("insight")


class Transactions(Protocol):
    """What runs work in a transaction of its own, off the event loop; a write is durable when it returns."""

    async def read(self, work: Callable[[Connection], T], /) -> T: ...
    async def write(self, work: Callable[[Connection], T], /) -> T: ...


class BadTraffic(BadInput):
    """A traffic report makes no sense: without a name, with counts below zero, or larger than any edge's."""

    code = "NC4621"
    cure = "run the same version of Nearcast on all hosts; if this one is, please report it"


class InsightOverloaded(Unavailable):
    """More reports of edges wait to be written than the disk keeps up with."""

    code = "NC4622"
    cure = "edges report again by themselves; look at the disk of the home folder if this lasts"


class BadDays(BadInput):
    """A report was asked for over days that are not kept."""

    code = "NC4623"
    cure = f"ask for 1 to {DAYS_KEPT} days"


def check(report: TrafficReport) -> None:
    """Raises BadTraffic."""
    counts = [report.sequence, report.reactive_written_bytes, *report.parent_bytes.values()]
    names = [report.appliance, report.site, report.run]
    for each in report.served:
        counts += (each.requests, each.starts, each.placed_bytes, each.reactive_bytes, each.missed_bytes)
    for fetched in report.fetched:
        counts += (fetched.generation, fetched.size_bytes)
    for sent in report.sessions:
        counts += (sent.bytes, sent.failed)
    if min(counts) < 0 or max(counts) > COUNT_MAX:
        raise BadTraffic("a traffic report counts below zero, or more than there can be")
    files = [*((each.title_id, each.file) for each in report.served), *((each.title_id, each.file) for each in report.fetched)]
    if max((len(name) for each in files for name in each), default=0) > FILE_NAME_MAX:
        raise BadTraffic(f"a traffic report names titles and files in {FILE_NAME_MAX} characters at most")
    if not all(names) or max(map(len, names)) > 64:
        raise BadTraffic("a traffic report names its appliance, its site and its run, each in 64 characters at most")
    if len(report.served) + len(report.fetched) > LINES_MAX:
        raise BadTraffic(f"a traffic report has more than {LINES_MAX} lines")
    if len(report.sessions) > SESSIONS_MAX or max((len(each.session) for each in report.sessions), default=0) > 64:
        raise BadTraffic(f"a traffic report tells of {SESSIONS_MAX} sessions at most, each by its tag")
    if not all(0 <= each.busy_s < float("inf") for each in report.sessions):
        raise BadTraffic("a traffic report tells of requests that took less than no time, or for ever")


def by_region(rows: Iterable[tuple[int, str, str, int, int]], regions: dict[str, str]) -> tuple[DemandDay, ...]:
    """Sums over the sites of each region. A site that is in no configuration any more is a region of its own."""
    sums: dict[tuple[int, str, str], tuple[int, int]] = {}
    for day, site, title_id, size_bytes, starts in rows:
        key = (day, regions.get(site, site), title_id)
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + size_bytes, before[1] + starts)
    return tuple(DemandDay(day, region, title_id, size, starts) for (day, region, title_id), (size, starts) in sorted(sums.items()))


class InsightService:
    """Fits ``model.services.Insight``. ``start`` makes the tables and begins to follow the catalog; ``close`` writes what waits.

    ``heard`` is given each report that was taken in, perhaps twice.
    """

    def __init__(
        self,
        transactions: Transactions,
        catalog: Catalog,
        sites: Iterable[Site],
        clock: Clock | None = None,
        heard: Callable[[TrafficReport], None] = lambda report: None,
    ) -> None:
        self._transactions = transactions
        self._catalog = catalog
        self._clock = clock or SystemClock()
        self._heard = heard
        self._sites = tuple(sites)
        self._regions = {each.name: each.taste for each in self._sites}
        self._files: dict[str, KnownFile] = {}
        self._forgot_s = float("-inf")
        self._following: asyncio.Task[None] | None = None
        self._batches: GroupCommit[TrafficReport] = GroupCommit(
            self._write,
            clock=self._clock,
            linger_s=LINGER_S,
            batch_max=BATCH_MAX,
            waiting_max=WAITING_MAX,
            overloaded=lambda waiting: InsightOverloaded(f"{waiting} reports wait to be written"),
        )

    async def start(self) -> None:
        """Raises InsightOutdated, or what the store raises."""
        await self._transactions.write(prepare)
        self._following = asyncio.create_task(self._follow(), name="insight follows the catalog")

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        await self._batches.close()

    async def record(self, question: TrafficReport, /) -> Nothing:
        """Returns when the report is durable. Raises BadTraffic, InsightOverloaded."""
        check(question)
        await self._batches.put(question)
        self._heard(question)
        return Nothing()

    async def demand(self, question: DemandQuestion, /) -> Demand:
        now_s = self._clock.now_s()
        rows = await self._transactions.read(lambda connection: store.demand_since(connection, question.since_day))
        rungs = await self._transactions.read(lambda connection: store.rungs_since(connection, question.since_day))
        regional: dict[tuple[str, str], int] = {}
        for (site, rung), size_bytes in rungs.items():
            key = (self._regions.get(site, site), rung)
            regional[key] = regional.get(key, 0) + size_bytes
        return Demand(
            days=await asyncio.to_thread(by_region, rows, self._regions),
            today=day_of(now_s),
            today_share=now_s % DAY_S / DAY_S,
            rungs=offload.shares(regional),
        )

    async def offload(self, question: OffloadQuestion, /) -> OffloadReport:
        """Raises BadDays."""
        if not 1 <= question.days <= DAYS_KEPT:
            raise BadDays(f"{question.days} days cannot be told")
        since = day_of(self._clock.now_s()) - question.days + 1

        def read(connection: Connection) -> OffloadReport:
            sums, causes = store.sites_since(connection, since), store.misses_since(connection, since)
            return offload.report(question.days, sums, causes, store.entries(connection, GENERATIONS_KEPT), self._sites)

        return await self._transactions.read(read)

    async def _write(self, reports: list[TrafficReport]) -> None:
        now_s = self._clock.now_s()
        forget = self._clock.monotonic_s() - self._forgot_s >= FORGET_S

        def work(connection: Connection) -> None:
            store.count(connection, reports, self._files, day_of(now_s), now_s)
            if forget:
                store.forget(connection, day_of(now_s) - DAYS_KEPT + 1, now_s - DAYS_KEPT * DAY_S, GENERATIONS_KEPT)

        await self._transactions.write(work)
        if forget:
            self._forgot_s = self._clock.monotonic_s()

    async def _follow(self) -> None:
        """Which rendition a file is, and how large: from the catalog. What was withdrawn stays known."""
        after, failed = 0, False
        while True:
            try:
                changes = await self._catalog.changes(ChangesQuestion(after=after, wait_s=WAIT_S, delta=True))
            except NearcastError as error:
                if not failed:
                    _log.warning("the catalog does not answer; new files count for no rendition", error=error.message, code=error.code)
                failed = True
                await self._clock.sleep(RETRY_S)
                continue
            failed = False
            for each in changes.publications:
                if each.manifest is not None:
                    self._files |= known_files(each.manifest)
            after = changes.version if changes.version >= after else 0  # it was restored from a backup: read it anew
