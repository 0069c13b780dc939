"""The edge in use is killed, freezes, or is cut off in mid-film: the film goes on from another one without a stall."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e import browsers, faults
from tests.e2e.harness import System, wait_for
from tests.e2e.library import Film

BUFFER_S = 10
"""The player keeps so much ahead here, so that the film cannot play on from its buffer alone."""
BUFFER_MAX_S = 18
"""That, and the segment that was under way."""
FROM_S = 60
"""Past everything that the player fetches before its buffer is made small."""
WATCHED_S = 23.0
STANDSTILL_S = 0.5


@pytest.fixture
def playing(browser: Browser, system: System, film: Film) -> Iterator[Page]:
    """A page that plays the film with a short buffer, watched for stalls."""
    system.wait_ready()
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        page.evaluate("goal => window.__nearcast.player.configure({streaming: {bufferingGoal: goal}})", BUFFER_S)
        page.evaluate("at => { document.querySelector('video').currentTime = at; }", FROM_S)
        browsers.wait_playing(page, past_s=FROM_S + 1)
        browsers.watch_for_stalls(page)
        yield page
    system.wait_ready()


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


def frozen(system: System, appliance: str) -> AbstractContextManager[None]:
    return faults.frozen(system.edge_pids(appliance))


@contextmanager
def cut_off(system: System, appliance: str) -> Iterator[None]:
    """The packets of nginx are dropped; its agent is frozen, so that it does not tell of good health."""
    try:
        with faults.frozen([system.identity(f"edge-{appliance}").pid]), faults.cut_off(system.nginx_of(appliance)):
            yield
    except faults.CannotCutOff as error:
        pytest.skip(f"packets cannot be dropped here: {error}")


@pytest.mark.parametrize("fault", [killed, frozen, cut_off], ids=["killed", "frozen", "cut-off"])
def test_the_film_goes_on_without_a_stall(playing: Page, system: System, film: Film, fault: object) -> None:
    assert callable(fault)
    used = wait_for("an edge in use", lambda: browsers.edge_in_use(playing))
    began_s = browsers.frames(playing)["position_s"]
    assert browsers.buffered_s(playing) < BUFFER_MAX_S
    seen = set()
    with fault(system, used):
        until_s = time.monotonic() + WATCHED_S
        while time.monotonic() < until_s:
            playing.wait_for_timeout(500)
            seen.add(browsers.edge_in_use(playing))
        after = browsers.frames(playing)
        stalls, longest_s = browsers.stalls(playing)
    assert seen - {used}, "another edge served it"
    assert not stalls, f"it stalled at {stalls}"
    assert longest_s < STANDSTILL_S
    assert after["position_s"] - began_s > WATCHED_S - 2
