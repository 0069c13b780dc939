"""An ingest is killed in the middle, worker or whole fleet: it goes on by itself, and what was finished is not done again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from nearcast.base.processes import family, identify, wait_gone
from tests.e2e import films
from tests.e2e.harness import PATIENCE_S, System, mentions, wait_for

PART = ".part"
VIDEO = ("starter", "better")
FILM_S = 110
FRAME_RATE = 24


def job_named(client: httpx.Client, name: str) -> dict[str, Any] | None:
    try:
        jobs: list[dict[str, Any]] = client.get("/api/v1/ingest").raise_for_status().json()["jobs"]
    except httpx.HTTPError:  # the fleet is on its way back
        return None
    return next((each for each in jobs if each["name"] == name), None)


def chunks(system: System, job: dict[str, Any]) -> dict[str, int]:
    """Encoded chunks of a job, and when each was made (ns); ``.part`` ones are being made."""
    found = {}
    folder = system.home.work / job["id"] / "chunks"
    with contextlib.suppress(FileNotFoundError):  # the fleet may take it away while we look
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found[name] = (folder / name).stat().st_mtime_ns
    return found


def finished(found: dict[str, int]) -> dict[str, int]:
    return {name: made for name, made in found.items() if not name.endswith(PART)}


def workers(system: System) -> list[int]:
    fleet = system.identity("fleet").pid
    return [pid for pid in family(fleet) if mentions(pid, "nearcast.media.worker")]


def kill_worker(system: System) -> None:
    _kill(workers(system))


def kill_fleet(system: System) -> None:
    below = family(system.identity("fleet").pid)
    _kill(below[:1])
    for pid in below[1:]:
        identity = identify(pid)
        assert identity is None or wait_gone(identity, PATIENCE_S), "worker and ffmpeg end with the fleet"


def _kill(pids: list[int]) -> None:
    assert pids
    for pid in pids:
        identity = identify(pid)
        os.kill(pid, signal.SIGKILL)
        assert identity is None or wait_gone(identity, PATIENCE_S)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kill", [kill_worker, kill_fleet])
def test_it_goes_on_and_redoes_at_most_a_chunk(system: System, tmp_path: Path, kill: Callable[[System], None]) -> None:
    name = f"Survivor {kill.__name__}"
    path = films.long_film(tmp_path, duration_s=FILM_S)
    with system.popen("ingest", path, "--title", name) as command, system.client() as client:
        try:
            job = wait_for("the job", lambda: job_named(client, name))

            def halfway() -> bool:
                found = chunks(system, job)
                return any(each.startswith(VIDEO) for each in finished(found)) and any(each.endswith(PART) for each in found)

            wait_for("some chunks", halfway, pause_s=0.02)
            kill(system)
            kept = finished(chunks(system, job))
            again: set[str] = set()

            def done() -> bool:
                found = chunks(system, job)
                again.update(
                    each.removesuffix(PART)
                    for each in found
                    if each.removesuffix(PART) in kept and found[each] != kept[each.removesuffix(PART)]
                )
                now = job_named(client, name)
                assert now is None or now["state"] not in ("failed", "cancelled"), now
                return now is not None and now["state"] == "done"

            wait_for("the job to be done", done, timeout_s=400, pause_s=0.02)
        finally:
            command.kill()
            command.communicate()
            last = job_named(client, name)
            if last and last["state"] in ("queued", "running"):
                client.delete(f"/api/v1/ingest/{last['id']}")
    assert not again, f"done again: {again} of {sorted(kept)}"
    title = next(each for each in system.titles() if each["metadata"]["name"] == name)
    assert title["state"] == "complete"
    shown_s = [float(each) for each in films.probe(path, "packet=pts_time", "-select_streams", "v").split()]
    assert abs(title["runtime_s"] - (max(shown_s) + 1 / FRAME_RATE)) < 0.1, "no frame is lost or doubled"
