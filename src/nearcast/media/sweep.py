"""Takes away what nobody can need any more: files of older generations, uploads that never came, chunks of old failures."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from nearcast.base.errors import NearcastError, NotFound
from nearcast.media import publish
from nearcast.media.files import write_whole
from nearcast.media.jobs import Job
from nearcast.media.workspace import read
from nearcast.model.services import TitleQuestion

if TYPE_CHECKING:
    from nearcast.media.ingest import IngestService

RETIRED = "retired.json"
KEEP_FAILED_S = 7 * 86_400.0
"""What a failed job has encoded waits this long for the same film to be ingested again."""
_log = structlog.get_logger("ingest")


def retire(service: IngestService, gone: Sequence[publish.Retired]) -> None:
    """Remember objects for deletion."""
    if gone:
        path = service.work / RETIRED
        kept = read(path, list[publish.Retired]) or []
        write_whole(path, msgspec.json.encode([*kept, *gone]))


async def sweep(service: IngestService, work: Path, jobs: Sequence[Job]) -> None:
    """Everything that is due now. Raises DiskFailed, StoreFailed."""
    now_s = service.clock.now_s()
    await _sweep_retired(service, work / RETIRED, now_s)
    for job in jobs:
        age_s = now_s - job.record.job.updated_at
        if job.state == "uploading" and now_s > job.record.expires_at:
            service.end(job, "cancelled")
        elif job.state in ("done", "cancelled") or (job.state == "failed" and age_s > KEEP_FAILED_S):
            for each in job.folder.iterdir() if job.folder.is_dir() else ():
                if each.is_dir():
                    shutil.rmtree(each, ignore_errors=True)
    known = {each.id for each in jobs}
    for folder in service.uploads.iterdir() if service.uploads.is_dir() else ():
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)


async def _sweep_retired(service: IngestService, path: Path, now_s: float) -> None:
    waiting = read(path, list[publish.Retired]) or []
    due = [each for each in waiting if each.delete_at <= now_s]
    deleted: set[publish.Retired] = set()
    for title_id in {each.title_id for each in due}:
        with contextlib.suppress(NearcastError):
            doomed = {each.name for each in due if each.title_id == title_id}
            await publish.delete(service.store, title_id, sorted(doomed - await _published(service, title_id)))
            _log.info("files of an older generation are gone", title=title_id, files=len(doomed))
            deleted |= {each for each in due if each.title_id == title_id}
    if deleted:  # others may have been retired meanwhile
        waiting = read(path, list[publish.Retired]) or []
        write_whole(path, msgspec.json.encode([each for each in waiting if each not in deleted]))


async def _published(service: IngestService, title_id: str) -> set[str]:
    try:
        found = await service.catalog.publication(TitleQuestion(title_id=title_id))
    except NearcastError as error:
        if error.status == NotFound.status:
            return set()
        raise
    return publish.names(found.manifest) if found.manifest else set()
