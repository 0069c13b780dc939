"""What a profile adds to titles: how far it has seen them, whether they are on its list, and what it thinks of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import structlog

from nearcast.base.errors import NearcastError
from nearcast.control.gateway.call import Call
from nearcast.model.services import BookmarkList, BookmarksQuestion, Opinions, ProfileQuestion
from nearcast.model.title import Title
from nearcast.policy.titles import personal

T = TypeVar("T")
WAIT_S = 0.5
_log = structlog.get_logger("gateway")


async def personalised(call: Call, titles: Iterable[Title]) -> tuple[Title, ...]:
    """All of ``titles`` as the caller's profile sees them; as everybody does where accounts or history do not answer."""
    listed = tuple(titles)
    if not listed:
        return ()
    profile_id = call.identity.profile_id
    asked = BookmarksQuestion(profile_id=profile_id, title_ids=tuple(each.id for each in listed), limit=len(listed))
    opinions, seen = await asyncio.gather(
        _or(call.clients.accounts.opinions(ProfileQuestion(profile_id=profile_id)), Opinions(my_list=(), ratings={})),
        _or(call.clients.history.bookmarks(asked), BookmarkList(bookmarks=())),
    )
    bookmarks = {each.title_id: each for each in seen.bookmarks}
    return tuple(personal(each, bookmarks, opinions) for each in listed)


async def _or(asking: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(WAIT_S):
            return await asking
    except (NearcastError, TimeoutError) as error:
        _log.warning("titles are shown without what the profile adds", error=str(error) or "no answer in time")
        return otherwise
