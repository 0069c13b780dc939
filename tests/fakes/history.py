"""History in memory."""

from __future__ import annotations

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Denied
from nearcast.model.services import (
    BookmarkList,
    BookmarksQuestion,
    HeartbeatReport,
    Nothing,
)
from nearcast.model.session import Bookmark, SessionCapability
from nearcast.policy import capability
from tests.fakes.fake import ROOT, Fake


class FakeHistory(Fake):
    def __init__(self, root: bytes = ROOT, clock: Clock | None = None) -> None:
        super().__init__()
        self._key = capability.derive(root, "session")
        self._clock = clock or SystemClock()
        self.held: dict[tuple[str, str], Bookmark] = {}

    async def heartbeat(self, question: HeartbeatReport) -> Nothing:
        self.asked(question)
        session = capability.unseal(question.session_id, SessionCapability, self._key, self._clock.now_s())
        if session.account_id != question.account_id:
            raise Denied("this session belongs to another account")
        self.held[(session.profile_id, session.title_id)] = Bookmark(
            title_id=session.title_id, position_s=question.heartbeat.position_s, runtime_s=60.0, updated_at=self._clock.now_s()
        )
        return Nothing()

    async def bookmarks(self, question: BookmarksQuestion) -> BookmarkList:
        self.asked(question)
        mine = [each for (profile_id, _), each in self.held.items() if profile_id == question.profile_id]
        found = [each for each in mine if not question.title_ids or each.title_id in question.title_ids]
        return BookmarkList(bookmarks=tuple(sorted(found, key=lambda each: -each.updated_at)[: question.limit]))
