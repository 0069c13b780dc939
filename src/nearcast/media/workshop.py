"""What everyone who works on ingest jobs shares: the neighbours, the jobs, how to tell of them, and how to throw away."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
import structlog
from obstore.store import ObjectStore

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError, Unavailable
from nearcast.media import jobs
from nearcast.media.jobs import Job
from nearcast.media.settings import MediaSettings
from nearcast.model.ingest import IngestEvent, JobState
from nearcast.model.services import Catalog, License

TRASH = ".trash"
_log = structlog.get_logger("ingest")
T = TypeVar("T")


class Workshop:
    """``work`` and ``uploads`` are folders, ``store`` is the origin. All methods are for the event loop's thread."""

    def __init__(
        self,
        *,
        settings: MediaSettings,
        clock: Clock,
        license: License,
        catalog: Catalog,
        store: ObjectStore,
        work: Path,
        uploads: Path,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.license = license
        self.catalog = catalog
        self.store = store
        self.work = work
        self.uploads = uploads
        self._jobs: dict[str, Job] = {}
        self._changed = asyncio.Condition()
        self._errands: set[asyncio.Task[None]] = set()
        self._titles: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def job(self, job_id: str) -> Job:
        """Raises NoSuchJob."""
        found = self._jobs.get(job_id)
        if found is None:
            raise jobs.NoSuchJob(f"there is no ingest job {job_id[:40]!r}")
        return found

    def known(self) -> list[Job]:
        """Every job, as of now: after an await there may be others."""
        return list(self._jobs.values())

    def origin_of(self, title_id: str) -> asyncio.Lock:
        """Held by who puts or deletes objects of a title, so that none is deleted that is just being published again."""
        return self._titles.setdefault(title_id, asyncio.Lock())

    # --- telling ---

    def tell(self, job: Job, event: IngestEvent) -> None:
        """Something happened: number it, keep it, wake who waits."""
        if job.add(msgspec.structs.replace(event, at=self.clock.now_s())):
            self.save(job)
        self.wake()

    def save(self, job: Job) -> None:
        """Keep the record; a full disk must not end a job's telling, so it is only logged."""
        try:
            job.save()
        except NearcastError as error:
            _log.warning("a job's record could not be written", job=job.id, error=error.message)

    def wake(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._errand(notify())

    def move(self, job: Job, state: JobState, text: str = "") -> None:
        """A job's state changes; everybody who looks is told."""
        job.update(self.clock.now_s(), state=state)
        self.save(job)
        self.tell(job, IngestEvent(sequence=0, at=0.0, kind="state", state=state, text=text))

    def end(self, job: Job, state: JobState, error: NearcastError | None = None) -> None:
        """A job has ended. A failed one keeps what it has encoded, and its upload where the film is not to blame, so that it can go on."""
        kept = job.record.uploaded and error is not None and jobs.blameless(error)
        if error:
            more = f"; the upload is kept for a week: `{jobs.going_on(job.record)}` goes on with it" if kept else ""
            hint = error.hint + more
            job.update(self.clock.now_s(), error_code=error.code, error=error.message, hint=hint)
            _log.warning("a job failed", job=job.id, name=job.record.job.name, code=error.code, error=error.message)
            self.tell(job, IngestEvent(sequence=0, at=0.0, kind="error", text=error.message, error_code=error.code, hint=hint))
        if state != "failed":
            self.clear(job)
        if job.record.uploaded and not kept:
            self.discard(self.uploads / job.id)
        self.move(job, state)

    async def patiently(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """The answer of another service, asked again while it is away."""
        pause_s = 0.2
        while True:
            try:
                return await ask()
            except Unavailable as error:
                _log.info("waiting", for_what=what, error=error.message)
            await self.clock.sleep(pause_s)
            pause_s = min(5.0, pause_s * 2)

    # --- throwing away ---

    def clear(self, job: Job) -> None:
        """Throw away all that a job has made on its own disk; its record stays.

        What a sick disk does not let go is only logged, so that the job ends all the same: the sweep tries again.
        """
        try:
            folders = [each for each in job.folder.iterdir() if each.is_dir()] if job.folder.is_dir() else []
        except OSError as error:
            _log.warning("what a job has made stays for now", job=job.id, error=error.strerror)
            return
        for each in folders:
            self.discard(each)

    def discard(self, folder: Path) -> None:
        """Out of sight at once, so that nobody meets it half gone; off the disk in a thread, for that may take seconds.

        What a stop leaves in the trash, the next sweep takes away.
        """
        target = self.work / TRASH / secrets.token_hex(8)
        try:
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
        except FileNotFoundError:
            return
        except OSError:  # on another disk, or no room for a name: it goes from where it is
            target = folder
        self._errand(asyncio.to_thread(shutil.rmtree, target, ignore_errors=True))

    async def empty_trash(self) -> None:
        """What earlier runs, or tools that still wrote into it, have left there."""
        trash = self.work / TRASH
        for each in list(trash.iterdir()) if trash.is_dir() else ():
            await asyncio.to_thread(shutil.rmtree, each, ignore_errors=True)

    def _errand(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
