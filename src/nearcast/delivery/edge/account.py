"""What was served and fetched, by title and file, told to insight every few seconds until it has taken it in.

A report has the agent's run and a number. While one is not acknowledged it is sent again as it was, so that insight can tell that it
knows it, and what happens meanwhile is added up for the next. An agent that is killed leaves both to the next one (edge/journal): what the
fill wrote to the block, what was served but for the last REPORT_S. Which sessions were served is of interest for minutes, and not kept.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NearcastError
from nearcast.delivery.edge.delivered import Deliveries
from nearcast.delivery.edge.journal import Journal
from nearcast.delivery.edge.logs import Line
from nearcast.model.fill import FillItem, FillSource
from nearcast.model.services import Insight
from nearcast.model.traffic import Fetched, MissCause, Served, TrafficReport

REPORT_S = 5.0
ANSWER_S = 4.0
SESSIONS_MAX = 65_536
"""Sessions that are remembered, so that each counts as one start."""
FILES_MAX = 100_000
"""Files told apart between two reports; past that, those of a title count together (under an empty name)."""
_log = structlog.get_logger("edge")


class Sent(Struct):
    """Answers to viewers for one file since they were last taken."""

    requests: int = 0
    starts: int = 0
    placed_bytes: int = 0
    reactive_bytes: int = 0
    missed_bytes: int = 0


Batch = dict[tuple[str, str], Sent]
"""By title and file."""


class Sessions:
    """Which playbacks have begun: those whose session (CMCD ``sid``) asks for a title for the first time. Players without one have none."""

    def __init__(self, most: int = SESSIONS_MAX) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begins(self, session: str, title_id: str) -> bool:
        key = (session, title_id)
        if key in self._known:
            self._known.move_to_end(key)
            return False
        self._known[key] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return True


def gather(lines: Iterable[Line], sessions: Sessions) -> Batch:
    """Answers of bytes to viewers, added up. What other appliances fetched here is their viewers'."""
    found: Batch = {}
    for line in lines:
        if line.door or not line.title:
            continue
        source = line.source
        if source == "none":
            continue
        sent = found.get((line.title, line.file))
        if sent is None:
            sent = found[line.title, line.file] = Sent()
        sent.requests += 1
        if line.session and sessions.begins(line.session, line.title):
            sent.starts += 1
        if source == "placed":
            sent.placed_bytes += line.bytes
        elif source == "cache":
            sent.reactive_bytes += line.bytes
        else:
            sent.missed_bytes += line.bytes
    return found


def added(one: Served, other: Served) -> Served:
    return replace(
        one,
        requests=one.requests + other.requests,
        starts=one.starts + other.starts,
        placed_bytes=one.placed_bytes + other.placed_bytes,
        reactive_bytes=one.reactive_bytes + other.reactive_bytes,
        missed_bytes=one.missed_bytes + other.missed_bytes,
    )


