"""What the web player tells of the device: a real Chromium with screens of several sizes, and one that moves to another screen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request

from tests.e2e import browsers
from tests.e2e.harness import System
from tests.e2e.library import Film

BEST_JS = "() => Math.max(...window.__nearcast.player.getVideoTracks().map(each => each.height))"
ACTIVE_JS = "wanted => window.__nearcast.player.getVideoTracks().find(each => each.active)?.height === wanted"
MAY_MOVE = "Object.defineProperty(Screen.prototype, 'isExtended', {get: () => true})"
OPEN_LINES = 4320


def size(width: int, height: int) -> dict[str, int]:
    return {"width": width, "height": height}


@contextlib.contextmanager
def watched(browser: Browser, system: System, film: Film, *scripts: str, **options: Any) -> Iterator[tuple[Page, int]]:
    """The running film, and what Play was told of the device."""
    told: list[int] = []

    def asked(request: Request) -> None:
        if request.url.endswith("/api/v1/play"):
            body: Any = request.post_data_json
            told.append(body["device"]["max_height"])

    with browsers.page_in(browser, **options) as page:
        for each in scripts:
            page.add_init_script(each)
        page.on("request", asked)
        browsers.sign_in(page, system.viewer_link())
        page.goto(f"{system.url}/#/title/{film.id}")
        browsers.press_play(page)
        browsers.wait_playing(page)
        yield page, told[0]


@pytest.mark.parametrize(
    ("screen", "ratio", "lines"),
    [(size(412, 915), 2.5, 1030), (size(1366, 768), 1, 768), (size(1920, 1080), 1, 1080), (size(1280, 720), 3, 2160)],
    ids=["phone", "laptop", "monitor", "large"],
)
def test_play_is_told_what_the_screen_shows(
    browser: Browser, system: System, film: Film, screen: dict[str, int], ratio: float, lines: int
) -> None:
    options = {"viewport": size(400, 300), "screen": screen, "device_scale_factor": ratio}
    with watched(browser, system, film, **options) as (page, told):
        assert lines <= told <= lines + 1 + ratio
        assert page.evaluate(BEST_JS) == 360, "the film has no more than that"


def test_a_small_screen_is_offered_what_fits_it(browser: Browser, system: System, film: Film) -> None:
    with watched(browser, system, film, viewport=size(320, 240), screen=size(320, 240)) as (page, told):
        assert told == 241
        assert page.evaluate(BEST_JS) == 240


def test_what_the_decoder_cannot_keep_up_with_is_not_asked_for(browser: Browser, system: System, film: Film) -> None:
    """Media Capabilities of a slow machine: it says of each picture above 720 lines that it would jerk."""
    slow = """const ask = MediaCapabilities.prototype.decodingInfo;
      MediaCapabilities.prototype.decodingInfo = async function (what) {
        const found = await ask.call(this, what);
        if (Math.min(what.video?.width ?? 0, what.video?.height ?? 0) <= 720) return found;
        return {...found, smooth: false, powerEfficient: false};  // with its key system, which Shaka Player keeps
      };"""
    with watched(browser, system, film, slow, viewport=size(400, 300), screen=size(1920, 1080)) as (_, told):
        assert told == 720


def test_automatic_quality_follows_the_film_to_another_screen(browser: Browser, system: System, film: Film) -> None:
    """With a second screen at hand the session is not bound; what is fetched keeps to the screen that the window is on."""
    with watched(browser, system, film, MAY_MOVE, viewport=size(320, 240), screen=size(320, 240)) as (page, told):
        assert told == OPEN_LINES
        assert page.evaluate(BEST_JS) == 360
        page.wait_for_function(ACTIVE_JS, arg=240)
        devtools = page.context.new_cdp_session(page)
        moved = {**size(320, 240), "deviceScaleFactor": 1, "mobile": False, "screenWidth": 1920, "screenHeight": 1080}
        devtools.send("Emulation.setDeviceMetricsOverride", moved)
        page.evaluate("() => window.__nearcast.player.configure({streaming: {bufferingGoal: 60}})")
        page.wait_for_function(ACTIVE_JS, arg=360)
