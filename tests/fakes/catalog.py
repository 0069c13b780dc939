"""The catalog in memory."""

from __future__ import annotations

import msgspec

from nearcast.base.errors import NotFound
from nearcast.model.services import (
    Changes,
    ChangesQuestion,
    MetadataChange,
    TitleList,
    TitleQuestion,
    TitlesQuestion,
)
from nearcast.model.title import Publication, Title
from tests.fakes.fake import Fake


class FakeCatalog(Fake):
    def __init__(self, *publications: Publication) -> None:
        super().__init__()
        self.held = {each.title_id: each for each in publications}
        self.version = len(publications)

    def _of(self, title_id: str) -> Publication:
        if title_id not in self.held:
            raise NotFound(f"there is no title {title_id}")
        return self.held[title_id]

    @staticmethod
    def _title(publication: Publication) -> Title:
        manifest = publication.manifest
        return Title(
            id=publication.title_id,
            metadata=publication.metadata,
            state=publication.state,
            runtime_s=manifest.duration_s if manifest else 0.0,
            max_height=max((each.height for each in manifest.video), default=0) if manifest else 0,
            poster_url=f"/api/v1/titles/{publication.title_id}/poster.jpg" if manifest and manifest.poster else "",
        )

    async def titles(self, question: TitlesQuestion) -> TitleList:
        self.asked(question)
        wanted = [self.held[each] for each in question.ids if each in self.held] if question.ids else list(self.held.values())
        listed = [
            self._title(each)
            for each in wanted
            if (question.everything or each.state in ("playable", "complete")) and question.genre in ("", *each.metadata.genres)
        ]
        return TitleList(titles=tuple(listed[question.offset : question.offset + question.limit]), total=len(listed))

    async def title(self, question: TitleQuestion) -> Title:
        self.asked(question)
        return self._title(self._of(question.title_id))

    async def publication(self, question: TitleQuestion) -> Publication:
        self.asked(question)
        return self._of(question.title_id)

    async def publish(self, question: Publication) -> Publication:
        self.asked(question)
        self.held[question.title_id] = question
        self.version += 1
        return question

    async def unpublish(self, question: TitleQuestion) -> Publication:
        self.asked(question)
        return await self.publish(msgspec.structs.replace(self._of(question.title_id), state="unpublished"))

    async def edit(self, question: MetadataChange) -> Publication:
        self.asked(question)
        return await self.publish(msgspec.structs.replace(self._of(question.title_id), metadata=question.metadata))

    async def changes(self, question: ChangesQuestion) -> Changes:
        self.asked(question)
        newer = tuple(self.held.values()) if self.version > question.after else ()
        return Changes(version=self.version, publications=newer)
