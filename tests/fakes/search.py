"""Search in memory."""

from __future__ import annotations

from nearcast.model.services import (
    SearchAnswer,
    SearchQuestion,
)
from tests.fakes.catalog import FakeCatalog
from tests.fakes.fake import Fake


class FakeSearch(Fake):
    def __init__(self, catalog: FakeCatalog) -> None:
        super().__init__()
        self._catalog = catalog

    async def search(self, question: SearchQuestion) -> SearchAnswer:
        self.asked(question)
        words = question.query.lower().split()
        found = [each.title_id for each in self._catalog.held.values() if all(word in each.metadata.name.lower() for word in words)]
        return SearchAnswer(title_ids=tuple(found[: question.limit]))