class Account:
    """Adds up what is to be told, and tells it. ``journal`` None: it is kept in memory alone."""

    def __init__(self, insight: Insight, appliance: str, site: str, clock: Clock, journal: Journal | None = None) -> None:
        self._insight = insight
        self._clock = clock
        self._served: dict[tuple[str, str, MissCause], Served] = {}
        self._fetched: dict[tuple[int, str, str, str], Fetched] = {}
        self._parent_bytes: dict[str, int] = {}
        self._written_bytes = 0
        self.deliveries = Deliveries()
        self._next = TrafficReport(appliance=appliance, site=site, run=secrets.token_hex(8), sequence=0)
        self._waiting: TrafficReport | None = None
        self._seen_parents: dict[str, int] = {}
        self._seen_written = 0
        self.answered = True
        self._journal = journal
        if journal is not None:
            self._inherit(*journal.load())
            self.keep()

    def _inherit(self, waiting: TrafficReport | None, sums: TrafficReport | None, rows: Iterable[Fetched]) -> None:
        """What the agent before has not told: its report as it was, and what is newer as ours."""
        if waiting is not None and waiting.appliance == self._next.appliance:
            self._waiting = waiting
        if sums is None or sums.appliance != self._next.appliance:
            return
        self._served = {(each.title_id, each.file, each.cause): each for each in sums.served}
        self._parent_bytes, self._written_bytes = dict(sums.parent_bytes), sums.reactive_written_bytes
        for each in (*sums.fetched, *rows):
            self._fetch(each)

    def serve(self, batch: Batch, causes: Mapping[tuple[str, str], MissCause]) -> None:
        """``causes``: of files that were not placed, by title and file; none: *other*."""
        for (title_id, file), sent in batch.items():
            missed = sent.reactive_bytes or sent.missed_bytes
            cause: MissCause = causes.get((title_id, file), "other") if missed else "other"
            name = file if len(self._served) < FILES_MAX else ""
            row = Served(
                title_id,
                name,
                sent.requests,
                sent.starts,
                sent.placed_bytes,
                sent.reactive_bytes,
                sent.missed_bytes,
                cause,
            )
            key = (title_id, name, cause)
            self._served[key] = added(self._served[key], row) if key in self._served else row

    def fetch(self, generation: int, item: FillItem, source: FillSource, size_bytes: int) -> None:
        row = Fetched(generation, item.title_id, item.file.name, source.id, source.kind, size_bytes)
        self._fetch(row)
        if self._journal is not None:
            self._journal.add(row)

    def _fetch(self, row: Fetched) -> None:
        key = (row.generation, row.title_id, row.file, row.source)
        known = self._fetched.get(key)
        self._fetched[key] = row if known is None else replace(known, size_bytes=known.size_bytes + row.size_bytes)

    def parents(self, bytes_by_parent: Mapping[str, int], written_bytes: int) -> None:
        """Totals since the agent started: what parents gave on misses, and what was kept of it."""
        for parent, total in bytes_by_parent.items():
            grown = total - self._seen_parents.get(parent, 0)
            if grown:
                self._parent_bytes[parent] = self._parent_bytes.get(parent, 0) + grown
                self._seen_parents[parent] = total
        self._written_bytes += written_bytes - self._seen_written
        self._seen_written = written_bytes

    async def run(self) -> None:
        while True:
            await self._clock.sleep(REPORT_S)
            await self.tell()
            if self._waiting is not None or (self._journal is not None and self._journal.stale):
                self.keep()

    def keep(self) -> None:
        """Leave everything that was added up to whoever comes after this agent."""
        if self._journal is not None:
            self._journal.begin(self._sums())

    def close(self) -> None:
        self.keep()
        if self._journal is not None:
            self._journal.close()

    async def tell(self) -> None:
        """Tell what is to be told now, or tell again what was not acknowledged."""
        if self._waiting is None:
            self._waiting = self._taken()
        if self._waiting is None:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._insight.record(self._waiting)
        except (NearcastError, TimeoutError) as error:
            if isinstance(error, NearcastError) and error.status == BadInput.status:
                _log.error("insight refuses what was counted; it is given up", error=error.message, code=error.code, hint=error.hint)
            else:
                if self.answered:
                    _log.warning("insight does not answer; traffic is counted on and told later", error=str(error))
                self.answered = False
                return
        self._waiting, self.answered = None, True
        if self._journal is not None:
            self._journal.told()

    def _taken(self) -> TrafficReport | None:
        """Everything that was added up since the last report; None: nothing."""
        sessions = self.deliveries.take()
        if not (self._served or self._fetched or self._parent_bytes or self._written_bytes or sessions):
            return None
        report = self._sums()
        self._next = replace(self._next, sequence=self._next.sequence + 1)
        self._served, self._fetched, self._parent_bytes, self._written_bytes = {}, {}, {}, 0
        if self._journal is not None:
            self._journal.wait(report)
            self.keep()
        return replace(report, sessions=sessions)

    def _sums(self) -> TrafficReport:
        return replace(
            self._next,
            served=tuple(self._served.values()),
            fetched=tuple(self._fetched.values()),
            parent_bytes=dict(self._parent_bytes),
            reactive_written_bytes=self._written_bytes,
        )


def missed(lines: Sequence[Line]) -> list[Line]:
    """Answers to viewers that a parent had to be asked for."""
    return [each for each in lines if not each.door and each.title and each.source == "parent"]
