"""What discovery, fill and ingest can be asked."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.ingest import IngestEvent, IngestJob, Submission
from nearcast.model.rendition import File
from nearcast.model.services.nothing import Nothing
from nearcast.model.site import Appliance, ApplianceReport, Instance
from nearcast.model.title import Metadata


class ReportAnswer(Struct, frozen=True, kw_only=True):
    """``lease_s``: report again well within it."""

    lease_s: float


class ApplianceList(Struct, frozen=True, kw_only=True):
    appliances: tuple[Appliance, ...]


class InstanceList(Struct, frozen=True, kw_only=True):
    instances: tuple[Instance, ...]


class DropQuestion(Struct, frozen=True, kw_only=True):
    id: str


class Discovery(Protocol):
    async def report(self, question: ApplianceReport, /) -> ReportAnswer: ...
    async def appliances(self, question: Nothing, /) -> ApplianceList: ...
    async def register(self, question: Instance, /) -> ReportAnswer: ...
    async def instances(self, question: Nothing, /) -> InstanceList: ...
    async def drop(self, question: DropQuestion, /) -> Nothing: ...


class FillQuestion(Struct, frozen=True, kw_only=True):
    """Waits up to ``wait_s`` for an assignment newer than ``after``."""

    appliance: str
    after: int = -1
    wait_s: float = 0.0


class FillItem(Struct, frozen=True, kw_only=True):
    title_id: str
    file: File


class Assignment(Struct, frozen=True, kw_only=True):
    """What the appliance is to hold, in the order in which to fetch it. ``items`` is None when nothing changed."""

    version: int
    items: tuple[FillItem, ...] | None


class Fill(Protocol):
    async def assignment(self, question: FillQuestion, /) -> Assignment: ...


class JobQuestion(Struct, frozen=True, kw_only=True):
    job_id: str


class JobList(Struct, frozen=True, kw_only=True):
    jobs: tuple[IngestJob, ...]


class EventsQuestion(Struct, frozen=True, kw_only=True):
    """Waits up to ``wait_s`` for events past ``after``. ``follower`` names a command that follows the job (empty: a mere look)."""

    job_id: str
    after: int = 0
    wait_s: float = 0.0
    follower: str = ""


class Events(Struct, frozen=True, kw_only=True):
    job: IngestJob
    events: tuple[IngestEvent, ...]


class SubmitQuestion(Struct, frozen=True, kw_only=True):
    submission: Submission
    follower: str = ""


class UploadQuestion(Struct, frozen=True, kw_only=True):
    """A film that is still to be uploaded, ``size_bytes`` long."""

    file_name: str
    size_bytes: int
    metadata: Metadata
    clear: bool = False
    title_id: str = ""


class UploadAnswer(Struct, frozen=True, kw_only=True):
    """``upload_url`` speaks tus 1.0 (HEAD, PATCH, DELETE) and is a capability: who has it may write, until ``expires_at``."""

    job: IngestJob
    upload_url: str
    expires_at: float


class Ingest(Protocol):
    async def submit(self, question: SubmitQuestion, /) -> IngestJob: ...
    async def upload(self, question: UploadQuestion, /) -> UploadAnswer: ...
    async def jobs(self, question: Nothing, /) -> JobList: ...
    async def events(self, question: EventsQuestion, /) -> Events: ...
    async def cancel(self, question: JobQuestion, /) -> IngestJob: ...
