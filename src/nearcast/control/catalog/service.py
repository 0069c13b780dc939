"""The Catalog service of ``model.services``: one row a title, whose change is the atomic flip of a publication."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NotFound
from nearcast.control.catalog import rows, rules
from nearcast.control.catalog.settings import CatalogSettings
from nearcast.control.store import Store
from nearcast.model.services import Changes, ChangesQuestion, MetadataChange, TitleList, TitleQuestion, TitlesQuestion
from nearcast.model.title import VISIBLE, Publication, Title
from nearcast.policy.titles import genre_key

LIMIT_MAX = 1000
OFFSET_MAX = 10_000_000
DELTA_MAX = 200


class UnknownTitle(NotFound):
    """There is no title with this id."""

    code = "NC4204"
    cure = "`nearcast titles` lists the ids"


class BadPage(BadInput):
    """A list was asked for with an offset or limit that cannot be."""

    code = "NC4205"
    cure = f"ask with an offset of 0 or more and a limit from 1 to {LIMIT_MAX}"


class CatalogService:
    """Fits ``model.services.Catalog``. Several instances, in several processes, may share one store."""

    def __init__(self, store: Store, *, clock: Clock, settings: CatalogSettings | None = None) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings or CatalogSettings()

    async def titles(self, question: TitlesQuestion, /) -> TitleList:
        """Newest first; with ``ids``, in the order asked for. ``total`` counts all pages."""
        if not 0 <= question.offset <= OFFSET_MAX or not 1 <= question.limit <= LIMIT_MAX:
            raise BadPage(f"no page begins at {question.offset} with {question.limit} titles")
        if question.ids:
            return await self._by_ids(question)
        found, total = await self._store.read(
            lambda connection: rows.listed(
                connection, genre=question.genre, everything=question.everything, offset=question.offset, limit=question.limit
            )
        )
        return TitleList(titles=found, total=total)

    async def _by_ids(self, question: TitlesQuestion) -> TitleList:
        found = await self._store.read(lambda connection: rows.by_ids(connection, question.ids, everything=question.everything))
        if question.genre:
            key = genre_key(question.genre)
            found = tuple(each for each in found if key in map(genre_key, each.metadata.genres))
        return TitleList(titles=found[question.offset : question.offset + question.limit], total=len(found))

    async def title(self, question: TitleQuestion, /) -> Title:
        """Whatever its state is. Raises UnknownTitle."""
        found = await self._store.read(lambda connection: rows.find_title(connection, question.title_id))
        if found is None:
            raise _unknown(question.title_id)
        return found

    async def publication(self, question: TitleQuestion, /) -> Publication:
        found = await self._store.read(lambda connection: rows.find(connection, question.title_id))
        if found is None:
            raise _unknown(question.title_id)
        return found.publication

    async def publish(self, question: Publication, /) -> Publication:
        """Make it what the title is from now on. Raises OldManifest after a newer one, BadPublication, BadMetadata."""
        publication = rules.checked_publication(question)
        now_s = self._clock.now_s()

        def put(connection: Connection) -> Publication:
            before = rows.find(connection, publication.title_id)
            submitted, after, published_at = publication.metadata, publication, 0.0
            if before is not None:
                kept = rules.kept_metadata(before.publication.metadata, before.submitted, submitted)
                after = msgspec.structs.replace(rules.merged(before.publication, publication), metadata=kept)
                published_at = before.published_at
            else:
                rules.checked_metadata(submitted)  # a new title has a name of its own
            if after.state in VISIBLE and not published_at:
                published_at = now_s
            rows.put(connection, after, published_at=published_at, submitted=submitted)
            return after

        return await self._store.write(put)

    async def unpublish(self, question: TitleQuestion, /) -> Publication:
        """Withdraw a title. Its manifest is kept, so that publishing the answer with another state brings it back."""
        return await self._alter(question.title_id, lambda before: msgspec.structs.replace(before, state="unpublished"))

    async def edit(self, question: MetadataChange, /) -> Publication:
        metadata = rules.checked_metadata(question.metadata)
        return await self._alter(question.title_id, lambda before: msgspec.structs.replace(before, metadata=metadata))

    async def _alter(self, title_id: str, change: Callable[[Publication], Publication]) -> Publication:
        def alter(connection: Connection) -> Publication:
            before = rows.find(connection, title_id)
            if before is None:
                raise _unknown(title_id)
            after = change(before.publication)
            submitted = before.submitted or before.publication.metadata
            rows.put(connection, after, published_at=before.published_at, submitted=submitted)
            return after

        return await self._store.write(alter)

    async def changes(self, question: ChangesQuestion, /) -> Changes:
        """Waits by looking at the version, one row, every ``poll_s``: that works across processes and costs 0.1 ms a look."""
        until_s = self._clock.monotonic_s() + min(max(question.wait_s, 0.0), self._settings.wait_max_s)
        while True:
            version = await self._store.read(rows.version)
            # A follower that is ahead of the catalog (restored from a backup) is given everything, not silence.
            if version != question.after:
                break
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return Changes(version=version, publications=())
            await self._clock.sleep(min(self._settings.poll_s, left_s))
        return await self._store.read(lambda connection: _since(connection, question))


def _since(connection: Connection, question: ChangesQuestion) -> Changes:
    version = rows.version(connection)
    if not question.delta:
        return Changes(version=version, publications=rows.published(connection))
    after = question.after if question.after <= version else 0
    publications, last = rows.changed_since(connection, after, DELTA_MAX)
    return Changes(version=last, publications=publications)


def _unknown(title_id: str) -> UnknownTitle:
    return UnknownTitle(f"there is no title {title_id[:40]!r}")
