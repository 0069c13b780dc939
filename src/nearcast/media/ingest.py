"""The Ingest service: takes films, queues them, has a worker process make each, publishes what it makes, tells how far it is.

Jobs lie in ``work/<job>/``; a fleet that was killed finds them there and goes on. Publishing happens here, not in the worker,
so that the process that reads untrusted files has neither the origin's credentials nor a way into the catalog.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

import msgspec
import structlog
from obstore.store import ObjectStore

from nearcast.base.clock import Clock
from nearcast.base.errors import Internal, NearcastError, NotFound, TooLarge
from nearcast.base.ids import RandomBytes, is_id, new_id
from nearcast.media import arrival, jobs, probe
from nearcast.media.files import disk
from nearcast.media.jobs import Job, Record
from nearcast.media.runner import Runner
from nearcast.media.settings import MediaSettings
from nearcast.media.sweep import sweep
from nearcast.media.workshop import TRASH, Workshop
from nearcast.media.workspace import WorkRequest, Workspace, read, write
from nearcast.model.ingest import IngestJob, Submission
from nearcast.model.services import (
    Catalog,
    Events,
    EventsQuestion,
    JobList,
    JobQuestion,
    License,
    Nothing,
    SubmitQuestion,
    TitleQuestion,
    UploadAnswer,
    UploadQuestion,
)
from nearcast.policy.capability import NONCE_BYTES, seal

SWEEP_S = 600.0
WAIT_MAX_S = 30.0
_log = structlog.get_logger("ingest")


class UploadCapability(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload address seals: who has it may write this job's film, and nothing else."""

    job_id: str
    size_bytes: int
    expires_at: float


