"""How soon a system is there: the first start in an empty home, every later one, and what it takes of memory when idle."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.harness import System, link_in, wait_for

from bench.report import Figure
from nearcast.base.processes import memory_bytes

ROOT = Path(__file__).parents[1]
SECOND_STARTS = 5
SETTLE_S = 15.0
PLAYABLE = ("playable", "complete")


def make_up(system: System) -> tuple[float, str]:
    """``make up`` in this checkout, until the link that it prints answers: seconds, and the link."""
    began_s = time.monotonic()
    done = subprocess.run(["make", "--silent", "up"], cwd=ROOT, env=system.environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"make up: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    link = link_in(done.stdout)
    wait_for("the page to answer", lambda: httpx.get(link.partition("#")[0]).status_code == 200, pause_s=0.01)
    return time.monotonic() - began_s, link


def playable(system: System) -> dict[str, Any]:
    """The demo film, once it can be played. Starts the system where it does not run."""
    if not system.signed_in:
        system.sign_in(make_up(system)[1])
    with system.client() as client:

        def demo() -> dict[str, Any] | None:
            answer = client.get("/api/v1/titles")
            titles = answer.json()["titles"] if answer.status_code == 200 else []  # 503 while a crowded machine starts it all
            return next((each for each in titles if each["state"] in PLAYABLE), None)

        return wait_for("the demo film", demo, timeout_s=300)


def settled(system: System) -> dict[str, Any]:
    """The demo film, once all is done for it: every rendition published, VMAF measured, nothing running in the background."""
    title = playable(system)
    with system.client() as client:

        def done() -> bool:
            jobs = client.get("/api/v1/ingest").json()["jobs"]
            return bool(jobs) and all(each["state"] == "done" for each in jobs)

        wait_for("its ingest to end", done, timeout_s=600)
    return title


def first_start(system: System) -> list[Figure]:
    """``make up`` in an empty home until the demo film can be played: Play answers, and an edge gives its first bytes."""
    began_s = time.monotonic()
    title = playable(system)
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": title["id"], "device": {"id": "bench"}}).raise_for_status().json()
        name = session["manifest"].partition(".mp4</BaseURL>")[0].rpartition("<BaseURL>")[2]
        httpx.get(f"{session['edges'][0]['base_url']}{name}.mp4", headers={"Range": "bytes=0-1000"}).raise_for_status()
    taken_s = time.monotonic() - began_s
    return [Figure(name="first start → demo film playable", unit="s", samples=(taken_s,), reach=60)]


def second_start(system: System) -> list[Figure]:
    """``make up`` where it runs already, and after ``nearcast down``."""
    settled(system)
    running = tuple(make_up(system)[0] for _ in range(SECOND_STARTS))
    stopped = []
    for _ in range(SECOND_STARTS):
        system.run("down")
        stopped.append(make_up(system)[0])
    return [
        Figure(name="second make up → link answers, system running", unit="s", samples=running, reach=5),
        Figure(name="second make up → link answers, after down", unit="s", samples=tuple(stopped), reach=5),
    ]


def idle_memory(system: System) -> list[Figure]:
    """Proportional set size of every process of the system with the demo film done, nothing asked of it."""
    settled(system)
    time.sleep(SETTLE_S)
    pids = system.pids()
    sum_mb = sum(memory_bytes(pid) for pid in pids) / 1e6
    return [Figure(name="idle memory of the demo, PSS", unit="MB", samples=(sum_mb,), reach=900, note=f"{len(pids)} processes")]
