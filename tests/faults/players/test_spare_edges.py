"""Every edge that a play began with is killed at once, and the control plane is frozen: the film goes on at a fourth, which the player was
told of meanwhile. Ours by the edges of the steering document, hls.js by its pathway clones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from tests.e2e import browsers, faults, foreign
from tests.e2e.harness import System, wait_for
from tests.e2e.library import Film
from tests.faults.players.viewers import BEYOND_S, BUFFER_S, GIVEN, Viewer, healthy, killed, watch


def goes_on(system: System, viewer: Viewer, given: Sequence[str]) -> None:
    """With all that were ``given`` and the control plane gone at once."""
    assert len(given) == GIVEN
    viewer.settle()
    with ExitStack() as befallen:
        befallen.enter_context(faults.frozen([system.identity("play").pid]))
        for name in given:
            befallen.enter_context(killed(system, name))
        watch([viewer], BEYOND_S)
        # Between two kills one that was started anew may have served a piece.
        wait_for("the fourth to serve", lambda: viewer.edge() in set(system.edge_ports) - set(given))


def test_ours_goes_on_in_the_same_session(browser: Browser, system: System, film: Film) -> None:
    healthy(system)
    plays: list[Request] = []
    with browsers.page_in(browser) as page:
        page.on("request", lambda request: plays.append(request) if request.url.endswith("/api/v1/play") else None)
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        page.evaluate("goal => window.__nearcast.player.configure({streaming: {bufferingGoal: goal}})", BUFFER_S)
        wait_for("more edges to be named", lambda: page.evaluate("() => window.__nearcast.network.count") > GIVEN)
        given = page.evaluate("() => window.__nearcast.session.edges.map(each => each.appliance)")
        goes_on(system, Viewer(page, lambda: browsers.edge_in_use(page)), given)
        assert len(plays) == 1


def without(playlist: str, spare: set[str]) -> str:
    """The playlist as if it did not have these pathways."""
    lines = playlist.splitlines()
    ours = re.compile("|".join(rf'PATHWAY-ID="{name}"|GROUP-ID="[^"]*-{name}"' for name in spare))
    left = [each for number, each in enumerate(lines) if not ours.search(each) and not (number and _variant(lines[number - 1], ours))]
    return "\n".join(left) + "\n"


def _variant(line: str, ours: re.Pattern[str]) -> bool:
    return line.startswith("#EXT-X-STREAM-INF") and bool(ours.search(line))


@pytest.mark.skipif(not foreign.HLS_JS.is_file(), reason="the web app's packages are not here")
def test_hls_js_goes_on_at_a_clone(browser: Browser, system: System, film: Film) -> None:
    """Its playlist lacks the fourth edge, as that of a larger system lacks most."""
    healthy(system)
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "other"}}).raise_for_status().json()
        given = [each["appliance"] for each in session["edges"]]
        spare = set(system.edge_ports) - set(given)

        def cloned() -> bool:
            answer = client.get(session["steering_url"], params={"_HLS_pathway": given[0]})
            return answer.status_code == 200 and {each["ID"] for each in answer.json().get("PATHWAY-CLONES", ())} == spare

        wait_for("the fourth to be fit again", cloned)

    def answered(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=without(answer.text(), spare))

    with browsers.page_in(browser, bypass_csp=True) as page:
        page.route("**/manifest.m3u8", answered)
        configuration = {**foreign.recommended("hls.js"), "maxBufferLength": BUFFER_S, "maxMaxBufferLength": BUFFER_S}
        foreign.play_hls_js(page, system, session["hls_url"], configuration)
        browsers.wait_playing(page)
        wait_for("the clone to be taken in", lambda: _pathways(page) >= spare)
        goes_on(system, Viewer(page, lambda: foreign.edge_in_use(page, system)), given)


def _pathways(page: Page) -> set[str]:
    return set(page.evaluate("() => window.__hls.pathways"))


@pytest.mark.skipif(not foreign.HLS_JS.is_file(), reason="the web app's packages are not here")
def test_hls_js_leaves_a_frozen_edge_without_a_stall(browser: Browser, system: System, film: Film) -> None:
    healthy(system)
    with browsers.page_in(browser, bypass_csp=True) as page:
        configuration = {**foreign.recommended("hls.js"), "maxBufferLength": BUFFER_S, "maxMaxBufferLength": BUFFER_S}
        foreign.play_hls_js(page, system, foreign.hls_url(system, film), configuration)
        browsers.wait_playing(page)
        viewer = Viewer(page, lambda: foreign.edge_in_use(page, system))
        viewer.settle()
        used = wait_for("an edge in use", viewer.edge)
        with faults.frozen(system.edge_pids(used)):
            watch([viewer], BEYOND_S)
            assert viewer.edge() != used


@pytest.mark.skipif(not foreign.SHAKA.is_file(), reason="the web app's packages are not here")
def test_shaka_player_goes_on_at_what_its_manifest_names_beside(browser: Browser, system: System, film: Film) -> None:
    healthy(system)
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "other"}}).raise_for_status().json()
    configuration = foreign.recommended()
    configuration["streaming"]["bufferingGoal"] = BUFFER_S
    with browsers.page_in(browser, bypass_csp=True) as page:
        foreign.play(page, system, session["dash_url"], configuration)
        browsers.wait_playing(page)
        goes_on(system, Viewer(page, lambda: foreign.edge_in_use(page, system)), [each["appliance"] for each in session["edges"]])