class IngestService(Workshop):
    """Implements ``nearcast.model.services.Ingest``. Call ``start`` before use and ``stop`` at the end.

    ``upload_key`` is the sealing key for upload addresses (purpose ``upload``), ``upload_url`` the public address of the
    application of ``nearcast.media.upload`` (as ``http://127.0.0.1:8090``).
    """

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
        upload_key: bytes,
        upload_url: str,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        super().__init__(settings=settings, clock=clock, license=license, catalog=catalog, store=store, work=work, uploads=uploads)
        self.upload_key = upload_key
        self._upload_url = upload_url.rstrip("/")
        self._random_bytes = random_bytes
        self._runners: dict[str, Runner] = {}
        self._submitting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    # --- life ---

    async def start(self) -> None:
        """Load the jobs that are there; those that were running go on. Raises DiskFailed."""
        with disk():
            self.work.mkdir(parents=True, exist_ok=True)
            self.uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
            folders = sorted(each for each in self.work.iterdir() if each.is_dir() and each.name != TRASH)
        for folder in folders:
            try:
                job = jobs.load(folder)
            except NearcastError as error:
                _log.warning("a job cannot be read and is left alone", folder=folder.name, error=error.message)
                continue
            if job:
                if job.state == "running":
                    job.update(self.clock.now_s(), state="queued")
                self._jobs[job.id] = job
        for job in self.known():
            await self._welcome(job)
        self._tasks = [asyncio.create_task(self._work_queue()) for _ in range(self.settings.jobs_at_once)]
        self._tasks.append(asyncio.create_task(self._keep_sweeping()))

    async def _welcome(self, job: Job) -> None:
        """A fleet that was killed at an upload's last byte left it whole, but in no queue."""
        try:
            await self.arrived(job)
        except NearcastError as error:
            _log.warning("an upload that is whole could not be taken on", job=job.id, error=error.message)

    async def stop(self) -> None:
        """End the workers. Their jobs stay as they are and go on at the next ``start``."""
        for runner in self._runners.values():
            runner.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._errands, return_exceptions=True)
        self._tasks = []

    async def _work_queue(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._next() is not None)
                job = self._next()
                if job is None:
                    continue
                runner = self._runners[job.id] = Runner(self, job)
            try:
                await self._work_on(job, runner)
            except Exception:  # the queue goes on, and who follows the job is not left waiting
                _log.exception("a job could not be ended", job=job.id)
                if job.state not in jobs.ENDED:
                    job.update(self.clock.now_s(), state="failed")
                self.wake()
            finally:
                self._runners.pop(job.id, None)

    async def _work_on(self, job: Job, runner: Runner) -> None:
        try:
            await runner.run()
        except NearcastError as error:
            self.end(job, "failed", error)
        except Exception as error:
            _log.exception("a job failed by a defect", job=job.id)
            self.end(job, "failed", Internal(f"the job failed unexpectedly: {error}"))

    def _next(self) -> Job | None:
        queued = [each for each in self._jobs.values() if each.state == "queued" and each.id not in self._runners]
        return min(queued, key=lambda each: (each.record.job.created_at, each.id), default=None)

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await sweep(self)
                self._forget()
            except NearcastError as error:
                _log.warning("sweeping failed", error=error.message)
            except Exception:  # the next sweep may well succeed; none at all would fill the disk
                _log.exception("sweeping failed by a defect")
            await self.clock.sleep(SWEEP_S)

    def _forget(self) -> None:
        """Ended jobs beyond the newest ``keep_jobs``."""
        ended = sorted((each for each in self._jobs.values() if each.state in jobs.ENDED), key=lambda each: each.record.job.updated_at)
        for job in ended[: max(0, len(ended) - self.settings.keep_jobs)]:
            del self._jobs[job.id]
            self.discard(job.folder)

    # --- Ingest ---

    async def submit(self, question: SubmitQuestion, /) -> IngestJob:
        """Raises Unreadable, Empty, BadSubmission, NotFound, AlreadyIngesting; what the film itself is, the job finds out."""
        submission = question.submission
        jobs.check_metadata(submission.metadata, submission.title_id)
        for path in (submission.path, submission.poster, *(each.path for each in (*submission.audio, *submission.subtitles))):
            if path and not os.path.isabs(path):
                raise jobs.BadSubmission(f"{path} is not an absolute path", hint="give the whole path, as it is on the fleet's machine")
        mark = await asyncio.to_thread(probe.fingerprint, Path(submission.path))
        for beside in (submission.poster, *(each.path for each in (*submission.audio, *submission.subtitles))):
            if beside:
                await asyncio.to_thread(probe.fingerprint, Path(beside))
        async with self._submitting:
            verdict = jobs.decide(((each.record, self._followed(each)) for each in self._jobs.values()), submission, mark)
            if verdict.kind == "conflict":
                raise jobs.already_ingesting(submission.path, verdict.job_id)
            if verdict.kind == "new":
                job = await self._create(submission, mark)
                self.move(job, "queued")
            else:
                job = self.job(verdict.job_id)
                if verdict.kind == "resume":
                    await asyncio.to_thread(self._again, job, submission, mark)
                    self.move(job, "queued")
            self._follow(job, question.follower)
            return job.record.job

    def _again(self, job: Job, submission: Submission, mark: probe.Fingerprint) -> None:
        """A failed job is queued once more, with the metadata and marks of now; an upload keeps what came with it. Raises DiskFull."""
        before = job.record.submission
        kept = before if job.record.uploaded else msgspec.structs.replace(submission, title_id=before.title_id)
        job.note(submission=kept, fingerprint=mark)
        job.update(self.clock.now_s(), error_code="", error="", hint="", name=kept.metadata.name or job.record.job.name)
        job.save()
        space = Workspace(job.folder)
        asked = read(space.request, WorkRequest)
        if asked:  # its settings stay: chunks made with others would not join
            write(space.request, msgspec.structs.replace(asked, submission=kept))

    async def _create(self, submission: Submission, mark: probe.Fingerprint | None, *, size_bytes: int = 0) -> Job:
        """A new job on disk, not queued yet. Raises NotFound for an unknown title to re-publish, DiskFull."""
        title_id, name, generation = submission.title_id, submission.metadata.name, 0
        if title_id:
            if not is_id(title_id, "t"):
                raise NotFound(f"there is no title {title_id[:40]!r}", hint="`nearcast titles` lists them")
            before = await self.catalog.publication(TitleQuestion(title_id=title_id))
            name = name or before.metadata.name
            generation = before.manifest.generation if before.manifest else 0
        now_s = self.clock.now_s()
        job_id = new_id("j", self._random_bytes)
        known = IngestJob(
            id=job_id,
            title_id=title_id or new_id("t", self._random_bytes),
            name=name,
            state="uploading",
            created_at=now_s,
            updated_at=now_s,
            size_bytes=size_bytes or (mark.size_bytes if mark else 0),
            uploaded_bytes=mark.size_bytes if mark else 0,
        )
        record = Record(job=known, submission=submission, fingerprint=mark, first_generation=generation + 1)
        with disk():
            folder = self.work / job_id
            folder.mkdir(parents=True)
        job = Job(folder, record)
        try:
            await asyncio.to_thread(job.save)
        except NearcastError:
            self.discard(folder)
            raise
        self._jobs[job_id] = job
        return job

    def _followed(self, job: Job) -> bool:
        return bool(job.follower) and self.clock.monotonic_s() - job.followed_at_s < self.settings.follower_lease_s

    def _follow(self, job: Job, follower: str) -> None:
        if follower:
            job.follower, job.followed_at_s = follower, self.clock.monotonic_s()

    async def upload(self, question: UploadQuestion, /) -> UploadAnswer:
        """Raises BadSubmission, TooLarge, NotFound."""
        jobs.check_metadata(question.metadata, question.title_id)
        if question.size_bytes < 1:
            raise jobs.BadSubmission("an upload has at least one byte", hint="size_bytes is the size of the file")
        if question.size_bytes > self.settings.limits.upload_bytes:
            raise TooLarge(f"{question.size_bytes} bytes are more than an upload may have", hint="raise media.limits.upload_bytes")
        submission = Submission(path="", metadata=question.metadata, title_id=question.title_id, clear=question.clear)
        job = await self._create(submission, None, size_bytes=question.size_bytes)
        expires_at = self.clock.now_s() + self.settings.upload_ttl_s
        path = self.uploads / job.id / jobs.safe_name(question.file_name)
        job.note(submission=msgspec.structs.replace(submission, path=str(path)), uploaded=True, expires_at=expires_at)
        self.move(job, "uploading")
        ticket = UploadCapability(job_id=job.id, size_bytes=question.size_bytes, expires_at=expires_at)
        sealed = seal(ticket, self.upload_key, self._random_bytes(NONCE_BYTES))
        return UploadAnswer(job=job.record.job, upload_url=f"{self._upload_url}/uploads/{sealed}", expires_at=expires_at)

    async def arrived(self, job: Job) -> None:
        """Queue an upload whose last byte is in; else do nothing. Raises UploadCancelled, AlreadyIngesting, DiskFull, DiskFailed."""
        if arrival.whole(job.record):
            mark = await asyncio.to_thread(arrival.named, job.record)
            await self.uploaded(job, mark)
            _log.info("an upload is in", job=job.id, size_bytes=mark.size_bytes)

    async def uploaded(self, job: Job, mark: probe.Fingerprint) -> None:
        """An upload is whole and gets its place in the queue. Raises UploadCancelled, AlreadyIngesting: then nothing of it stays."""
        async with self._submitting:
            if job.state != "uploading":  # cancelled while its last bytes came
                self.discard(self.uploads / job.id)
                raise jobs.UploadCancelled("this upload was given up")
            other = jobs.ingesting((each.record for each in self._jobs.values()), mark)
            if other:
                error = jobs.already_ingesting(job.record.submission.path, other.job.id)
                self.end(job, "failed", error)
                raise error
            job.note(fingerprint=mark)
            self.move(job, "queued")

    async def jobs(self, question: Nothing, /) -> JobList:
        """Newest first."""
        known = sorted(self._jobs.values(), key=lambda each: (-each.record.job.created_at, each.id))
        return JobList(jobs=tuple(each.record.job for each in known))

    async def events(self, question: EventsQuestion, /) -> Events:
        """Raises NoSuchJob."""
        job = self.job(question.job_id)
        self._follow(job, question.follower)

        def something() -> bool:
            return bool(job.since(question.after)) or job.state in jobs.ENDED

        if question.wait_s > 0 and not something():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(question.wait_s, WAIT_MAX_S)), self._changed:
                    await self._changed.wait_for(something)
            self._follow(job, question.follower)
        return Events(job=job.record.job, events=job.since(question.after))

    async def cancel(self, question: JobQuestion, /) -> IngestJob:
        """End a job. What it has published stays; what it has not is thrown away, and so is what a failed one kept to go on with."""
        job = self.job(question.job_id)
        if job.state not in ("done", "cancelled"):
            runner = self._runners.get(job.id)
            if runner:
                await runner.cancel()
            if job.state not in ("done", "cancelled"):
                self.end(job, "cancelled")
        return job.record.job
