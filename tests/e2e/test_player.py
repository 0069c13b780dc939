"""The player's controls: quality label, details, subtitles, audio, thumbnails, keyboard; and what it says when a film does not play."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import browsers, faults, films
from tests.e2e.harness import System, account, wait_for
from tests.e2e.library import Film

PASSWORD = "a long enough sentence"


@pytest.fixture(scope="module")
def playing(browser: Browser, system: System, film: Film) -> Iterator[Page]:
    """One page that plays the film, for all tests of controls."""
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        yield page


def stir(page: Page) -> None:
    """Controls go away when nothing moves."""
    page.mouse.move(400, 300)
    page.mouse.move(420, 320)


def test_the_quality_label_says_what_is_shown(playing: Page) -> None:
    stir(playing)
    label = playing.get_by_test_id("player-quality")

    def shown() -> bool:
        height = playing.evaluate("() => document.querySelector('video').videoHeight")
        return bool(label.inner_text() == f"{height}p")

    wait_for("the label to say so", shown)


def test_a_quality_can_be_chosen(playing: Page) -> None:
    for wanted in (240, 360):
        stir(playing)
        playing.get_by_test_id("quality-button").click()
        playing.get_by_test_id(f"quality-option-{wanted}p").click()
        playing.wait_for_function("wanted => document.querySelector('video').videoHeight === wanted", arg=wanted)
        expect(playing.get_by_test_id("player-quality")).to_have_text(f"{wanted}p")


def test_details_show_the_rendition_and_the_edge(playing: Page) -> None:
    playing.keyboard.press("s")
    stats = playing.get_by_test_id("player-stats")
    stats.wait_for()
    width, height = playing.evaluate("() => { const v = document.querySelector('video'); return [v.videoWidth, v.videoHeight]; }")
    expect(playing.get_by_test_id("stat-rendition")).to_contain_text(f"{width} × {height}")
    edge = playing.get_by_test_id("stat-edge")
    wait_for("the edge in use to be shown", lambda: (used := browsers.edge_in_use(playing)) and used in edge.inner_text())
    expect(playing.get_by_test_id("stat-vmaf")).to_have_text(re.compile(r"^\d{1,3}\.\d$"))
    playing.keyboard.press("s")
    stats.wait_for(state="detached")


def test_subtitles_can_be_chosen_and_are_shown(playing: Page) -> None:
    line = films.SUBTITLES.splitlines()[3]
    assert not playing.get_by_text(line).count()
    playing.evaluate("() => { document.querySelector('video').currentTime = 2; }")
    stir(playing)
    playing.get_by_test_id("captions-button").click()
    playing.get_by_test_id("caption-option-en").click()
    playing.get_by_text(line).first.wait_for()
    stir(playing)
    playing.get_by_test_id("captions-button").click()
    playing.get_by_test_id("caption-option-off").click()
    playing.get_by_text(line).first.wait_for(state="hidden")


def test_a_second_audio_track_can_be_chosen(playing: Page) -> None:
    language = "() => window.__nearcast.player.getAudioTracks().find(track => track.active).language"
    assert playing.evaluate(language) != "fr"
    stir(playing)
    playing.get_by_test_id("audio-button").click()
    playing.get_by_test_id("audio-option-fr").click()
    wait_for("French to be active", lambda: playing.evaluate(language) == "fr")
    before_s = browsers.frames(playing)["position_s"]
    wait_for("it to play on", lambda: browsers.frames(playing)["position_s"] > before_s + 0.5)


def test_the_seek_bar_shows_pictures_of_the_place(playing: Page) -> None:
    stir(playing)
    bar = playing.get_by_test_id("seek-bar")
    box = bar.bounding_box()
    assert box
    positions = []
    for share in (0.2, 0.8):
        playing.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        tile = playing.locator('[data-testid="seek-preview"] .seek-tile')
        tile.wait_for()
        style = tile.evaluate("tile => [tile.style.backgroundImage, tile.style.backgroundPosition]")
        assert "thumbnails.jpg" in style[0]
        positions.append(style[1])
    assert positions[0] != positions[1]
    size = playing.evaluate(
        "url => new Promise(done => { const i = new Image(); i.onload = () => done(i.naturalWidth); i.src = url; })", style[0].split('"')[1]
    )
    assert size > 100


def test_the_keyboard_controls_it(playing: Page) -> None:
    playing.evaluate("() => document.activeElement.blur()")
    wait_for("play", lambda: not browsers.frames(playing)["paused"])
    playing.keyboard.press("k")
    wait_for("pause", lambda: browsers.frames(playing)["paused"])
    playing.keyboard.press("Home")
    playing.wait_for_function("() => document.querySelector('video').currentTime < 0.5")
    for key, at_s in (("ArrowRight", 5), ("l", 15), ("j", 5), ("ArrowLeft", 0), ("5", 45)):
        playing.keyboard.press(key)
        wait_for(f"{key} to seek to {at_s}", lambda at_s=at_s: abs(browsers.frames(playing)["position_s"] - at_s) < 0.6)  # type: ignore[misc]
    playing.keyboard.press("m")
    assert playing.evaluate("() => document.querySelector('video').muted")
    playing.keyboard.press("m")
    playing.keyboard.press("ArrowDown")
    assert playing.evaluate("() => document.querySelector('video').volume") < 1
    playing.keyboard.press(" ")
    wait_for("play", lambda: not browsers.frames(playing)["paused"])
    playing.keyboard.press("Escape")
    playing.get_by_test_id("title-page").wait_for()


def test_a_lapsed_subscription_is_explained(browser: Browser, system: System, film: Film) -> None:
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    with system.client() as client:
        made = account(client, email, PASSWORD)
        client.patch(f"/api/v1/accounts/{made['id']}", json={"subscription": "lapsed"}).raise_for_status()
        link = client.post("/api/v1/links", json={"email": email}).raise_for_status().json()["url"]
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, link)
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        panel = page.get_by_test_id("subscription-lapsed")
        panel.wait_for()
        assert page.get_by_test_id("error-code").inner_text().startswith("NC4")
        assert page.get_by_test_id("request-id").inner_text()
        assert "lapsed" in panel.inner_text().lower()


def test_a_failure_shows_its_code_its_cause_and_the_request(browser: Browser, system: System, film: Film) -> None:
    """The process that answers a click is frozen: the page says what failed, and plays once it is back."""
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.link())
        browsers.open_title(page, film.id)
        with faults.frozen([system.identity("play").pid]):
            browsers.press_play(page)
            page.get_by_test_id("player-error").wait_for()
            assert page.get_by_test_id("error-code").inner_text().startswith("NC")
            assert page.get_by_test_id("error-message").inner_text()
            assert page.get_by_test_id("error-hint").inner_text()
            assert page.get_by_test_id("request-id").inner_text()
        page.get_by_test_id("try-again").click()
        browsers.wait_playing(page)


# The browser hands out no media source until the page allows it again.
NO_MEDIA_SOURCE = """
  const make = URL.createObjectURL;
  window.allowed = false;
  URL.createObjectURL = (source) => { if (!window.allowed) throw new Error("no media source"); return make.call(URL, source); };
