"""A real Chromium, headless, and a record of every answer that one of its pages got: from which address, how many bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.harness import PATIENCE_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
LATE_S = 3.0
expect.set_options(timeout=PATIENCE_S * 1000)
FRAMES_JS = """() => {
  const video = document.querySelector('video');
  if (!video) return {position_s: 0, frames: 0, width: 0, paused: true, ended: false, ready: 0};
  return {position_s: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth,
          paused: video.paused, ended: video.ended, ready: video.readyState};
}"""
WATCH_JS = """() => {
  const video = document.querySelector('video');
  const watch = {stalls: [], looked: performance.now(), moved_ms: 0, fed_ms: 0, position: video.currentTime, longest_ms: 0, late_ms: 0};
  const step = () => {
    // A page that was not run could not look: what passed between two looks counts for the time of a few frames at most.
    const now = performance.now(), passed_ms = Math.min(now - watch.looked, 100);
    watch.looked = now;
    watch.moved_ms += passed_ms;
    watch.fed_ms += passed_ms;
    if (video.currentTime !== watch.position || video.paused || video.ended || video.seeking) {
      watch.position = video.currentTime;
      watch.moved_ms = watch.fed_ms = 0;
    }
    if (ahead() >= 0.3 && video.playbackRate > 0) watch.fed_ms = 0;
    watch.longest_ms = Math.max(watch.longest_ms, watch.fed_ms);
    watch.late_ms = Math.max(watch.late_ms, watch.moved_ms);
    requestAnimationFrame(step);
  };
  const ahead = () => Math.max(0, ...[...Array(video.buffered.length).keys()]
    .filter(i => video.buffered.start(i) <= video.currentTime).map(i => video.buffered.end(i) - video.currentTime));
  // A decoder that is late with data at hand (a busy machine) is no stall.
  video.addEventListener('waiting', () => { if (ahead() < 0.3) watch.stalls.push(video.currentTime); });
  requestAnimationFrame(step);
  window.__watch = watch;
}"""


def executable() -> str | None:
    """The Chromium of this machine; ``NEARCAST_CHROMIUM`` names another."""
    named = os.environ.get("NEARCAST_CHROMIUM", "")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def launched(path: str, *arguments: str) -> Iterator[Browser]:
    """A browser that ends with the block. As root it runs without its sandbox, which root may not use."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=[*ARGUMENTS, *root, *arguments])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Answer:
    """One HTTP answer as the browser received it. ``body_bytes`` grows until it is complete."""

    url: str
    status: int
    kind: str
    body_bytes: int = 0

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


@dataclass
class Record:
    """Every answer to one page, by DevTools' Network domain, and what went wrong on it."""

    answers: dict[str, Answer] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def received(self, event: dict[str, Any]) -> None:
        response = event["response"]
        self.answers[event["requestId"]] = Answer(response["url"], response["status"], response.get("mimeType", ""))

    def data(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.answers:
            self.answers[event["requestId"]].body_bytes += event["dataLength"]

    def at(self, port: int) -> list[Answer]:
        return [each for each in list(self.answers.values()) if each.port == port]

    def media(self) -> list[Answer]:
        """Answers with film bytes in them, by what they say they are and by their name."""
        found = list(self.answers.values())
        return [each for each in found if each.kind.startswith(("video/", "audio/")) or each.path.endswith((".mp4", ".m4s"))]

    def bytes_by_port(self) -> dict[int, int]:
        sums: dict[int, int] = {}
        for each in self.media():
            sums[each.port] = sums.get(each.port, 0) + each.body_bytes
        return sums

    def count(self, path: str) -> int:
        return sum(each.path == path for each in list(self.answers.values()))


def recorded(page: Page) -> Record:
    """Begin to record; before the page is opened."""
    record = Record()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.on("Network.responseReceived", record.received)
    devtools.on("Network.dataReceived", record.data)
    page.on("pageerror", lambda error: record.errors.append(str(error)))
    return record


@contextlib.contextmanager
def page_in(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a fresh context: no cookies, nothing stored, nothing cached."""
    context: BrowserContext = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(PATIENCE_S * 1000)
    try:
        yield context.new_page()
    finally:
        context.close()


# --- what a viewer does and sees --------------------------------------------------------------------------------------


def sign_in(page: Page, link: str) -> None:
    """Open a one-time link and wait for the home page."""
    page.goto(link)
    page.get_by_test_id("viewer-menu").wait_for()


def open_title(page: Page, title_id: str) -> None:
    """Click a film's poster on the home page."""
    page.locator(f'[data-testid="title-card"][data-title-id="{title_id}"]').first.click()
    page.get_by_test_id("title-page").wait_for()


def press_play(page: Page) -> None:
    page.get_by_test_id("play-button").click()


def edge_in_use(page: Page) -> str:
    """The appliance that sent the last segment."""
    found = page.evaluate("() => window.__nearcast?.network?.current?.appliance ?? ''")
    return str(found)


def frames(page: Page) -> dict[str, Any]:
    """Where the film is: position_s, decoded frames, width, paused, ended, ready."""
    found: dict[str, Any] = page.evaluate(FRAMES_JS)
    return found


def buffered_s(page: Page) -> float:
    """How much of the film lies ahead of the position."""
    found = page.evaluate(
        "() => { const v = document.querySelector('video'); return Math.max(0, ...[...Array(v.buffered.length).keys()]"
        ".filter(i => v.buffered.start(i) <= v.currentTime).map(i => v.buffered.end(i) - v.currentTime)); }"
    )
    return float(found)


def wait_playing(page: Page, past_s: float = 0.5) -> None:
    """Until frames are shown and the position is past ``past_s``."""
    page.wait_for_function(
        "past => { const v = document.querySelector('video');"
        " return v && v.videoWidth > 0 && v.currentTime > past && v.getVideoPlaybackQuality().totalVideoFrames > 5; }",
        arg=past_s,
    )


def played_from_s(page: Page) -> float:
    """Where the film went on when it was last started. Frames may be decoded before the position moves: nothing was played until then."""
    page.wait_for_function("() => document.querySelector('video')?.played.length")
    return float(page.evaluate("() => { const { played } = document.querySelector('video'); return played.start(played.length - 1); }"))


def watch_for_stalls(page: Page) -> None:
    """From now on note each ``waiting`` for want of data and the longest time for which the position stood still while it should move,
    as far as the page itself was run."""
    page.evaluate(WATCH_JS)


def stalls(page: Page) -> tuple[list[float], float]:
    """Positions at which the film stalled since ``watch_for_stalls``, and the longest standstill for want of data in seconds.

    With data at hand a decoder may be late on a machine that is busy, but no longer than LATE_S: a player that is stuck fails here.
    """
    stalled, longest_ms, late_ms = page.evaluate("() => [window.__watch.stalls, window.__watch.longest_ms, window.__watch.late_ms]")
    assert late_ms < 1000 * LATE_S, f"it stood still for {late_ms / 1000:.1f} s"
    return list(stalled), float(longest_ms) / 1000
