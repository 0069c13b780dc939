"""What players do by themselves when an edge is killed, freezes, is cut off, or drains: ours by DASH, and another by HLS, set up as
docs/operating/players.md says. Their buffers are made small here, so that neither can play on from its buffer alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
from playwright.sync_api import Browser, Route

from nearcast.model.quality import ApplianceQuality
from nearcast.model.services import Nothing, Quality
from nearcast.system.serve import open_system
from tests.e2e import browsers, faults, foreign
from tests.e2e.harness import System, wait_for
from tests.e2e.library import Film
from tests.faults.players.viewers import BEYOND_S, BUFFER_S, GIVEN, Viewer, healthy, killed, watch

Fault = Callable[[System, str], AbstractContextManager[None]]


@pytest.fixture
def viewers(browser: Browser, system: System, film: Film) -> Iterator[list[Viewer]]:
    """One with our player, one with another that plays HLS."""
    healthy(system)
    with browsers.page_in(browser) as ours, browsers.page_in(browser, bypass_csp=True) as other:
        configuration = foreign.recommended()
        configuration["streaming"]["bufferingGoal"] = BUFFER_S
        foreign.play(other, system, foreign.hls_url(system, film), configuration)
        browsers.sign_in(ours, system.viewer_link())
        browsers.open_title(ours, film.id)
        browsers.press_play(ours)
        browsers.wait_playing(ours)
        ours.evaluate("goal => window.__nearcast.player.configure({streaming: {bufferingGoal: goal}})", BUFFER_S)
        found = [Viewer(ours, lambda: browsers.edge_in_use(ours)), Viewer(other, lambda: foreign.edge_in_use(other, system))]
        for each in found:
            each.settle()
        yield found


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


def believed(system: System) -> dict[str, ApplianceQuality]:
    """What insight believes of the appliances. In a thread of its own: the browser's driver holds the loop of this one."""

    async def ask() -> dict[str, ApplianceQuality]:
        here = open_system(system.home)
        try:
            return {each.appliance: each for each in (await here.client(Quality).quality(Nothing())).appliances}
        finally:
            await here.channels.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(ask())).result()


@pytest.mark.parametrize("fault", [killed, frozen, cut_off], ids=["killed", "frozen", "cut-off"])
def test_films_go_on_without_a_stall(viewers: list[Viewer], system: System, fault: Fault) -> None:
    used = {wait_for("an edge in use", each.edge) for each in viewers}
    assert len(used) < GIVEN
    with ExitStack() as befallen:
        for name in sorted(used):
            befallen.enter_context(fault(system, name))
        watch(viewers, BEYOND_S)
        # Between two kills one that was started anew may have served a piece.
        wait_for("other edges to serve them", lambda: not used & {each.edge() for each in viewers})


def test_running_films_leave_an_edge_that_drains_and_bear_a_steering_that_is_dead(viewers: list[Viewer], system: System) -> None:
    """By the steering document alone: the edge would go on serving. Then nobody answers for documents any more."""
    used = {wait_for("an edge in use", each.edge) for each in viewers}
    for name in sorted(used):
        system.run("edge", "drain", name)
    try:
        for each in viewers:
            wait_for("a move to another edge", lambda each=each: each.edge() not in used)  # type: ignore[misc]
        with faults.frozen([system.identity("play").pid]):
            watch(viewers, BEYOND_S)
        assert not used & {each.edge() for each in viewers}
    finally:
        for name in sorted(used):
            system.run("edge", "drain", name, "--undo")
    found = wait_for("what our player measured to be borne out by the log", lambda: believed(system))
    assert set(found) & used
    assert sum(each.stalled_share for each in found.values()) == 0


@pytest.mark.parametrize("fault", [frozen, cut_off], ids=["frozen", "cut-off"])
def test_a_play_whose_first_edge_has_just_died_begins_at_the_next(browser: Browser, system: System, film: Film, fault: Fault) -> None:
    """It dies when it has just been named, so that nobody can know yet."""
    healthy(system)
    named: list[str] = []
    with browsers.page_in(browser) as page, ExitStack() as befallen:

        def answered(route: Route) -> None:
            answer = route.fetch()
            named.append(answer.json()["edges"][0]["appliance"])
            befallen.enter_context(fault(system, named[0]))
            route.fulfill(response=answer)

        page.route("**/api/v1/play", answered, times=1)
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        first = named[0]
        assert browsers.edge_in_use(page) != first
        assert page.evaluate("() => window.__nearcast.stalls") == 0
        befallen.close()
        if fault is frozen:  # its log has the request that nobody waited for, and bears the player out
            wait_for("the failure to be believed", lambda: (told := believed(system).get(first)) and told.failed_share > 0)


def test_so_does_another_player(browser: Browser, system: System, film: Film) -> None:
    """The edge freezes when the playlist has just named it."""
    healthy(system)
    named = []
    with browsers.page_in(browser, bypass_csp=True) as page, ExitStack() as befallen:

        def answered(route: Route) -> None:
            answer = route.fetch()
            named.extend(re.findall(r'#EXT-X-CONTENT-STEERING:.*PATHWAY-ID="([^"]+)"', answer.text()))
            befallen.enter_context(frozen(system, named[0]))
            route.fulfill(response=answer)

        page.route("**/manifest.m3u8", answered, times=1)
        foreign.play(page, system, foreign.hls_url(system, film), foreign.recommended())
        browsers.wait_playing(page)
        assert foreign.edge_in_use(page, system) not in ("", named[0])
