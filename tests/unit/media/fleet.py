"""A whole Ingest service over real tools, a folder for an origin, and neighbours that live in this process."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgspec
from obstore.store import LocalStore

from nearcast.base.clock import Clock, SystemClock
from nearcast.media.ingest import IngestService
from nearcast.media.settings import EncodeSettings, MediaSettings, QualitySettings
from nearcast.model.ingest import IngestEvent, IngestJob, Submission
from nearcast.model.services import ContentKey, EventsQuestion, KeySet, KeySetQuestion, SubmitQuestion
from nearcast.model.title import Metadata
from tests.fakes import FakeCatalog, FakeLicense

QUICK = MediaSettings(
    niceness=0,
    encode=EncodeSettings(preset="ultrafast", starter_preset="ultrafast", segment_s=1.0, chunk_s=2.0, chunks_at_once=2),
    quality=QualitySettings(enabled=False),
)


class Keys(FakeLicense):
    """Gives the same keys for a title each time."""

    async def key_set(self, question: KeySetQuestion) -> KeySet:
        self.asked(question)

        def made(label: str, what: str) -> bytes:
            return hashlib.sha256(f"{question.title_id} {label} {what}".encode()).digest()[:16]

        labels = ("AUDIO", "SD", "HD", "UHD")
        keys = tuple(ContentKey(label=each, key_id=made(each, "id"), key=made(each, "key")) for each in labels)  # type: ignore[arg-type]
        return KeySet(title_id=question.title_id, keys=keys)


class Fleet:
    """``service`` with all it needs below one folder. Use as ``async with``."""

    def __init__(self, root: Path, settings: MediaSettings = QUICK, catalog: FakeCatalog | None = None, clock: Clock | None = None) -> None:
        self.root = root
        self.catalog = catalog or FakeCatalog()
        self.keys = Keys()
        self.origin = root / "origin"
        self.origin.mkdir(parents=True, exist_ok=True)
        self.service = IngestService(
            settings=settings,
            clock=clock or SystemClock(),
            license=self.keys,
            catalog=self.catalog,
            store=LocalStore(str(self.origin)),
            work=root / "work",
            uploads=root / "uploads",
            upload_key=b"u" * 32,
            upload_url="http://127.0.0.1:8090",
        )

    async def __aenter__(self) -> Fleet:
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()

    async def submit(self, path: Path, *, follower: str = "", **fields: Any) -> IngestJob:
        submission = Submission(**{"path": str(path), "metadata": Metadata(name=path.stem), **fields})
        return await self.service.submit(SubmitQuestion(submission=submission, follower=follower))

    async def ended(self, job_id: str, timeout_s: float = 200) -> tuple[IngestJob, list[IngestEvent]]:
        """The job when it is over, and what was told of it."""
        events: list[IngestEvent] = []
        async with asyncio.timeout(timeout_s):
            while True:
                after = events[-1].sequence if events else 0
                answer = await self.service.events(EventsQuestion(job_id=job_id, after=after, wait_s=5))
                events += answer.events
                if answer.job.state in ("done", "failed", "cancelled"):
                    return answer.job, events

    async def ingest(self, path: Path, **fields: Any) -> IngestJob:
        """Submit a film and wait for its end."""
        job, _ = await self.ended((await self.submit(path, **fields)).id)
        return job

    def file(self, title_id: str, name: str) -> Path:
        return self.origin / "titles" / title_id / name

    def clear_key(self, title_id: str, label: str) -> str:
        """The hex key of a title, for a decoder."""
        return hashlib.sha256(f"{title_id} {label} key".encode()).digest()[:16].hex()


def with_encode(**changes: Any) -> MediaSettings:
    return msgspec.structs.replace(QUICK, encode=msgspec.structs.replace(QUICK.encode, **changes))
