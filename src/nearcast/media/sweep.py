"""Takes away what nobody can need any more: files of withdrawn titles and older generations, lost uploads, chunks of old failures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.errors import NearcastError, NotFound
from nearcast.media import publish
from nearcast.media.files import disk, write_whole
from nearcast.media.workshop import Workshop
from nearcast.media.workspace import read, write
from nearcast.model.services import ChangesQuestion, TitleQuestion

RETIRED = "retired.json"
SEEN = "catalog-seen.json"
KEEP_FAILED_S = 7 * 86_400.0
"""What a failed job has encoded, or was uploaded for it, waits this long for the same film to be ingested again."""
_log = structlog.get_logger("ingest")


class Seen(Struct, frozen=True, kw_only=True):
    """Up to which of its versions the catalog has been looked through for withdrawn titles."""

    version: int = 0


def retire(shop: Workshop, gone: Sequence[publish.Retired]) -> None:
    """Remember objects for deletion."""
    if gone:
        _write(shop, [*_waiting(shop), *gone])


def listed(shop: Workshop, title_id: str) -> set[str]:
    """The objects of a title that wait for their deletion, for sessions may still read them."""
    return {each.name for each in _waiting(shop) if each.title_id == title_id}


async def sweep(shop: Workshop) -> None:
    """Everything that is due now. Raises DiskFailed, StoreFailed."""
    now_s = shop.clock.now_s()
    with disk():
        await shop.empty_trash()
    try:
        await _follow_catalog(shop, now_s)
        await _sweep_retired(shop, now_s)
    except NearcastError as error:  # while the catalog is away nothing is deleted
        _log.warning("files of withdrawn titles and older generations stay for now", error=error.message)
    with disk():
        _sweep_jobs(shop)


def _sweep_jobs(shop: Workshop) -> None:
    """Awaits nothing between looking and taking away: an upload that began meanwhile would be taken for a stray one."""
    now_s = shop.clock.now_s()
    wanted = set()
    for job in shop.known():
        age_s = now_s - job.record.job.updated_at
        if job.state == "uploading" and now_s > job.record.expires_at:
            shop.end(job, "cancelled")
        elif job.state in ("done", "cancelled") or (job.state == "failed" and age_s > KEEP_FAILED_S):
            shop.clear(job)
        else:
            wanted.add(job.id)
    for folder in list(shop.uploads.iterdir()) if shop.uploads.is_dir() else ():
        if folder.name not in wanted:
            shop.discard(folder)


# --- objects of the origin --------------------------------------------------------------------------------------------


def _waiting(shop: Workshop) -> list[publish.Retired]:
    return read(shop.work / RETIRED, list[publish.Retired]) or []


def _write(shop: Workshop, waiting: Sequence[publish.Retired]) -> None:
    write_whole(shop.work / RETIRED, msgspec.json.encode(waiting))


async def _follow_catalog(shop: Workshop, now_s: float) -> None:
    """Put what was withdrawn since the last look on the list, and take off it what is shown again."""
    path = shop.work / SEEN
    seen = read(path, Seen) or Seen()
    while True:
        changes = await shop.catalog.changes(ChangesQuestion(after=seen.version, delta=True))
        if changes.version < seen.version:  # the catalog was restored from a backup: begin again
            seen = Seen()
            continue
        if not changes.publications:
            return
        waiting = _waiting(shop)
        for each in changes.publications:
            waiting = publish.relisted(waiting, each, now_s, shop.settings.retired_min_s)
        _write(shop, waiting)
        seen = Seen(version=changes.version)
        write(path, seen)


async def _sweep_retired(shop: Workshop, now_s: float) -> None:
    for title_id in {each.title_id for each in _waiting(shop) if each.delete_at <= now_s}:
        with contextlib.suppress(NearcastError):
            async with shop.origin_of(title_id):
                await _sweep_title(shop, title_id, now_s)


async def _sweep_title(shop: Workshop, title_id: str, now_s: float) -> None:
    """Delete what is due of a title, but nothing that it shows: it may have been published again meanwhile."""
    due = {each for each in _waiting(shop) if each.title_id == title_id and each.delete_at <= now_s}
    kept = await _shown(shop, title_id)
    later = {each.name for each in _waiting(shop) if each.title_id == title_id and each not in due}
    doomed = sorted({each.name for each in due} - kept - later)
    await publish.delete(shop.store, title_id, doomed)
    _log.info("files that no session can name are gone", title=title_id, files=len(doomed))
    _write(shop, [each for each in _waiting(shop) if each not in due])  # others may have been retired meanwhile


async def _shown(shop: Workshop, title_id: str) -> set[str]:
    try:
        return publish.shown(await shop.catalog.publication(TitleQuestion(title_id=title_id)))
    except NearcastError as error:
        if error.status == NotFound.status:
            return set()
        raise
