"""Pages that play with small buffers, and how they are watched while edges are killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.e2e import browsers, faults
from tests.e2e.harness import System, wait_for

GIVEN = 3
"""Edges that a session is given; the system has one more."""
DURATION_S = 100
BUFFER_S = 8
"""Small, and yet enough for a player that a busy machine does not run for a second or two between its looks."""
BUFFER_MAX_S = 17
"""That, and the segment that was under way."""
FROM_S = 60
"""Past everything that a player fetches before its buffer is made small."""
BEYOND_S = 4.0
"""So much is watched beyond what was buffered when the fault befell."""
STANDSTILL_S = 0.5


@dataclass
class Viewer:
    """A page that plays, and how it tells which edge serves it."""

    page: Page
    edge: Callable[[], str]

    @property
    def position_s(self) -> float:
        return float(browsers.frames(self.page)["position_s"])

    def settle(self) -> None:
        """Past what was buffered at first, and watched for stalls from then on."""
        self.page.evaluate("at => { document.querySelector('video').currentTime = at; }", FROM_S)
        browsers.wait_playing(self.page, past_s=FROM_S + 1)
        browsers.watch_for_stalls(self.page)
        assert browsers.buffered_s(self.page) < BUFFER_MAX_S


def healthy(system: System) -> None:
    """Until all is up again, and a play would be given as many edges as there are for one, and told of the others."""
    system.wait_ready()
    with system.client() as client:
        title_id = system.titles()[0]["id"]

        def named() -> bool:
            answer = client.post("/api/v1/play", json={"title_id": title_id, "device": {"id": "looks"}})
            if answer.status_code != 200 or len(answer.json()["edges"]) < GIVEN:
                return False
            told = client.get(answer.json()["steering_url"])
            return told.status_code == 200 and set(told.json()["PATHWAY-PRIORITY"]) == set(system.edge_ports)

        wait_for("the edges to be named", named)


@contextmanager
def killed(system: System, appliance: str) -> Iterator[None]:
    """kill -9 for nginx and its agent, and again whenever the supervisor has started them anew."""
    over = threading.Event()

    def kill() -> None:
        while not over.is_set():
            faults.killed(system.edge_pids(appliance))
            over.wait(0.2)

    faults.killed(system.edge_pids(appliance))
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def watch(viewers: list[Viewer], seconds: float) -> None:
    """Until each has played so much beyond what it has buffered now, without a stall."""
    ends = [each.position_s + browsers.buffered_s(each.page) + seconds for each in viewers]
    assert max(ends) < DURATION_S
    wait_for("the films to go on", lambda: all(each.position_s > end for each, end in zip(viewers, ends, strict=True)))
    for each in viewers:
        stalls, longest_s = browsers.stalls(each.page)
        assert not stalls, f"it stalled at {stalls}"
        assert longest_s < STANDSTILL_S
