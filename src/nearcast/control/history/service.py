"""The History service of ``model.services``: heartbeats in, bookmarks out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from nearcast.base.batch import GroupCommit
from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Denied, NearcastError, Unavailable
from nearcast.control.history.bookmarks import Mark, bookmark_of, newest
from nearcast.control.history.measures import Telling, measures
from nearcast.control.history.settings import HistorySettings
from nearcast.control.history.store import BookmarkStore
from nearcast.model.services import BookmarkList, BookmarksQuestion, Catalog, HeartbeatReport, Nothing, Quality, TitleQuestion
from nearcast.model.session import SessionCapability
from nearcast.policy import capability

LIMIT_MAX = 1000
RUNTIMES_MAX = 10_000
CATALOG_TIMEOUT_S = 1.0

_log = structlog.get_logger("history")


class HistoryOverloaded(Unavailable):
    """More heartbeats are waiting to be written than the disk keeps up with."""

    code = "NC4402"
    cure = "the player reports again by itself; look at the disk of the history if this lasts"


class ForeignSession(Denied):
    """A heartbeat for a session of another account."""

    code = "NC4403"
    cure = "send heartbeats with the sign-in that pressed Play"


class BadBookmarksPage(BadInput):
    """Bookmarks were asked for with a limit that cannot be."""

    code = "NC4404"
    cure = f"ask with a limit from 1 to {LIMIT_MAX}"


class Runtimes:
    """How long titles are, remembered for a while. A catalog that does not answer leaves what was known, or 0: not known."""

    def __init__(self, catalog: Catalog, clock: Clock, ttl_s: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def of(self, title_id: str) -> float:
        now_s = self._clock.monotonic_s()
        runtime_s, asked_s = self._known.get(title_id, (0.0, -self._ttl_s))
        if now_s - asked_s < self._ttl_s:
            return runtime_s
        try:
            async with asyncio.timeout(CATALOG_TIMEOUT_S):
                runtime_s = (await self._catalog.title(TitleQuestion(title_id=title_id))).runtime_s
        except (NearcastError, TimeoutError) as error:
            _log.warning("the runtime could not be asked", title_id=title_id, error=str(error))
            # Asked again soon, but not by every heartbeat while the catalog is down.
            now_s += min(5.0, self._ttl_s) - self._ttl_s
        self._known[title_id] = (runtime_s, now_s)
        self._known.move_to_end(title_id)
        while len(self._known) > RUNTIMES_MAX:
            self._known.popitem(last=False)
        return runtime_s


class HistoryService:
    """Fits ``model.services.History``. ``session_key``: ``capability.derive(root, "session")``; the store is the caller's to close,
    after ``close`` here, which writes what waits. ``quality`` is told what players measured, once ``start`` was called."""

    def __init__(
        self,
        store: BookmarkStore,
        catalog: Catalog,
        *,
        session_key: bytes,
        clock: Clock,
        settings: HistorySettings | None = None,
        quality: Quality | None = None,
    ) -> None:
        self._settings = settings or HistorySettings()
        self._store = store
        self._session_key = session_key
        self._clock = clock
        self._telling = Telling(quality, clock) if quality is not None else None
        self._runtimes = Runtimes(catalog, clock, self._settings.runtime_ttl_s)
        self._batches: GroupCommit[Mark] = GroupCommit(
            self._write,
            clock=clock,
            linger_s=self._settings.linger_s,
            batch_max=self._settings.batch_max,
            waiting_max=self._settings.waiting_max,
            overloaded=lambda waiting: HistoryOverloaded(f"{waiting} heartbeats wait to be written"),
        )

    async def start(self) -> None:
        if self._telling is not None:
            self._telling.start()

    async def heartbeat(self, question: HeartbeatReport, /) -> Nothing:
        """Returns when the bookmark is durable. Raises what ``capability.unseal`` raises for a foreign or expired session id."""
        now_s = self._clock.now_s()
        session = capability.unseal(question.session_id, SessionCapability, self._session_key, now_s)
        if session.account_id != question.account_id:
            raise ForeignSession("this session belongs to another account")
        bookmark = bookmark_of(
            question.heartbeat,
            title_id=session.title_id,
            runtime_s=await self._runtimes.of(session.title_id),
            now_s=now_s,
            finished_share=self._settings.finished_share,
        )
        if bookmark is not None:
            await self._batches.put(Mark(session.profile_id, bookmark))
        # Last: a player whose heartbeat was refused tells the same again with the next.
        if self._telling is not None:
            self._telling.add(measures(question.session_id, session, question.heartbeat))
        return Nothing()

    async def _write(self, marks: list[Mark]) -> None:
        await self._store.put(newest(marks))

    async def bookmarks(self, question: BookmarksQuestion, /) -> BookmarkList:
        """Newest first."""
        if not 1 <= question.limit <= LIMIT_MAX:
            raise BadBookmarksPage(f"{question.limit} bookmarks cannot be asked for")
        found = await self._store.get(question.profile_id, question.title_ids, question.limit)
        return BookmarkList(bookmarks=tuple(found))

    async def close(self) -> None:
        if self._telling is not None:
            await self._telling.stop()
        await self._batches.close()
