"""What the fleet knows of an ingest job, how it is kept on disk, and the decision what a new submission means. No sockets, no clock."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from nearcast.base.errors import BadInput, Conflict, NearcastError, NotFound
from nearcast.media.files import write_whole
from nearcast.media.probe import Fingerprint
from nearcast.media.workspace import read
from nearcast.model.ingest import IngestEvent, IngestJob, JobState, Progress, Submission
from nearcast.model.title import Metadata

EVENTS_KEPT = 2000
EVENTS_AT_ONCE = 500
SEQUENCE_BLOCK = 1000
"""Event numbers are reserved on disk in blocks of this many, so that they go on counting up after a crash."""
ENDED: frozenset[JobState] = frozenset(("done", "failed", "cancelled"))
NAME_MAX = 200


class NoSuchJob(NotFound):
    """There is no ingest job of this id, or it has been forgotten."""

    code = "NC1501"
    cure = "`nearcast jobs` lists them"


class AlreadyIngesting(Conflict):
    """The same film is being ingested by another command at this moment."""

    code = "NC1502"
    cure = "wait for it, or end the command that follows it and ask for the same; `nearcast jobs` shows it and cancels it"


class UploadCancelled(NotFound):
    """The upload of this address was given up."""

    code = "NC1607"
    status = 410
    cure = "ask for a new upload"


class BadSubmission(BadInput):
    """What is to be ingested is not told rightly."""

    code = "NC1503"


class Record(Struct, frozen=True, kw_only=True):
    """A job as it lies in ``job.json``. ``generation`` is the newest manifest that the catalog has of this job."""

    job: IngestJob
    submission: Submission
    fingerprint: Fingerprint | None
    first_generation: int = 1
    generation: int = 0
    sequence_limit: int = 0
    uploaded: bool = False
    expires_at: float = 0.0


class Job:
    """A job in memory: its record, its latest events, and who follows it."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder = folder
        self.record = record
        self.events: deque[IngestEvent] = deque(maxlen=EVENTS_KEPT)
        self.sequence = record.sequence_limit
        self.follower = ""
        self.followed_at_s = float("-inf")

    @property
    def id(self) -> str:
        return self.record.job.id

    @property
    def state(self) -> JobState:
        return self.record.job.state

    def update(self, now_s: float, **changes: object) -> None:
        """Change the job's own fields (as ``state``); ``save`` keeps them."""
        job = msgspec.structs.replace(self.record.job, updated_at=now_s, **changes)
        self.record = msgspec.structs.replace(self.record, job=job)

    def note(self, **changes: object) -> None:
        """Change fields of the record."""
        self.record = msgspec.structs.replace(self.record, **changes)

    def save(self) -> None:
        """Raises DiskFull or DiskFailed."""
        write_whole(self.folder / "job.json", msgspec.json.encode(self.record))

    def add(self, event: IngestEvent) -> bool:
        """Number the event and keep it. Answers whether the record must be saved for the numbering to survive."""
        self.sequence += 1
        self.events.append(msgspec.structs.replace(event, sequence=self.sequence))
        if event.progress:
            self.record = msgspec.structs.replace(
                self.record, job=msgspec.structs.replace(self.record.job, progress=merged(self.record.job.progress, event.progress))
            )
        if self.sequence <= self.record.sequence_limit:
            return False
        self.note(sequence_limit=self.sequence + SEQUENCE_BLOCK)
        return True

    def since(self, after: int) -> tuple[IngestEvent, ...]:
        return tuple(each for each in self.events if each.sequence > after)[-EVENTS_AT_ONCE:]


def load(folder: Path) -> Job | None:
    """The job in a folder of ``work``; None if there is none. Raises DiskFailed where its record is broken."""
    record = read(folder / "job.json", Record)
    return Job(folder, record) if record else None


# --- pure -------------------------------------------------------------------------------------------------------------


def merged(lines: tuple[Progress, ...], line: Progress) -> tuple[Progress, ...]:
    """``lines`` with the newest of each stage and item."""
    found = {(each.stage, each.item): each for each in lines}
    found[(line.stage, line.item)] = line
    return tuple(found.values())


def same_source(record: Record, mark: Fingerprint) -> bool:
    """By size and content sample, wherever the file lies."""
    mine = record.fingerprint
    return mine is not None and (mine.size_bytes, mine.sample) == (mark.size_bytes, mark.sample)


def same_work(one: Submission, other: Submission) -> bool:
    """Whether what one job has encoded serves the other: everything but what can be edited."""
    blank = Metadata(name="")
    plain = [msgspec.structs.replace(each, metadata=blank, title_id="") for each in (one, other)]
    return plain[0] == plain[1] and (not other.title_id or one.title_id == other.title_id)


class Verdict(Struct, frozen=True):
    """What a submission means. ``job_id`` is set for all but ``new``."""

    kind: Literal["new", "attach", "resume", "conflict"]
    job_id: str = ""


def ingesting(records: Iterable[Record], mark: Fingerprint) -> Record | None:
    """The job that makes a title of this very film now."""
    return next((each for each in records if each.job.state in ("queued", "running") and same_source(each, mark)), None)


def already_ingesting(path: str, job_id: str) -> AlreadyIngesting:
    return AlreadyIngesting(f"{Path(path).name} is being ingested at this moment, as job {job_id}")


def decide(jobs: Iterable[tuple[Record, bool]], submission: Submission, mark: Fingerprint) -> Verdict:
    """``jobs``: every job, and whether someone else follows it now.

    A film that is being ingested is not begun again: the one who asks for the same takes the running job over when nobody
    follows it, and is refused while somebody does, or where what is asked differs. A failed job of the same work goes on where it was.
    """
    known = [(record, followed) for record, followed in jobs if same_source(record, mark)]
    for record, followed in known:
        if record.job.state in ("queued", "running"):
            asked = same_work(record.submission, msgspec.structs.replace(submission, path=record.submission.path))
            same = asked and record.submission.metadata == submission.metadata
            return Verdict("attach" if same and not followed else "conflict", record.job.id)
    for record, _ in sorted(known, key=lambda each: -each[0].job.updated_at):
        untouched = record.fingerprint == mark
        if record.job.state == "failed" and untouched and same_work(record.submission, submission):
            return Verdict("resume", record.job.id)
    return Verdict("new")


def blameless(error: NearcastError) -> bool:
    """Whether the same film may well succeed later: the disk was full, the worker was killed, a service was away."""
    return error.status >= 500


def going_on(record: Record) -> str:
    """The command that lets a failed job go on with its upload."""
    return f"nearcast ingest {shlex.quote(record.submission.path)}{' --clear' if record.submission.clear else ''}"


def check_metadata(metadata: Metadata, title_id: str = "") -> None:
    """What would be refused only after hours of encoding is refused now. A title that is there keeps its name. Raises BadSubmission."""
    name = metadata.name.strip()
    if not name and not title_id:
        raise BadSubmission("the title has no name", hint='give it one, as `--title "A Film"`')
    if len(name) > NAME_MAX or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise BadSubmission("the title's name is too long or has control characters", hint=f"use at most {NAME_MAX} printable characters")


def safe_name(file_name: str) -> str:
    """A file name without its folders and without what a disk may not like; ``film`` if nothing is left."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(char for char in last if char.isprintable() and char not in '/\\:*?"<>|').strip(". ")
    while len(kept.encode()) > 150:
        kept = kept[1:]
    return kept or "film"
