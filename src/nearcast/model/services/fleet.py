"""What discovery, fill and ingest can be asked."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.fill import Assignment, FillStatus, Pin, Plan
from nearcast.model.ingest import IngestEvent, IngestJob, Submission
from nearcast.model.services.nothing import Nothing
from nearcast.model.site import Appliance, ApplianceReport, Instance, Order
from nearcast.model.title import Metadata
from nearcast.model.traffic import MissCause


class ReportAnswer(Struct, frozen=True, kw_only=True):
    """``lease_s``: report again well within it. What follows is for appliances alone.

    ``holdings_wanted``: tell the holdings in whole next time. ``draining``: what the operator wants. ``key_generation`` is the MAC key that
    nginx is to take, ``key`` that key (64 hex digits) where the report named an older one; empty otherwise. ``probe``: health URLs of
    other appliances that it shall look at from outside, by their ids. ``issued_ms``: the report was not taken in, for its own is not
    above this one (a clock that was set back, a report that was overtaken, or one that somebody sent again): sign the next above it.
    """

    lease_s: float
    holdings_wanted: bool = False
    draining: bool = False
    key_generation: int = 0
    key: str = ""
    probe: dict[str, str] = {}
    issued_ms: int = 0


class AppliancesQuestion(Struct, frozen=True, kw_only=True):
    """``known``: digests of holdings that the asker has, by appliance; those come without them (``holdings_base`` is the digest then)."""

    known: dict[str, str] = {}


class ApplianceList(Struct, frozen=True, kw_only=True):
    """``silent``: what observers found lately of appliances whose lease is over, by appliance."""

    appliances: tuple[Appliance, ...]
    silent: dict[str, dict[str, bool]] = {}


class InstanceList(Struct, frozen=True, kw_only=True):
    instances: tuple[Instance, ...]


class DropQuestion(Struct, frozen=True, kw_only=True):
    id: str


class OrderQuestion(Struct, frozen=True, kw_only=True):
    """``draining`` None: as it was. ``rotate_key``: give the appliance a new MAC key; paths under the one before stay good."""

    appliance: str
    draining: bool | None = None
    rotate_key: bool = False


class Discovery(Protocol):
    async def report(self, question: ApplianceReport, /) -> ReportAnswer: ...
    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList: ...
    async def order(self, question: OrderQuestion, /) -> Order: ...
    async def register(self, question: Instance, /) -> ReportAnswer: ...
    async def instances(self, question: Nothing, /) -> InstanceList: ...
    async def drop(self, question: DropQuestion, /) -> Nothing: ...


class FillQuestion(Struct, frozen=True, kw_only=True):
    """Waits up to ``wait_s`` for an assignment other than ``after``."""

    appliance: str
    after: int = -1
    wait_s: float = 0.0


class CausesQuestion(Struct, frozen=True, kw_only=True):
    """Why viewers of ``title_ids`` were sent to an appliance where they are not placed."""

    appliance: str
    title_ids: tuple[str, ...]


class Causes(Struct, frozen=True, kw_only=True):
    """By title id; a title that is not in it: ``other``."""

    causes: dict[str, MissCause]


class Fill(Protocol):
    """What appliances ask of the fill."""

    async def assignment(self, question: FillQuestion, /) -> Assignment: ...
    async def causes(self, question: CausesQuestion, /) -> Causes: ...


class PlanQuestion(Struct, frozen=True, kw_only=True):
    """``changes``: list the titles that move, too. ``commit``: make it the next generation. ``at_once``: do not wait for the windows."""

    changes: bool = False
    commit: bool = False
    at_once: bool = False


class PinQuestion(Struct, frozen=True, kw_only=True):
    """``release_at`` None: the title is pinned no longer."""

    title_id: str
    release_at: float | None = None


class PinList(Struct, frozen=True, kw_only=True):
    pins: tuple[Pin, ...]


class Planner(Protocol):
    """What operators ask of the fill."""

    async def plan(self, question: PlanQuestion, /) -> Plan: ...
    async def status(self, question: Nothing, /) -> FillStatus: ...
    async def pin(self, question: PinQuestion, /) -> PinList: ...


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
