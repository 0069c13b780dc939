"""The Home service of ``model.services``: it asks three services at once, and does without those that do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from nearcast.base.errors import NearcastError
from nearcast.control.home.rows import home_rows
from nearcast.control.home.settings import HomeSettings
from nearcast.model.services import (
    Accounts,
    BookmarkList,
    BookmarksQuestion,
    Catalog,
    History,
    HomeAnswer,
    HomeQuestion,
    Opinions,
    ProfileQuestion,
    TitlesQuestion,
)

T = TypeVar("T")

NO_OPINIONS = Opinions(my_list=(), ratings={})
NO_BOOKMARKS = BookmarkList(bookmarks=())

_log = structlog.get_logger("home")


class HomeService:
    """Fits ``model.services.Home``. Without the catalog there is no page, and its error is passed on; without history or
    accounts the rows that need them are missing."""

    def __init__(self, catalog: Catalog, accounts: Accounts, history: History, *, settings: HomeSettings | None = None) -> None:
        self._catalog = catalog
        self._accounts = accounts
        self._history = history
        self._settings = settings or HomeSettings()

    async def rows(self, question: HomeQuestion, /) -> HomeAnswer:
        profile_id = question.identity.profile_id
        library, opinions, marks = await asyncio.gather(
            self._catalog.titles(TitlesQuestion(limit=self._settings.library_titles)),
            self._or("my list", self._accounts.opinions(ProfileQuestion(profile_id=profile_id)), NO_OPINIONS),
            self._or("bookmarks", self._history.bookmarks(BookmarksQuestion(profile_id=profile_id)), NO_BOOKMARKS),
        )
        chosen = {each.id: each for each in library.titles}
        wanted = dict.fromkeys([each.title_id for each in marks.bookmarks] + list(opinions.my_list[: self._settings.row_titles]))
        missing = tuple(each for each in wanted if each not in chosen)
        if missing:
            older = await self._catalog.titles(TitlesQuestion(ids=missing, limit=min(len(missing), 1000)))
            chosen |= {each.id: each for each in older.titles}
        rows = home_rows(
            library.titles,
            chosen,
            marks.bookmarks,
            opinions,
            row_titles=self._settings.row_titles,
            genre_rows=self._settings.genre_rows,
        )
        return HomeAnswer(rows=rows)

    async def _or(self, what: str, asked: Awaitable[T], otherwise: T) -> T:
        try:
            async with asyncio.timeout(self._settings.part_timeout_s):
                return await asked
        except (NearcastError, TimeoutError) as error:
            _log.warning("the page comes without", part=what, error=str(error))
            return otherwise
