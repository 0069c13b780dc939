"""Puts finished files into the origin's object store (local folder, S3, memory): files first, then their manifest.

A title's row in the catalog is the flip; until then nobody knows these names. Files are named by content, so putting one again
is harmless. obstore's errors are mapped here and go no further.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import msgspec
import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from nearcast.base.errors import Unavailable
from nearcast.media.tools import DiskFull
from nearcast.model.manifest import Manifest
from nearcast.model.title import Publication

SIDE_MARGIN_S = 6 * 3600.0


class StoreFailed(Unavailable):
    """The origin's object store does not take or give a file."""

    code = "NC1401"
    cure = "see that the origin's folder can be written, or that the S3 address and its credentials are right"


class Retired(Struct, frozen=True, kw_only=True):
    """An object that its title no longer shows, and when the last token for it has expired (Unix seconds)."""

    title_id: str
    name: str
    delete_at: float


# --- pure -------------------------------------------------------------------------------------------------------------


def key(title_id: str, name: str) -> str:
    return f"titles/{title_id}/{name}"


def manifest_name(manifest: Manifest) -> str:
    return f"manifest-{manifest.generation}.json"


def names(manifest: Manifest) -> set[str]:
    """Every object of a manifest: its files, their block digests, and itself."""
    return {manifest_name(manifest), *(name for file in manifest.files() for name in (file.name, file.blocks_name))}


def shown(publication: Publication) -> set[str]:
    """The objects that a session which begins now may ask for; none of a withdrawn title."""
    return names(publication.manifest) if publication.manifest and publication.state != "unpublished" else set()


def retired(before: Manifest | None, keep: set[str], now_s: float, least_s: float) -> list[Retired]:
    """What is left of ``before`` beside ``keep``. A session that began just now may read it for twice its runtime and six hours."""
    if before is None:
        return []
    until_s = now_s + max(least_s, 2 * before.duration_s + SIDE_MARGIN_S)
    return [Retired(title_id=before.title_id, name=each, delete_at=until_s) for each in sorted(names(before) - keep)]


def relisted(waiting: Sequence[Retired], changed: Publication, now_s: float, least_s: float) -> list[Retired]:
    """``waiting`` after a title has changed: what it shows is off the list, and all that it withdrew is on it, by a clock begun now."""
    if changed.manifest is None:
        return list(waiting)
    named = names(changed.manifest)
    kept = [each for each in waiting if each.title_id != changed.title_id or each.name not in named]
    return [*kept, *retired(changed.manifest, shown(changed), now_s, least_s)]


# --- shell ------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _store() -> AsyncIterator[None]:
    """Maps obstore's errors."""
    try:
        yield
    except (BaseError, OSError) as error:
        text = str(error)
        if "No space left" in text or "StorageFull" in text or "os error 28" in text:
            raise DiskFull("no space left where the origin stores its files") from error
        raise StoreFailed(f"the origin's store failed: {text.splitlines()[0] if text else type(error).__name__}") from error


async def _size(store: ObjectStore, path: str) -> int | None:
    try:
        return int((await obstore.head_async(store, path))["size"])
    except (FileNotFoundError, obstore.exceptions.NotFoundError):
        return None


async def put_files(store: ObjectStore, manifest: Manifest, out: Path) -> None:
    """Put every file of ``manifest`` that is not there yet, its block digests before it. Raises DiskFull or StoreFailed."""
    async with _store():
        for file in manifest.files():
            path = key(manifest.title_id, file.name)
            if await _size(store, path) == file.size_bytes:
                continue
            await obstore.put_async(store, key(manifest.title_id, file.blocks_name), out / file.blocks_name)
            await obstore.put_async(store, path, out / file.name)


async def put_manifest(store: ObjectStore, manifest: Manifest) -> None:
    async with _store():
        await obstore.put_async(store, key(manifest.title_id, manifest_name(manifest)), msgspec.json.encode(manifest))


async def delete(store: ObjectStore, title_id: str, doomed: Iterable[str]) -> None:
    """Delete objects of a title; one that is gone already is no error."""
    async with _store():
        for name in doomed:
            with contextlib.suppress(FileNotFoundError, obstore.exceptions.NotFoundError):
                await obstore.delete_async(store, key(title_id, name))
