"""Ingest in memory: jobs without films."""

from __future__ import annotations

import msgspec

from nearcast.base.errors import NotFound
from nearcast.model.ingest import IngestEvent, IngestJob
from nearcast.model.services import (
    Events,
    EventsQuestion,
    JobList,
    JobQuestion,
    Nothing,
    SubmitQuestion,
    UploadAnswer,
    UploadQuestion,
)
from tests.fakes.fake import Fake


class FakeIngest(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, IngestJob] = {}
        self.events_of: dict[str, list[IngestEvent]] = {}

    def _of(self, job_id: str) -> IngestJob:
        if job_id not in self.held:
            raise NotFound("there is no such job")
        return self.held[job_id]

    def _new(self, name: str, size_bytes: int, title_id: str) -> IngestJob:
        number = len(self.held) + 1
        job = IngestJob(
            id=f"j_{number}",
            title_id=title_id or f"t_{number}",
            name=name,
            state="uploading",
            created_at=0,
            updated_at=0,
            size_bytes=size_bytes,
        )
        self.held[job.id] = job
        self.events_of[job.id] = [IngestEvent(sequence=1, at=0.0, kind="state", state="uploading")]
        return job

    async def submit(self, question: SubmitQuestion) -> IngestJob:
        self.asked(question)
        return self._new(question.submission.metadata.name, 0, question.submission.title_id)

    async def upload(self, question: UploadQuestion) -> UploadAnswer:
        self.asked(question)
        job = self._new(question.metadata.name, question.size_bytes, question.title_id)
        return UploadAnswer(job=job, upload_url=f"http://127.0.0.1:8090/uploads/{job.id}", expires_at=1e10)

    async def jobs(self, question: Nothing) -> JobList:
        self.asked(question)
        return JobList(jobs=tuple(self.held.values()))

    async def events(self, question: EventsQuestion) -> Events:
        self.asked(question)
        job = self._of(question.job_id)
        return Events(job=job, events=tuple(each for each in self.events_of[job.id] if each.sequence > question.after))

    async def cancel(self, question: JobQuestion) -> IngestJob:
        self.asked(question)
        job = msgspec.structs.replace(self._of(question.job_id), state="cancelled")
        self.held[job.id] = job
        return job
