"""A headless Chromium in a viewer's namespace, with the web player of the product, and what it shows of stalls.

Driven by Playwright, a development tool: where it is not installed, the scenarios with a browser say so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearcast.operations.lab import needs
from nearcast.operations.lab.commands import environment, into
from nearcast.operations.lab.system import DEVICE, System

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # the lab runs as root, which may not use it
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
START_MS = 20_000
BUFFER_S = 5
LEFT_S = 30.0
PLAYING_JS = """past => { const v = document.querySelector('video');
  return v && v.videoWidth > 0 && v.currentTime > past && v.getVideoPlaybackQuality().totalVideoFrames > 5; }"""
WATCH_JS = """() => {
  if (window.__lab) clearInterval(window.__lab.timer);
  const video = document.querySelector('video');
  const watch = {waited: 0, looked: performance.now(), moved_ms: 0, fed_ms: 0, position: video.currentTime, longest_ms: 0, late_ms: 0};
  const ahead = () => Math.max(0, ...[...Array(video.buffered.length).keys()]
    .filter(i => video.buffered.start(i) <= video.currentTime).map(i => video.buffered.end(i) - video.currentTime));
  const step = () => {
    // A page that was not run could not look: what passed between two looks counts for two looks at most.
    const now = performance.now(), passed_ms = Math.min(now - watch.looked, 100);
    watch.looked = now;
    watch.moved_ms += passed_ms;
    watch.fed_ms += passed_ms;
    if (video.currentTime !== watch.position || video.paused || video.ended || video.seeking) {
      watch.position = video.currentTime;
      watch.moved_ms = watch.fed_ms = 0;
    }
    if (ahead() >= 0.3) watch.fed_ms = 0;
    watch.longest_ms = Math.max(watch.longest_ms, watch.fed_ms);
    watch.late_ms = Math.max(watch.late_ms, watch.moved_ms);
  };
  // A decoder that is late with data at hand (a busy machine) is no stall, but it may not be later than LATE_S.
  video.addEventListener('waiting', () => { if (ahead() < 0.3) watch.waited += 1; });
  watch.timer = setInterval(step, 50);  // not with the frames: where none is drawn, none comes
  window.__lab = watch;
}"""
LATE_S = 3.0


def lacking() -> list[needs.Need]:
    """What is missing for a browser in the lab."""
    found = []
    if executable() is None:
        cure = f"{needs.INSTALL} chromium, or set NEARCAST_CHROMIUM"
        found.append(needs.Need(name="chromium", there=False, says="there is no Chromium", cure=cure))
    if importlib.util.find_spec("playwright") is None:
        cure = "deploy/setup.sh test brings it"
        found.append(needs.Need(name="playwright", there=False, says="Playwright, which drives the browser, is not installed", cure=cure))
    return found


def executable() -> str | None:
    """The Chromium of this machine; ``NEARCAST_CHROMIUM`` names another."""
    path = environment()["PATH"]
    return os.environ.get("NEARCAST_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name, path=path))), None)


class Watching:
    """A viewer in front of a running film."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def watch(self) -> None:
        """From now on count stalls."""
        self._page.evaluate(WATCH_JS)

    def hurry(self, buffer_s: float = BUFFER_S) -> None:
        """Buffer little, and play from where little is buffered: a fault is soon felt."""
        self._page.evaluate("goal => window.__nearcast.player.configure({streaming: {bufferingGoal: goal}})", buffer_s)

    def settle(self) -> None:
        """Play on from past what is buffered; from the start where the film would end too soon."""
        ends_s = float(self._page.evaluate("() => document.querySelector('video').duration"))
        to_s = self.buffered_until_s() + 1
        to_s = to_s if to_s < ends_s - LEFT_S else 0.0
        self._page.evaluate("at => { document.querySelector('video').currentTime = at; }", to_s)
        self.wait_past(to_s + 1, START_MS / 1000)

    def buffered_until_s(self) -> float:
        """The end of what is buffered around the position."""
        found = self._page.evaluate(
            "() => { const v = document.querySelector('video'); return Math.max(v.currentTime, ...[...Array(v.buffered.length).keys()]"
            ".filter(i => v.buffered.start(i) <= v.currentTime + 0.1).map(i => v.buffered.end(i))); }"
        )
        return float(found)

    def stalls(self) -> tuple[int, float]:
        """How often the film waited for data since ``watch``, and the longest time for which it stood still, in seconds.

        Standing still with data at hand counts only from LATE_S on: a decoder may be late, a player that is stuck is a fault.
        """
        waited, longest_ms, late_ms = self._page.evaluate("() => [window.__lab.waited, window.__lab.longest_ms, window.__lab.late_ms]")
        return int(waited), (late_ms if late_ms >= 1000 * LATE_S else longest_ms) / 1000

    def position_s(self) -> float:
        return float(self._page.evaluate("() => document.querySelector('video').currentTime"))

    def appliance(self) -> str:
        """Which appliance sent the last segment."""
        return str(self._page.evaluate("() => window.__nearcast?.network?.current?.appliance ?? ''"))

    def order(self) -> list[str]:
        """The pathways in the order that the last steering document told; empty before there was one."""
        return list(self._page.evaluate("() => window.__nearcast.network.order"))

    def wait_past(self, position_s: float, timeout_s: float) -> bool:
        """Until the film is past a position; False where it does not get there."""
        from playwright.sync_api import TimeoutError as TooLate

        try:
            self._page.wait_for_function(PLAYING_JS, arg=position_s, timeout=1000 * timeout_s)
        except TooLate:
            return False
        return True

    def wait(self, seconds: float) -> None:
        self._page.wait_for_timeout(1000 * seconds)


