"""How soon a film plays: a real click on Play in a fresh browser context, and the play API alone on one connection."""

from __future__ import annotations

import sys
import time
from itertools import islice

import httpx
from playwright.sync_api import Browser
from tests.e2e import browsers, faults
from tests.e2e.harness import System

from bench.report import Figure
from bench.start import settled

CLICKS = 20
DEAD_CLICKS = 6
CALLS = 500
WARM_CALLS = 20


def chromium() -> str:
    path = browsers.executable()
    if path is None:
        sys.exit("there is no Chromium here; set NEARCAST_CHROMIUM")
    return path


def click_to_frame(system: System) -> list[Figure]:
    """Milliseconds from the click on a title page's Play to the first frame presented (requestVideoFrameCallback)."""
    title = settled(system)
    samples = []
    with browsers.launched(chromium()) as browser:
        for number in range(CLICKS + 1):
            with browsers.page_in(browser) as page:
                browsers.sign_in(page, system.link())
                browsers.open_title(page, title["id"])
                page.wait_for_load_state("networkidle")
                browsers.press_play(page)
                page.wait_for_function("() => window.__nearcast && window.__nearcast.clickToFrame_ms > 0", timeout=20_000)
                if number:  # the first one warms the browser's own caches of code
                    samples.append(float(page.evaluate("() => window.__nearcast.clickToFrame_ms")))
    measured = tuple(samples)
    return [
        Figure(name="click → first frame, p50", unit="ms", samples=measured, reach=200),
        Figure(name="click → first frame, p95", unit="ms", samples=measured, reach=350, quantile=0.95),
    ]


def dead_first_edge(system: System) -> list[Figure]:
    """The same where the first edge of the answer has just frozen, of which nobody knows yet: it takes the connection and sends nothing."""
    title = settled(system)
    with browsers.launched(chromium()) as browser:
        tries = (_frozen_click_ms(browser, system, title["id"]) for _ in range(3 * DEAD_CLICKS))
        samples = tuple(islice((each for each in tries if each is not None), 1, DEAD_CLICKS + 1))
    return [Figure(name="click → first frame, first edge just frozen", unit="ms", samples=samples, reach=1000)]


def _frozen_click_ms(browser: Browser, system: System, title_id: str) -> float | None:
    """None: another edge was named first meanwhile, for the one that was frozen the time before is well again."""
    system.wait_ready()
    with system.client() as client:
        first = client.post("/api/v1/play", json={"title_id": title_id, "device": {"id": "bench"}}).json()["edges"][0]["appliance"]
    pids = system.edge_pids(first)
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.link())
        browsers.open_title(page, title_id)
        page.wait_for_load_state("networkidle")
        with faults.frozen(pids):
            browsers.press_play(page)
            page.wait_for_function("() => window.__nearcast && window.__nearcast.clickToFrame_ms > 0", timeout=20_000)
            named = page.evaluate("() => window.__nearcast.session.edges[0].appliance")
        found = float(page.evaluate("() => window.__nearcast.clickToFrame_ms"))
    return found if named == first else None


def play_api(system: System) -> list[Figure]:
    """Milliseconds of ``POST /api/v1/play``, one after the other on one keep-alive connection."""
    title = settled(system)
    question = {"title_id": title["id"], "device": {"id": "bench"}}
    samples = []
    with system.client() as client:
        for number in range(CALLS + WARM_CALLS):
            began_s = time.perf_counter()
            answer = client.post("/api/v1/play", json=question)
            taken_ms = (time.perf_counter() - began_s) * 1000
            answer.raise_for_status()
            if number >= WARM_CALLS:
                samples.append(taken_ms)
        floor = [_empty_call_ms(client) for _ in range(CALLS)]
    measured = tuple(samples)
    note = f"empty answer of the same gateway: {sorted(floor)[len(floor) // 2]:.2f} ms"
    return [
        Figure(name="play API, p50", unit="ms", samples=measured, reach=10, note=note),
        Figure(name="play API, p99", unit="ms", samples=measured, reach=25, quantile=0.99, note=note),
    ]


def _empty_call_ms(client: httpx.Client) -> float:
    began_s = time.perf_counter()
    client.get("/healthz")
    return (time.perf_counter() - began_s) * 1000
