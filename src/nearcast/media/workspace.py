"""A job's folder: where each thing lies, and what a worker and the fleet tell each other.

Everything that counts appears under its final name only when it is whole, so the folder itself is the journal: a worker that is
started again takes what is there for done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from nearcast.base.errors import Problem
from nearcast.media.files import DiskFailed, disk, write_whole
from nearcast.media.ladder import Rung
from nearcast.media.settings import MediaSettings
from nearcast.model.ingest import Progress, Submission
from nearcast.model.manifest import Manifest
from nearcast.model.services import KeySet

T = TypeVar("T")


class WorkRequest(Struct, frozen=True, kw_only=True):
    """What the fleet asks of a worker; lies in the job's folder. Keys are not in it."""

    title_id: str
    submission: Submission
    first_generation: int
    settings: MediaSettings
    at_once: int


class Start(Struct, frozen=True, kw_only=True):
    """The one line that a worker reads from its standard input. ``keys`` is None for a clear title."""

    keys: KeySet | None


class Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line that a worker writes. ``manifest``: a file of that name lies in ``manifests/``; ``error`` ends a failed run."""

    kind: Literal["progress", "manifest", "rendition", "warning", "timing", "error", "done"]
    text: str = ""
    progress: Progress | None = None
    error: Problem | None = None
    manifest: str = ""


class Workspace:
    """The paths of one job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.request = root / "request.json"
        self.plan = root / "plan.json"
        self.chunks = root / "chunks"
        self.scratch = root / "scratch"
        self.out = root / "out"
        self.renditions = root / "renditions"
        self.pictures = root / "pictures"
        self.text = root / "text"
        self.own_text = self.chunks / "text"
        self.manifests = root / "manifests"
        self.quality = root / "quality"
        self.source_sha256 = root / "source.sha256"
        self.timings = root / "timings.json"
        self.log = root / "worker.log"

    def make(self) -> None:
        """Raises DiskFailed."""
        with disk():
            for folder in (self.chunks, self.scratch, self.out, self.renditions, self.pictures, self.text, self.manifests, self.quality):
                folder.mkdir(parents=True, exist_ok=True)

    def chunk(self, run: str, index: int) -> Path:
        """``run`` is ``starter`` or ``better``."""
        return self.chunks / f"{run}-{index:05}"

    def chunk_file(self, run: str, index: int, rung: Rung) -> Path:
        return self.chunk(run, index) / f"{rung.name}.mp4"

    def audio(self, name: str) -> Path:
        return self.chunks / name

    def generations(self) -> list[int]:
        """Numbers of the manifests that are there, in order."""
        return sorted(int(each.stem.partition("-")[2]) for each in self.manifests.glob("manifest-*.json"))

    def manifest(self, generation: int) -> Path:
        return self.manifests / f"manifest-{generation}.json"

    def read_manifest(self, generation: int) -> Manifest:
        found = read(self.manifest(generation), Manifest)
        if found is None:
            raise DiskFailed(f"manifest {generation} of this job is not there")
        return found


def read(path: Path, kind: type[T]) -> T | None:
    """The Struct in a JSON file; None if there is no file. Raises DiskFailed."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise DiskFailed(f"{path.name} cannot be read: {error}") from error


def write(path: Path, content: Struct | dict[str, float]) -> None:
    """The other way round, whole or not at all."""
    write_whole(path, msgspec.json.encode(content))
