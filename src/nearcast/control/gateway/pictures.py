"""Posters and trick-play sprites, from the origin's store, kept in memory within a bound. Small pictures only: film bytes never."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from nearcast.base.cache import Cache
from nearcast.base.clock import Clock
from nearcast.base.errors import Unavailable
from nearcast.control.gateway.errors import NoPicture
from nearcast.control.gateway.wire import Answer
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File
from nearcast.model.services import Catalog, TitleQuestion

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PICTURE_BYTES_MAX = 8 << 20
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
MAX_AGE_S = 60
_log = structlog.get_logger("gateway")


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the client has this version (RFC 9110, 13.1.2, weak comparison)."""
    if if_none_match.strip() == "*":
        return True
    return etag in {each.strip().removeprefix("W/") for each in if_none_match.split(",")}


class Pictures:
    """The pictures of published titles. ``store`` is the origin; None: there is no origin here, and no pictures."""

    def __init__(self, catalog: Catalog, store: ObjectStore | None, clock: Clock, *, cache_bytes: int, publication_cache_s: float) -> None:
        self._catalog = catalog
        self._store = store
        self._manifests: Cache[str, Manifest | None] = Cache(clock, fresh_s=publication_cache_s, entries_max=2000, stale_s=300)
        self._reading: Cache[str, bytes] = Cache(clock, fresh_s=0, entries_max=1)
        self._cache_bytes = cache_bytes
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._held_bytes = 0

    async def manifest(self, title_id: str) -> Manifest:
        """The title's manifest. Raises NoPicture where nothing is published, not yet or no more."""
        question = TitleQuestion(title_id=title_id)

        async def ask() -> Manifest | None:
            publication = await self._catalog.publication(question)
            return None if publication.state == "unpublished" else publication.manifest

        manifest = await self._manifests.get(title_id, ask)
        if manifest is None:
            raise NoPicture(f"the title {title_id} has no pictures")
        return manifest

    async def answer(self, title_id: str, file: File, if_none_match: str) -> Answer:
        """The picture with its ETag, or 304 for who has it. Raises NoPicture, Unavailable."""
        headers = {"etag": f'"{file.root}"', "cache-control": f"private, max-age={MAX_AGE_S}, stale-while-revalidate=86400"}
        if if_none_match and matches(if_none_match, headers["etag"]):
            return Answer(status=304, headers=headers)
        body = await self._bytes(title_id, file)
        return Answer(body=body, media_type=MEDIA_TYPES.get(file.extension, "application/octet-stream"), headers=headers)

    async def _bytes(self, title_id: str, file: File) -> bytes:
        if file.root in self._held:
            self._held.move_to_end(file.root)
            return self._held[file.root]
        body = await self._reading.get(file.root, lambda: self._read(f"titles/{title_id}/{file.name}", file.size_bytes))
        if file.root not in self._held and len(body) <= self._cache_bytes // 4:
            self._held[file.root] = body
            self._held_bytes += len(body)
            while self._held_bytes > self._cache_bytes:
                self._held_bytes -= len(self._held.popitem(last=False)[1])
        return body

    async def _read(self, path: str, size_bytes: int) -> bytes:
        if self._store is None or size_bytes > PICTURE_BYTES_MAX:
            raise NoPicture("this picture is not served here")
        from obstore.exceptions import BaseError, NotFoundError  # late: a process without pictures need not carry it

        try:
            found = await self._store.get_async(path)
            return bytes(await found.bytes_async())
        except (FileNotFoundError, NotFoundError) as error:
            raise NoPicture("the origin does not hold this picture", hint="publish the title again") from error
        except (BaseError, OSError) as error:
            _log.error("the origin cannot be read", path=path, error=str(error))
            raise Unavailable("the origin cannot be read", hint="see the gateway's log") from error