class Seat:
    """A viewer in front of a film's page, who has yet to press Play."""

    def __init__(self, page: Page, system: System) -> None:
        self._page, self._url = page, f"{system.url}/#/title/{system.title}"

    def play(self, answer: dict[str, Any] | None = None) -> Watching:
        """Press Play, and see it run. ``answer``: what Play told at an earlier time, instead of what it would tell now."""
        page = self._page
        page.unroute("**/api/v1/play")
        if answer is not None:
            page.route("**/api/v1/play", lambda route: route.fulfill(json=answer))
        page.get_by_test_id("play-button").click()
        found = Watching(page)
        page.wait_for_function(PLAYING_JS, arg=1.0, timeout=START_MS)
        found.watch()
        return found

    def leave(self) -> None:
        """From the film back to its page."""
        self._page.goto("about:blank")
        self._page.goto(self._url)
        self._page.get_by_test_id("play-button").wait_for()


@contextlib.contextmanager
def seated(system: System, viewer: str) -> Iterator[Seat]:
    """Sign in by link, and open the film's page. Raises CannotRun where there is no browser."""
    if missing := lacking():
        raise needs.CannotRun(needs.reason(missing), hint="; ".join(each.cure for each in missing))
    from playwright.sync_api import sync_playwright

    wrapper = _wrapper(system, viewer)
    secure = f"--unsafely-treat-insecure-origin-as-secure={system.url}"  # keys are asked for in secure contexts only; the lab has no TLS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(wrapper), args=[*ARGUMENTS, secure])
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(START_MS)
            context.add_init_script(f"localStorage.setItem('nearcast.device', '{DEVICE}')")
            page: Any = context.new_page()
            page.goto(system.new_link())
            page.get_by_test_id("viewer-menu").wait_for()
            seat = Seat(page, system)
            seat.leave()
            yield seat
        finally:
            browser.close()


@contextlib.contextmanager
def watching(system: System, viewer: str) -> Iterator[Watching]:
    """Sign in, press Play, and see it run. Raises CannotRun where there is no browser."""
    with seated(system, viewer) as seat:
        yield seat.play()


def _wrapper(system: System, viewer: str) -> Path:
    """A program that is Chromium in the viewer's namespace; Playwright wants one to start."""
    path = system.net.folder / f"chromium-{viewer}"
    path.write_text(f'#!/bin/sh\nexec {" ".join(into(system.net.namespace(viewer)))} {executable()} "$@"\n')
    path.chmod(0o755)
    return path
