"""The home page's rows in memory."""

from __future__ import annotations

from nearcast.model.services import (
    HomeAnswer,
    HomeQuestion,
    TitlesQuestion,
)
from nearcast.model.title import Row
from tests.fakes.catalog import FakeCatalog
from tests.fakes.fake import Fake


class FakeHome(Fake):
    def __init__(self, catalog: FakeCatalog) -> None:
        super().__init__()
        self._catalog = catalog

    async def rows(self, question: HomeQuestion) -> HomeAnswer:
        self.asked(question)
        titles = (await self._catalog.titles(TitlesQuestion())).titles
        return HomeAnswer(rows=(Row(id="new", name="New", titles=titles),))