"""


def test_a_player_that_could_not_be_made_is_made_anew(browser: Browser, system: System, film: Film) -> None:
    """One failure while the player is made ready must not spoil every later play of the visit."""
    with browsers.page_in(browser) as page:
        page.add_init_script(NO_MEDIA_SOURCE)
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        page.get_by_test_id("player-error").wait_for()
        page.evaluate("() => { window.allowed = true; }")
        page.get_by_test_id("try-again").click()
        browsers.wait_playing(page)


def told_why(page: Page) -> None:
    """The panel of a failure is there, with all that a viewer needs: no edge answered."""
    page.get_by_test_id("player-error").wait_for()
    expect(page.get_by_test_id("error-code")).to_have_text("NC5001")
    assert page.get_by_test_id("error-message").inner_text()
    assert page.get_by_test_id("error-hint").inner_text()
    assert page.get_by_test_id("request-id").inner_text()


def all_edges(system: System) -> list[int]:
    return [pid for name in system.edge_ports for pid in system.edge_pids(name)]


def test_edges_that_never_answer_are_told_of_and_tried_again(browser: Browser, system: System, film: Film) -> None:
    """They take connections and send nothing: no error ever comes from them, so the player has to know when to stop waiting."""
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        with faults.frozen(all_edges(system)):
            browsers.press_play(page)
            told_why(page)
            page.get_by_test_id("try-again").click()
            page.get_by_test_id("player-error").wait_for(state="detached")
            told_why(page)
        page.get_by_test_id("try-again").click()
        browsers.wait_playing(page)
    system.wait_ready()


def test_edges_that_fall_silent_in_mid_film_are_told_of_and_it_goes_on_from_there(browser: Browser, system: System, film: Film) -> None:
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        page.evaluate("() => window.__nearcast.player.configure({streaming: {bufferingGoal: 5}})")
        page.evaluate("() => { document.querySelector('video').currentTime = 60; }")
        browsers.wait_playing(page, past_s=61)
        with faults.frozen(all_edges(system)):
            shown: list[float] = []

            def told() -> int:
                shown.append(browsers.frames(page)["position_s"])
                return page.get_by_test_id("player-error").count()

            wait_for("the failure to be told of", told)
            shown_s = max(shown)
            assert shown_s < film.duration_s - 1, "the buffer was small"
            told_why(page)
        page.get_by_test_id("try-again").click()
        browsers.wait_playing(page, past_s=shown_s - 1)
        assert abs(browsers.played_from_s(page) - shown_s) < 5
    system.wait_ready()
