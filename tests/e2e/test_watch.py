"""A viewer's evening in a real browser: sign in by link, find a film, press Play, watch, leave, come back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e import browsers
from tests.e2e.browsers import Record
from tests.e2e.harness import System, wait_for
from tests.e2e.library import Film

BOOKMARK_S = 2.0
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browsers.page_in(browser) as found:
        yield found


@pytest.fixture
def record(page: Page) -> Record:
    return browsers.recorded(page)


def play(page: Page, system: System, film: Film) -> None:
    """From the link to the running film."""
    browsers.sign_in(page, system.link())
    browsers.open_title(page, film.id)
    browsers.press_play(page)
    browsers.wait_playing(page)


def test_from_the_link_to_the_film(page: Page, record: Record, system: System, film: Film) -> None:
    before = gateway_sent(system)
    browsers.sign_in(page, system.link())
    rows = page.get_by_test_id("row")
    rows.first.wait_for()
    card = page.locator(f'[data-testid="title-card"][data-title-id="{film.id}"]').first
    wait_for("its poster to be drawn", lambda: card.locator("img").evaluate("img => img.complete && img.naturalWidth > 0"))
    card.click()
    assert page.get_by_test_id("title-name").text_content() == film.name
    browsers.press_play(page)
    browsers.wait_playing(page, past_s=1)

    first = browsers.frames(page)
    assert first["width"] > 0
    wait_for("frames to be decoded as time passes", lambda: browsers.frames(page)["frames"] - first["frames"] >= 15)
    assert browsers.frames(page)["position_s"] > first["position_s"]

    media = record.bytes_by_port()
    assert sum(media.values()) > 100_000
    assert set(media) <= set(system.edge_ports.values()), "every video byte came from an edge's address"
    assert not [each for each in record.at(system.gateway_port) if each in record.media()]
    sent = {path: size - before.get(path, 0) for path, size in gateway_sent(system).items()}
    assert any(sent.values()), "the access log was written"
    answers = sum(size for path, size in sent.items() if path.startswith("/api/") and not path.endswith(".jpg"))
    assert answers < 200_000, "what the gateway answered was small messages"
    assert not [path for path in sent if path.endswith((".mp4", ".m4s", ".ts"))]
    assert record.count("/api/v1/license") == 1, "the licence was asked once"
    assert record.count("/api/v1/play") == 1
    assert not record.errors, record.errors


def gateway_sent(system: System) -> dict[str, int]:
    """Bytes of bodies that the gateway sent, by path, as its access log has them."""
    sent: dict[str, int] = {}
    for line in system.home.log("gateway").read_text().splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("event") == "request":
                sent[entry["path"]] = sent.get(entry["path"], 0) + entry["sent_bytes"]
    return sent


def test_closed_and_opened_again_it_goes_on_where_it_was(browser: Browser, system: System, film: Film) -> None:
    with browsers.page_in(browser) as page:
        play(page, system, film)
        page.evaluate("() => { document.querySelector('video').currentTime = 40; }")
        browsers.wait_playing(page, past_s=43)
        left_s, began_s = browsers.frames(page)["position_s"], time.monotonic()
        page.close(run_before_unload=True)
    at_most_s = left_s + time.monotonic() - began_s  # it plays on until it is closed
    with system.client() as client:

        def bookmark_s() -> float:
            found = client.get("/api/v1/history").json()["bookmarks"]
            return next((float(each["position_s"]) for each in found if each["title_id"] == film.id), 0.0)

        wait_for("the bookmark", lambda: left_s - BOOKMARK_S < bookmark_s() < at_most_s + BOOKMARK_S)
        kept_s = bookmark_s()
    with browsers.page_in(browser) as page:
        play(page, system, film)
        assert abs(page.evaluate("() => window.__nearcast.session.resume_s") - kept_s) <= BOOKMARK_S
        assert abs(browsers.played_from_s(page) - kept_s) <= BOOKMARK_S


def test_the_page_works_at_phone_width(browser: Browser, system: System, film: Film) -> None:
    with browsers.page_in(browser, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2) as page:
        browsers.sign_in(page, system.link())
        page.get_by_test_id("row").first.wait_for()
        assert not sideways(page)
        browsers.open_title(page, film.id)
        assert not sideways(page)
        page.goto(f"{system.url}/#/search")
        page.get_by_test_id("search-input").wait_for()
        assert not sideways(page)
        page.goto(f"{system.url}/#/title/{film.id}")
        browsers.press_play(page)
        browsers.wait_playing(page)
        assert not sideways(page)


def sideways(page: Page) -> bool:
    """Whether the page can be scrolled sideways."""
    return bool(page.evaluate("() => document.scrollingElement.scrollWidth > window.innerWidth + 1"))


def test_search_finds_it(page: Page, system: System, film: Film) -> None:
    browsers.sign_in(page, system.link())
    page.goto(f"{system.url}/#/search")
    page.get_by_test_id("search-input").fill("regata")
    page.locator(f'[data-testid="grid"] [data-title-id="{film.id}"]').wait_for()


def test_a_used_link_explains_itself(page: Page, system: System) -> None:
    link = system.link()
    browsers.sign_in(page, link)
    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    page.get_by_test_id("link-problem").wait_for()
    assert page.get_by_test_id("error-code").inner_text().startswith("NC4")


def test_a_password_signs_in_and_a_wrong_one_says_so(page: Page, system: System) -> None:
    with system.client() as client:
        client.post("/api/v1/accounts", json={"email": "page@example.org", "password": "a long enough sentence"}).raise_for_status()
    page.goto(system.url)
    page.get_by_test_id("signin-email").fill("page@example.org")
    page.get_by_test_id("signin-password").fill("something else")
    page.get_by_test_id("signin-submit").click()
    assert "NC4" in page.get_by_test_id("signin-error").inner_text()
    page.get_by_test_id("signin-password").fill("a long enough sentence")
    page.get_by_test_id("signin-submit").click()
    page.get_by_test_id("viewer-menu").wait_for()
    assert page.get_by_test_id("nav-admin").count() == 0, "a viewer sees no console"
