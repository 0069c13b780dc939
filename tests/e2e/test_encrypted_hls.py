"""The HLS of an encrypted title in Shaka Player: HLS names no Clear Key server, so the application fetches the keys and hands them over."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Browser

from tests.e2e import browsers, foreign
from tests.e2e.harness import System
from tests.e2e.library import Film


def licence(system: System, film: Film, device: str) -> tuple[str, dict[str, str]]:
    """Where the title's HLS is, and its keys by key id, both in hex, as the licence server gives them to this session."""
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": device}}).raise_for_status().json()
        found = sorted(set(re.findall(r'default_KID="([0-9a-f-]+)"', session["manifest"])))
        kids = [base64.urlsafe_b64encode(bytes.fromhex(each.replace("-", ""))).rstrip(b"=").decode() for each in found]
        headers = {"x-nearcast-session": session["session_id"], "x-nearcast-device": device}
        answer = client.post("/api/v1/license", json={"kids": kids, "type": "temporary"}, headers=headers).raise_for_status().json()
    return session["hls_url"], {_hex(each["kid"]): _hex(each["k"]) for each in answer["keys"]}


def _hex(text: str) -> str:
    return base64.urlsafe_b64decode(text + "==").hex()


@pytest.mark.skipif(not foreign.SHAKA.is_file(), reason="the web app's packages are not here")
def test_it_plays_with_keys_from_the_licence_server(browser: Browser, system: System, film: Film) -> None:
    url, keys = licence(system, film, "hls")
    with browsers.page_in(browser, bypass_csp=True) as page:
        foreign.play(page, system, url, {"drm": {"clearKeys": keys}})
        browsers.wait_playing(page, past_s=1)
