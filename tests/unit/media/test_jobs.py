"""Decisions about jobs, without a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import jobs
from nearcast.media.jobs import Job, Record, Verdict, decide
from nearcast.media.probe import Fingerprint
from nearcast.model.ingest import IngestEvent, IngestJob, JobState, Progress, SideTrack, Submission
from nearcast.model.title import Metadata

MARK = Fingerprint(100, 1, "abc")
FILM = Submission(path="/film.mp4", metadata=Metadata(name="Film"))


def record(state: JobState = "running", job_id: str = "j_1", submission: Submission = FILM, **changes: Any) -> Record:
    job = IngestJob(id=job_id, title_id="t_1", name="Film", state=state, created_at=1.0, updated_at=1.0)
    return Record(**{"job": job, "submission": submission, "fingerprint": MARK} | changes)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        ([], Verdict("new")),
        ([(record("running"), True)], Verdict("conflict", "j_1")),
        ([(record("queued"), True)], Verdict("conflict", "j_1")),
        ([(record("running"), False)], Verdict("attach", "j_1")),
        ([(record("failed"), False)], Verdict("resume", "j_1")),
        ([(record("done"), False)], Verdict("new")),
        ([(record("cancelled"), False)], Verdict("new")),
        ([(record("failed", uploaded=True), False)], Verdict("resume", "j_1")),
        ([(record("failed", uploaded=True, submission=Submission(path="/up/x", metadata=Metadata(name="x"))), False)], Verdict("new")),
        ([(record("failed", fingerprint=Fingerprint(100, 2, "abc")), False)], Verdict("new")),
        ([(record("running", fingerprint=Fingerprint(100, 2, "abc")), True)], Verdict("conflict", "j_1")),
        ([(record("running", fingerprint=Fingerprint(101, 1, "abc")), True)], Verdict("new")),
        ([(record("uploading", fingerprint=None), False)], Verdict("new")),
        ([(record("failed"), False), (record("running", "j_2"), True)], Verdict("conflict", "j_2")),
    ],
)
def test_what_a_submission_means(known: list[tuple[Record, bool]], verdict: Verdict) -> None:
    assert decide(known, FILM, MARK) == verdict


def test_a_failed_job_serves_only_the_same_work() -> None:
    renamed = Submission(path="/film.mp4", metadata=Metadata(name="Another name", year=1999))
    clear = Submission(path="/film.mp4", metadata=FILM.metadata, clear=True)
    dubbed = Submission(path="/film.mp4", metadata=FILM.metadata, audio=(SideTrack(path="/x", language="fr"),))
    other_title = Submission(path="/film.mp4", metadata=FILM.metadata, title_id="t_2")
    kinds = [decide([(record("failed"), False)], each, MARK).kind for each in (renamed, clear, dubbed, other_title)]
    assert kinds == ["resume", "new", "new", "new"]


def test_a_running_job_is_taken_over_only_by_who_asks_for_the_same() -> None:
    moved = Submission(path="/elsewhere/film.mp4", metadata=FILM.metadata)
    renamed = Submission(path="/film.mp4", metadata=Metadata(name="Another name"))
    clear = Submission(path="/film.mp4", metadata=FILM.metadata, clear=True)
    other_title = Submission(path="/film.mp4", metadata=FILM.metadata, title_id="t_2")
    kinds = [decide([(record("running"), False)], each, MARK).kind for each in (moved, renamed, clear, other_title)]
    assert kinds == ["attach", "conflict", "conflict", "conflict"]


def test_events_are_numbered_on_through_a_crash(tmp_path: Path) -> None:
    job = Job(tmp_path, record())
    must_save = [job.add(IngestEvent(sequence=0, at=0.0, kind="warning")) for _ in range(3)]
    assert must_save == [True, False, False]
    job.save()
    again = jobs.load(tmp_path)
    assert again is not None
    again.add(IngestEvent(sequence=0, at=0.0, kind="warning"))
    assert again.events[-1].sequence > job.events[-1].sequence
    assert [each.sequence for each in job.since(1)] == [2, 3]
    assert jobs.load(tmp_path / "none") is None


def test_progress_keeps_the_latest_of_each_line(tmp_path: Path) -> None:
    job = Job(tmp_path, record())
    for done, item in ((1, "360p"), (2, "360p"), (1, "720p")):
        line = Progress(stage="encode", item=item, done=done, total=9)
        job.add(IngestEvent(sequence=0, at=0.0, kind="progress", progress=line))
    assert [(each.item, each.done) for each in job.record.job.progress] == [("360p", 2), ("720p", 1)]


@given(some.text(max_size=400))
def test_any_file_name_becomes_a_safe_one(name: str) -> None:
    safe = jobs.safe_name(name)
    assert safe
    assert "/" not in safe
    assert safe not in (".", "..")
    assert len(safe.encode()) <= 150


def test_names_that_cannot_be_published_are_refused_at_once() -> None:
    jobs.check_metadata(Metadata(name="A Film: 🎬"))
    for name in ("", "  ", "x" * 201, "a\nb"):
        with pytest.raises(jobs.BadSubmission):
            jobs.check_metadata(Metadata(name=name))
