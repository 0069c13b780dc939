"""Films that cannot be: each ends with a code and a hint, a status that is not 0, and nothing half-published."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import films
from tests.e2e.harness import PATIENCE_S, System, new_system, refused, wait_for

ROOM_BYTES = 300_000
"""What is left of the small disk: enough for a job to begin, too little for its first rendition."""


@pytest.fixture
def unchanged(system: System) -> Iterator[None]:
    """Nothing is published, in the catalog or at the origin, that was not there before."""
    before = (system.titles(), published(system))
    yield
    assert (system.titles(), published(system)) == before


def published(system: System) -> set[Path]:
    return {path for path in (system.home.origin / "titles").rglob("*") if path.is_file()}


@pytest.mark.usefixtures("unchanged")
def test_not_a_video(system: System, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("Dear viewer,\nthis is no film.\n" * 100)
    refused(system.cli("ingest", path, "--title", "Letter"), "NC1", "letter.mp4")


@pytest.mark.usefixtures("unchanged")
def test_an_empty_file(system: System, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    refused(system.cli("ingest", path, "--title", "Empty"), "NC1", "empty.mp4")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("index", ["at the end", "at the front"])
def test_a_truncated_video(system: System, tmp_path: Path, index: str) -> None:
    whole = films.generated(tmp_path / "whole.mp4", duration_s=6)
    if index == "at the front":
        films.ffmpeg("-i", whole, "-c", "copy", "-movflags", "+faststart", tmp_path / "front.mp4")
        whole = tmp_path / "front.mp4"
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused(system.cli("ingest", cut, "--title", "Cut"), "NC1", "cut.mp4")


@pytest.mark.usefixtures("unchanged")
def test_a_path_that_is_not_there(system: System, tmp_path: Path) -> None:
    refused(system.cli("ingest", tmp_path / "nowhere.mp4", "--title", "Nowhere"), "nowhere.mp4")


@pytest.mark.usefixtures("unchanged")
def test_a_folder_is_no_film(system: System, tmp_path: Path) -> None:
    refused(system.cli("ingest", tmp_path, "--title", "Folder"), tmp_path.name)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(system: System, tmp_path: Path) -> None:
    path = films.generated(tmp_path / "secret.mp4", duration_s=1)
    path.chmod(0)
    refused(system.cli("ingest", path, "--title", "Secret"), "secret.mp4")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("option", ["--subtitles", "--audio", "--poster"])
def test_what_lies_beside_the_film_must_be_there(system: System, tmp_path: Path, option: str) -> None:
    path = films.generated(tmp_path / "fine.mp4", duration_s=1)
    beside = str(tmp_path / "missing.en.vtt") + (":fr" if option == "--audio" else "")
    refused(system.cli("ingest", path, "--title", "Beside", option, beside), "missing.en.vtt")


def test_two_ingests_of_one_file_at_once(system: System, tmp_path: Path) -> None:
    path = films.generated(tmp_path / "twice.mp4", size="1280x720", duration_s=20)
    first = system.popen("ingest", path, "--title", "Twice")
    with first, system.client() as client:
        try:
            job = wait_for("the first to run", lambda: _running(system, "Twice"))
            refused(system.cli("ingest", path, "--title", "Twice"), "twice.mp4", statuses=(1,))
        finally:
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=PATIENCE_S)
            for each in client.get("/api/v1/ingest").json()["jobs"]:
                if each["state"] in ("queued", "running"):
                    client.delete(f"/api/v1/ingest/{each['id']}")
        wait_for("the job to end", lambda: client.get(f"/api/v1/ingest/{job}").json()["state"] in ("cancelled", "done", "failed"))


def _running(system: System, name: str) -> str:
    with system.client() as client:
        jobs = client.get("/api/v1/ingest").json()["jobs"]
    return next((str(each["id"]) for each in jobs if each["name"] == name and each["state"] == "running"), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_disk_full(tmp_path: Path) -> None:
    """A home on a disk of its own that fills up in mid-ingest; with room again, the same command succeeds."""
    with new_system() as small:
        # A name of its own: the home's folder is the mount point, so that every room of it shares the little disk.
        config = small.home.config.read_bytes()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(small.home.root)], check=True)
        try:
            small.home.config.write_bytes(config)
            small.up()
            path = films.generated(tmp_path / "noise.mp4", size="640x360", duration_s=6)
            balloon = small.home.root / "balloon"
            free = os.statvfs(small.home.root)
            with balloon.open("wb") as out:
                out.write(b"\1" * (free.f_bavail * free.f_bsize - ROOM_BYTES))
            refused(small.cli("ingest", path, "--title", "Noise"), "NC1004", "space")
            assert small.titles() == []
            assert not [each for each in published(small) if each.suffix == ".mp4"]
            balloon.unlink()
            assert small.ingest(path, "Noise")["state"] == "complete"
        finally:
            small.cli("down")
            small.kill_all()
            subprocess.run(["umount", "--lazy", str(small.home.root)], check=True)


def test_unknown_titles(system: System) -> None:
    refused(system.cli("unpublish", "nosuchtitle"), "nosuchtitle")
    with tempfile.NamedTemporaryFile(suffix=".vtt") as beside:
        refused(system.cli("ingest", beside.name, "--title-id", "nosuchtitle", "--title", "X"))


def test_the_list_of_titles_is_json_and_nothing_else(system: System) -> None:
    done = system.cli("titles", "--json")
    assert done.returncode == 0
    json.loads(done.stdout)
