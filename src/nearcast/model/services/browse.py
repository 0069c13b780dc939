"""What catalog, search and home can be asked."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.account import Identity
from nearcast.model.title import Metadata, Publication, Row, Title


class TitlesQuestion(Struct, frozen=True, kw_only=True):
    """``ids`` empty: all. ``everything`` includes titles that cannot be played (for admins)."""

    ids: tuple[str, ...] = ()
    genre: str = ""
    everything: bool = False
    offset: int = 0
    limit: int = 200


class TitleList(Struct, frozen=True, kw_only=True):
    titles: tuple[Title, ...]
    total: int


class TitleQuestion(Struct, frozen=True, kw_only=True):
    title_id: str


class MetadataChange(Struct, frozen=True, kw_only=True):
    title_id: str
    metadata: Metadata


class ChangesQuestion(Struct, frozen=True, kw_only=True):
    """Waits up to ``wait_s`` for the catalog's version to pass ``after``.

    ``delta``: only what changed since ``after``, withdrawn titles included, oldest change first, at most 200 at a time; ask again
    with the version answered until nothing more comes. A library of thousands of titles fits no single message otherwise.
    """

    after: int = 0
    wait_s: float = 0.0
    delta: bool = False


class Changes(Struct, frozen=True, kw_only=True):
    """``publications`` is everything published when ``version`` is newer than asked, else empty; with ``delta`` the changed ones."""

    version: int
    publications: tuple[Publication, ...]


class Catalog(Protocol):
    async def titles(self, question: TitlesQuestion, /) -> TitleList: ...
    async def title(self, question: TitleQuestion, /) -> Title: ...
    async def publication(self, question: TitleQuestion, /) -> Publication: ...
    async def publish(self, question: Publication, /) -> Publication: ...
    async def unpublish(self, question: TitleQuestion, /) -> Publication: ...
    async def edit(self, question: MetadataChange, /) -> Publication: ...
    async def changes(self, question: ChangesQuestion, /) -> Changes: ...


class SearchQuestion(Struct, frozen=True, kw_only=True):
    query: str
    limit: int = 50


class SearchAnswer(Struct, frozen=True, kw_only=True):
    title_ids: tuple[str, ...]


class Search(Protocol):
    async def search(self, question: SearchQuestion, /) -> SearchAnswer: ...


class HomeQuestion(Struct, frozen=True, kw_only=True):
    identity: Identity


class HomeAnswer(Struct, frozen=True, kw_only=True):
    rows: tuple[Row, ...]


class Home(Protocol):
    async def rows(self, question: HomeQuestion, /) -> HomeAnswer: ...
