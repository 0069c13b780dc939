"""Ingest jobs: a file on its way to becoming a title, and what there is to tell of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.title import Metadata

JobState = Literal["uploading", "queued", "running", "done", "failed", "cancelled"]


class SideTrack(Struct, frozen=True, kw_only=True):
    """A subtitle or audio file beside the film. ``language`` is a BCP 47 tag."""

    path: str
    language: str
    label: str = ""


class Submission(Struct, frozen=True, kw_only=True):
    """What is to be ingested. Paths are absolute and on the fleet's host. ``title_id`` set: the title is re-published,
    and keeps of its metadata what is empty here."""

    path: str
    metadata: Metadata
    title_id: str = ""
    subtitles: tuple[SideTrack, ...] = ()
    audio: tuple[SideTrack, ...] = ()
    poster: str = ""
    clear: bool = False


class Progress(Struct, frozen=True, kw_only=True):
    """One line of the progress display. ``stage``: probe, encode, package, publish, quality. ``item``: ``1080p``, ``audio-en``, ….

    ``done`` and ``total`` are in ``unit`` (seconds of film, bytes or frames); ``eta_s`` is None until it can be told.
    """

    stage: str
    item: str
    done: float
    total: float
    unit: str = "s"
    eta_s: float | None = None


class IngestEvent(Struct, frozen=True, kw_only=True):
    """Something happened to a job. ``sequence`` counts up from 1; ``kind`` decides which of the other fields are set."""

    sequence: int
    at: float
    kind: Literal["state", "progress", "playable", "rendition", "warning", "error"]
    text: str = ""
    state: JobState | None = None
    progress: Progress | None = None
    error_code: str = ""
    hint: str = ""


class IngestJob(Struct, frozen=True, kw_only=True):
    """``progress`` holds the latest line for each stage and item."""

    id: str
    title_id: str
    name: str
    state: JobState
    created_at: float
    updated_at: float
    playable: bool = False
    progress: tuple[Progress, ...] = ()
    error_code: str = ""
    error: str = ""
    hint: str = ""
    uploaded_bytes: int = 0
    size_bytes: int = 0
