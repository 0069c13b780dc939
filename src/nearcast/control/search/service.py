"""The Search service of ``model.services``: an index that follows the catalog."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NearcastError, Unavailable
from nearcast.control.search.index import TitleIndex
from nearcast.control.search.settings import SearchSettings
from nearcast.model.services import Catalog, Changes, ChangesQuestion, SearchAnswer, SearchQuestion

LIMIT_MAX = 500

_log = structlog.get_logger("search")


class SearchNotReady(Unavailable):
    """The index has not been built yet, because the catalog has not answered."""

    code = "NC4501"
    cure = "try again in a moment; `nearcast status` tells whether the catalog is up"


class BadSearch(BadInput):
    """A search with a limit that cannot be."""

    code = "NC4502"
    cure = f"ask with a limit from 1 to {LIMIT_MAX}"


class SearchService:
    """Fits ``model.services.Search``. ``start`` begins to follow the catalog, ``close`` ends it."""

    def __init__(self, catalog: Catalog, *, clock: Clock, settings: SearchSettings | None = None) -> None:
        self._catalog = catalog
        self._clock = clock
        self._settings = settings or SearchSettings()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._index: TitleIndex | None = None
        self._version = 0
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._thread.shutdown(wait=True)

    async def _follow(self) -> None:
        while True:
            try:
                await self.catch_up(wait_s=self._settings.wait_s if self._ready.is_set() else 0.0)
            except NearcastError as error:
                _log.warning("the catalog does not answer", error=str(error), code=error.code)
                await self._clock.sleep(self._settings.retry_s)
            except Exception:
                _log.exception("the index could not take a change in")
                await self._clock.sleep(self._settings.retry_s)

    async def catch_up(self, wait_s: float = 0.0) -> None:
        """Take in what changed, waiting up to ``wait_s`` for something to change. Before the whole catalog is in, nothing is
        committed: fifty small commits take ten times as long as one."""
        changes = await self._catalog.changes(ChangesQuestion(after=self._version, wait_s=wait_s, delta=True))
        whole = self._ready.is_set() or not changes.publications
        await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, changes, whole)
        self._version = changes.version
        if whole:
            self._ready.set()

    def _apply(self, changes: Changes, whole: bool) -> None:
        if self._index is None:
            self._index = TitleIndex()
        restored = changes.version < self._version  # the catalog was brought back from a backup: it tells everything anew
        if restored:
            self._index.clear()
        self._index.update(changes.publications)
        if whole and (restored or changes.publications or not self._ready.is_set()):
            self._index.commit()

    async def search(self, question: SearchQuestion, /) -> SearchAnswer:
        """Ids of titles that can be played, best first. Whatever the query is, it is no error; an empty one finds nothing."""
        if not 1 <= question.limit <= LIMIT_MAX:
            raise BadSearch(f"{question.limit} titles cannot be asked for")
        try:
            async with asyncio.timeout(self._settings.first_wait_s):
                await self._ready.wait()
        except TimeoutError as error:
            raise SearchNotReady("the search index is still being built") from error
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._search, question)
        return SearchAnswer(title_ids=tuple(found))

    def _search(self, question: SearchQuestion) -> list[str]:
        return self._index.search(question.query, question.limit) if self._index else []
