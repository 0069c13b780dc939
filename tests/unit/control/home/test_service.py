"""The home page when some of what it asks is slow, down or full of surprises."""

from __future__ import annotations

import asyncio

import pytest

from nearcast.base.errors import Unavailable
from nearcast.control.home import HomeService, HomeSettings
from nearcast.model.account import Identity
from nearcast.model.services import (
    Accounts,
    BookmarkList,
    BookmarksQuestion,
    Catalog,
    History,
    HomeQuestion,
    Opinions,
    ProfileQuestion,
    TitleList,
    TitlesQuestion,
)
from nearcast.model.session import Bookmark
from tests.unit.control.home.test_rows import title

ME = HomeQuestion(identity=Identity(account_id="a_me", profile_id="p_me", role="viewer", generation=1, expires_at=2e9))


class Part(Catalog, Accounts, History):
    """All three that a page asks. ``broken``: those that answer with an error, or never."""

    def __init__(self, **broken: str) -> None:
        self.broken = broken
        self.library = [title(f"t_{number:02}", "Drama") for number in range(30)]

    async def _may_break(self, name: str) -> None:
        if self.broken.get(name) == "down":
            raise Unavailable(f"{name} is down")
        if self.broken.get(name) == "silent":
            await asyncio.sleep(3600)

    async def titles(self, question: TitlesQuestion, /) -> TitleList:
        await self._may_break("catalog")
        found = [each for each in self.library if each.id in question.ids] if question.ids else self.library[: question.limit]
        return TitleList(titles=tuple(found), total=len(self.library))

    async def opinions(self, question: ProfileQuestion, /) -> Opinions:
        await self._may_break("accounts")
        return Opinions(my_list=("t_29", "t_gone", "t_01"), ratings={"t_01": 2})

    async def bookmarks(self, question: BookmarksQuestion, /) -> BookmarkList:
        await self._may_break("history")
        return BookmarkList(bookmarks=(Bookmark(title_id="t_28", position_s=50, runtime_s=100, updated_at=1.0),))


async def rows(**broken: str) -> dict[str, list[str]]:
    part = Part(**broken)  # type: ignore[abstract]  # the other methods are not asked
    home = HomeService(part, part, part, settings=HomeSettings(part_timeout_s=0.05, library_titles=10, row_titles=5))
    return {row.id: [each.id for each in row.titles] for row in (await home.rows(ME)).rows}


async def test_rows_hold_titles_older_than_the_newest() -> None:
    found = await rows()
    assert list(found) == ["continue", "my-list", "new", "genre:drama"]
    assert (found["continue"], found["my-list"], len(found["new"])) == (["t_28"], ["t_29", "t_01"], 5)


@pytest.mark.parametrize("how", ["down", "silent"])
@pytest.mark.parametrize(("who", "missing"), [("history", {"continue"}), ("accounts", {"my-list"})])
async def test_the_page_comes_without_the_row_of_who_does_not_answer(who: str, missing: set[str], how: str) -> None:
    assert set(await rows()) - set(await rows(**{who: how})) == missing


async def test_without_the_catalog_there_is_no_page() -> None:
    with pytest.raises(Unavailable):
        await rows(catalog="down")
