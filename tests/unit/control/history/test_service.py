"""History as a service: heartbeats in, bookmarks out, whatever the catalog does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput, Unavailable
from nearcast.control.history import HistoryService, HistorySettings, SqliteBookmarks
from nearcast.control.history.service import ForeignSession
from nearcast.model.services import BookmarksQuestion, Catalog, HeartbeatReport, TitleQuestion
from nearcast.model.session import Bookmark, Heartbeat
from nearcast.model.title import Metadata, Title
from nearcast.policy import capability
from tests.unit.control.helpers import FAST, ROOT, session

KEY = capability.derive(ROOT, "session")


class OneTitle(Catalog):
    """A catalog in which every title lasts as long as ``runtime_s`` says, or which is down."""

    def __init__(self) -> None:
        self.runtime_s = 100.0
        self.down = False
        self.asked = 0

    async def title(self, question: TitleQuestion, /) -> Title:
        self.asked += 1
        if self.down:
            raise Unavailable("the catalog is down")
        return Title(id=question.title_id, metadata=Metadata(name="One"), state="complete", runtime_s=self.runtime_s)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def catalog() -> OneTitle:
    return OneTitle()  # type: ignore[abstract]  # the other methods are not asked


@pytest.fixture
async def history(tmp_path: Path, clock: VirtualClock, catalog: OneTitle) -> AsyncIterator[HistoryService]:
    store = SqliteBookmarks(tmp_path / "history.db", FAST)
    made = HistoryService(store, catalog, session_key=KEY, clock=clock, settings=HistorySettings(linger_s=0))
    yield made
    await made.close()
    store.close()


def report(position_s: float, title_id: str = "t_one", *, account_id: str = "a_me", **fields: object) -> HeartbeatReport:
    session_id = capability.seal(session(title_id), KEY, bytes(12))
    heartbeat = Heartbeat(position_s=position_s, **fields)  # type: ignore[arg-type]  # shorthand
    return HeartbeatReport(session_id=session_id, account_id=account_id, heartbeat=heartbeat)


async def bookmarks(history: HistoryService, *title_ids: str, profile_id: str = "p_me") -> list[Bookmark]:
    return list((await history.bookmarks(BookmarksQuestion(profile_id=profile_id, title_ids=title_ids))).bookmarks)


async def test_heartbeats_move_the_bookmark_of_their_profile_and_title(history: HistoryService, clock: VirtualClock) -> None:
    await history.heartbeat(report(10))
    await clock.advance(10)
    await history.heartbeat(report(20))
    await history.heartbeat(report(99, "t_two"))
    assert await bookmarks(history, "t_one") == [Bookmark(title_id="t_one", position_s=20, runtime_s=100, updated_at=clock.now_s())]
    assert [(each.title_id, each.finished) for each in await bookmarks(history)] == [("t_one", False), ("t_two", True)]
    assert await bookmarks(history, profile_id="p_other") == []


async def test_going_back_is_a_move_too(history: HistoryService, clock: VirtualClock) -> None:
    for position_s in (90, 97, 5):
        await history.heartbeat(report(position_s))
        await clock.advance(1)
    (found,) = await bookmarks(history)
    assert (found.position_s, found.finished) == (5, False)


async def test_newest_first_and_limited(history: HistoryService, clock: VirtualClock) -> None:
    for number in range(5):
        await history.heartbeat(report(10, f"t_{number}"))
        await clock.advance(1)
    answer = await history.bookmarks(BookmarksQuestion(profile_id="p_me", limit=2))
    assert [each.title_id for each in answer.bookmarks] == ["t_4", "t_3"]
    for limit in (0, -1, 10**9):
        with pytest.raises(BadInput):
            await history.bookmarks(BookmarksQuestion(profile_id="p_me", limit=limit))


async def test_many_heartbeats_at_once_are_all_kept(history: HistoryService) -> None:
    await asyncio.gather(*(history.heartbeat(report(number, f"t_{number}")) for number in range(60)))
    assert len(await bookmarks(history)) == 60


async def test_the_catalog_is_asked_once_in_a_while(history: HistoryService, clock: VirtualClock, catalog: OneTitle) -> None:
    for _ in range(20):
        await history.heartbeat(report(10))
    assert catalog.asked == 1
    catalog.runtime_s = 50.0
    await clock.advance(301)
    await history.heartbeat(report(49))
    assert (catalog.asked, (await bookmarks(history))[0].finished) == (2, True)


async def test_without_the_catalog_bookmarks_go_on_and_a_known_runtime_stays(
    history: HistoryService, clock: VirtualClock, catalog: OneTitle
) -> None:
    await history.heartbeat(report(10))
    catalog.down = True
    await clock.advance(301)
    await history.heartbeat(report(96))
    await history.heartbeat(report(20, "t_new"))
    found = {each.title_id: each for each in await bookmarks(history)}
    assert (found["t_one"].runtime_s, found["t_one"].finished) == (100.0, True)
    assert (found["t_new"].runtime_s, found["t_new"].position_s) == (0.0, 20.0)
    asked = catalog.asked
    await history.heartbeat(report(21, "t_new"))
    assert catalog.asked == asked
    catalog.down = False
    await clock.advance(6)
    await history.heartbeat(report(22, "t_new"))
    assert (await bookmarks(history, "t_new"))[0].runtime_s == 100.0


async def test_a_foreign_forged_or_ended_session_moves_nothing(history: HistoryService) -> None:
    with pytest.raises(ForeignSession):
        await history.heartbeat(report(10, account_id="a_other"))
    forged = HeartbeatReport(session_id="x", account_id="a_me", heartbeat=Heartbeat(position_s=1))
    with pytest.raises(capability.Unsealable):
        await history.heartbeat(forged)
    ended = capability.seal(session(expires_at=5.0), KEY, bytes(12))
    with pytest.raises(capability.Expired):
        await history.heartbeat(HeartbeatReport(session_id=ended, account_id="a_me", heartbeat=Heartbeat(position_s=1)))
    assert await bookmarks(history) == []


async def test_a_failed_playback_leaves_the_bookmark(history: HistoryService, clock: VirtualClock) -> None:
    await history.heartbeat(report(50))
    await clock.advance(1)
    await history.heartbeat(report(0, state="failed", error_code="NC5001"))
    assert (await bookmarks(history))[0].position_s == 50
