"""Every control process dies, the supervisor among them: who watches, watches on to the end. Then ``nearcast up`` makes it whole again."""

from __future__ import annotations

import os
import signal

from playwright.sync_api import Browser

from tests.e2e import browsers, faults
from tests.e2e.harness import CONTROL, PATIENCE_S, System, link_token, login
from tests.e2e.library import Film

FROM_S = 60.0


def test_the_film_plays_to_its_end_from_edges_alone(browser: Browser, system: System, film: Film) -> None:
    with browsers.page_in(browser) as page:
        record = browsers.recorded(page)
        browsers.sign_in(page, system.viewer_link())
        browsers.open_title(page, film.id)
        browsers.press_play(page)
        browsers.wait_playing(page)
        page.evaluate("() => window.__nearcast.player.configure({streaming: {bufferingGoal: 8}})")
        page.evaluate(f"() => {{ document.querySelector('video').currentTime = {FROM_S}; }}")
        browsers.wait_playing(page, past_s=FROM_S + 1)
        browsers.watch_for_stalls(page)
        supervisor = system.status.supervisor.pid
        pids = [supervisor, *(system.identity(name).pid for name in CONTROL)]
        faults.killed(pids)
        fetched = sum(record.bytes_by_port().values())
        page.wait_for_function("() => document.querySelector('video').ended", timeout=2 * PATIENCE_S * 1000)
        stalls, longest_s = browsers.stalls(page)
        assert not stalls
        assert longest_s < 1
        assert sum(record.bytes_by_port().values()) > fetched, "edges went on serving"
        assert abs(browsers.frames(page)["position_s"] - film.duration_s) < 0.5
    assert not [pid for pid in pids if alive(pid)], "nothing came back by itself"
    link = system.up()
    system.wait_ready()
    assert login(system.url, link_token(link))
    assert {each.name for each in system.status.processes} >= set(CONTROL)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True
