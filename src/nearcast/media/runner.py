"""Runs one job: fetches its keys, starts its worker (again, when it was killed), publishes each manifest that the worker makes."""

from __future__ import annotations

import asyncio
import contextlib
import os

import structlog

from nearcast.base.errors import NearcastError, NotFound
from nearcast.media import publish
from nearcast.media.child import Child, WorkerDied
from nearcast.media.jobs import Job
from nearcast.media.sweep import listed, retire
from nearcast.media.worker import chunks_at_once
from nearcast.media.workshop import Workshop
from nearcast.media.workspace import Report, WorkRequest, Workspace, read, write
from nearcast.model.ingest import IngestEvent, Progress
from nearcast.model.manifest import Manifest
from nearcast.model.services import KeySet, KeySetQuestion, TitleQuestion
from nearcast.model.title import Publication

DEATHS_MAX = 3
"""So often may a worker be killed without having finished a chunk in between."""
_log = structlog.get_logger("ingest")


class Runner:
    """``run`` returns when the job has ended, and has told so; it raises what made the job fail."""

    def __init__(self, shop: Workshop, job: Job) -> None:
        self._shop = shop
        self._job = job
        self._space = Workspace(job.folder)
        self._child = Child(self._space)
        self._manifests: asyncio.Queue[int | None] = asyncio.Queue()
        self._cancelled = False
        self._ended = asyncio.Event()
        self._put: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def kill(self) -> None:
        self._child.kill()

    async def cancel(self) -> None:
        """End the job, and wait until it has ended."""
        self._cancelled = True
        self._child.kill()
        if self._task:
            self._task.cancel()
        await self._ended.wait()

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self._child.kill()
            self._ended.set()

    async def _run(self) -> None:
        shop, job = self._shop, self._job
        shop.move(job, "running")
        # A task of its own, so that a cancelled job is told from a fleet that is being stopped.
        self._task = asyncio.create_task(self._make())
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._cancelled:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError, NearcastError):
                    await self._task
                raise
        except NearcastError:
            await self._discard()
            if not self._cancelled:
                raise
        if self._cancelled:
            await self._discard()
            shop.end(job, "cancelled")
        else:
            shop.end(job, "done")

    async def _make(self) -> None:
        keys = None
        if not self._job.record.submission.clear:
            question = KeySetQuestion(title_id=self._job.record.job.title_id)
            keys = await self._shop.patiently(lambda: self._shop.license.key_set(question), "license")
        await self._work(keys)

    async def _work(self, keys: KeySet | None) -> None:
        self._request()
        publisher = asyncio.create_task(self._publish_all())
        worker = asyncio.create_task(self._keep_working(keys))
        for generation in self._space.generations():  # made before a crash, and perhaps never published
            if generation > self._job.record.generation:
                self._manifests.put_nowait(generation)
        try:
            done, _ = await asyncio.wait([publisher, worker], return_when=asyncio.FIRST_COMPLETED)
            if publisher in done:
                publisher.result()  # it ends before its time only by an error
            await worker
            self._manifests.put_nowait(None)
            await publisher
        finally:
            self._child.kill()
            for task in (publisher, worker):
                task.cancel()
            await asyncio.gather(publisher, worker, return_exceptions=True)

    def _request(self) -> None:
        """What the worker is asked lies in the folder; a resumed job keeps the settings that its chunks were made with."""
        if read(self._space.request, WorkRequest) is None:
            settings = self._shop.settings
            record = self._job.record
            write(
                self._space.request,
                WorkRequest(
                    title_id=record.job.title_id,
                    submission=record.submission,
                    first_generation=record.first_generation,
                    settings=settings,
                    at_once=chunks_at_once(settings.encode.chunks_at_once, _cores()),
                ),
            )

    async def _keep_working(self, keys: KeySet | None) -> None:
        """The worker, started again as long as it gets further each time. Raises WorkerDied and what the worker raises."""
        deaths, finished = 0, -1
        while not await self._child.run(keys, self._hear):
            if self._cancelled:
                return
            now_finished = sum(1 for each in self._space.chunks.glob("*") if not each.name.endswith(".part"))
            deaths = 1 if now_finished > finished else deaths + 1
            finished = now_finished
            if deaths >= DEATHS_MAX:
                raise WorkerDied(f"the worker of {self._job.record.job.name} was killed {deaths} times without getting further")
            _log.warning("a worker was killed and is started again", job=self._job.id)

    def _hear(self, report: Report) -> None:
        job = self._job
        if report.kind == "manifest":
            self._manifests.put_nowait(int(report.manifest.removesuffix(".json").partition("-")[2]))
        elif report.kind == "progress" and report.progress:
            self._shop.tell(job, IngestEvent(sequence=0, at=0.0, kind="progress", progress=report.progress))
        elif report.kind == "warning":
            self._shop.tell(job, IngestEvent(sequence=0, at=0.0, kind="warning", text=report.text))
        elif report.kind == "timing":
            _log.info("step", job=job.id, took=report.text)

    # --- publishing ---

    async def _publish_all(self) -> None:
        """Each manifest in order; when several wait, the newest says it all."""
        while (generation := await self._manifests.get()) is not None:
            last = False
            while not self._manifests.empty():
                following = self._manifests.get_nowait()
                last = following is None
                generation = following or generation
            async with self._shop.origin_of(self._job.record.job.title_id):
                await self._publish(self._space.read_manifest(generation))
            if last:
                return

    async def _publish(self, manifest: Manifest) -> None:
        shop, job = self._shop, self._job
        before = await self._before()
        if job.record.submission.title_id and not manifest.complete and before and before.manifest and not job.record.generation:
            return  # a title that is published anew keeps its old renditions until all the new ones are there
        self._tell_publishing(manifest, 0)
        self._put |= publish.names(manifest)
        await publish.put_files(shop.store, manifest, self._space.out)
        await publish.put_manifest(shop.store, manifest)
        before = await self._before()  # asked again just before the flip: putting files may have taken long
        if before and before.state == "unpublished" and job.record.generation:
            self._cancelled = True  # somebody withdrew the title while it was being made
            self._child.kill()
            return
        publication = Publication(
            title_id=manifest.title_id,
            metadata=job.record.submission.metadata,
            state="complete" if manifest.complete else "playable",
            manifest=manifest,
            source_sha256=self._space.source_sha256.read_text(),
        )
        await shop.patiently(lambda: shop.catalog.publish(publication), "catalog")
        self._put.clear()
        known = before.manifest if before else None
        retire(shop, publish.retired(known, publish.names(manifest), shop.clock.now_s(), shop.settings.retired_min_s))
        self._flipped(manifest, known)
        await asyncio.to_thread(self._free, manifest)
        self._tell_publishing(manifest, 1)

    async def _before(self) -> Publication | None:
        question = TitleQuestion(title_id=self._job.record.job.title_id)
        try:
            return await self._shop.patiently(lambda: self._shop.catalog.publication(question), "catalog")
        except NearcastError as error:
            if isinstance(error, NotFound) or error.status == NotFound.status:
                return None
            raise

    def _flipped(self, manifest: Manifest, before: Manifest | None) -> None:
        """The catalog has it: tell, and remember."""
        shop, job = self._shop, self._job
        first = not job.record.generation
        known = {each.file.root for each in (*before.video, *before.audio)} if before else set()
        job.note(generation=manifest.generation)
        job.update(shop.clock.now_s(), playable=True)
        shop.save(job)
        if first:
            shop.tell(job, IngestEvent(sequence=0, at=0.0, kind="playable", text=f"playable as {job.record.job.title_id}"))
        for each in (*manifest.video, *manifest.audio):
            if each.file.root not in known:
                label = f" {each.channels} channels" if each.channels > 2 else ""
                shop.tell(job, IngestEvent(sequence=0, at=0.0, kind="rendition", text=f"{each.name}{label} is published"))

    def _free(self, manifest: Manifest) -> None:
        """The space of what the origin now holds."""
        for name in publish.names(manifest):
            (self._space.out / name).unlink(missing_ok=True)

    def _tell_publishing(self, manifest: Manifest, done: int) -> None:
        line = Progress(
            stage="publish", item=f"manifest {manifest.generation}", done=done, total=1, unit="steps", eta_s=0.0 if done else None
        )
        self._shop.tell(self._job, IngestEvent(sequence=0, at=0.0, kind="progress", progress=line))

    async def _discard(self) -> None:
        """Take objects out of the origin again that no catalog row names and no session can ask for."""
        if not self._put:
            return
        title_id = self._job.record.job.title_id
        async with self._shop.origin_of(title_id):
            try:
                before = await self._shop.catalog.publication(TitleQuestion(title_id=title_id))
                published = publish.names(before.manifest) if before.manifest else set()
            except NearcastError as error:
                if error.status != NotFound.status:
                    return  # who cannot ask must not delete; the next run puts them again
                published = set()
            try:
                await publish.delete(self._shop.store, title_id, sorted(self._put - published - listed(self._shop, title_id)))
                self._put.clear()
            except NearcastError as error:
                _log.warning("objects of a failed job stay in the origin", job=self._job.id, error=error.message)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
