"""Players that are not ours: Shaka Player and hls.js as their makers build them, given an address, keys, and a configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.e2e.harness import System
from tests.e2e.library import Film

ROOT = Path(__file__).parents[2]
SHAKA = ROOT / "web" / "node_modules" / "shaka-player" / "dist" / "shaka-player.compiled-es2021.js"
HLS_JS = ROOT / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
PLAY_JS = """async ([url, configuration]) => {
  shaka.polyfill.installAll();
  const video = document.createElement('video');
  video.muted = true;
  document.body.replaceChildren(video);
  const player = new shaka.Player();
  await player.attach(video);
  player.configure(configuration);
  window.__served = '';
  player.getNetworkingEngine().registerResponseFilter((type, response) => {
    if (type === shaka.net.NetworkingEngine.RequestType.SEGMENT) window.__served = new URL(response.uri).port;
  });
  try {
    await player.load(url);
  } catch (error) {
    return `${error.category}.${error.code}`;
  }
  await video.play();
  return '';
}"""


PLAY_HLS_JS = """([url, configuration]) => {
  const video = document.createElement('video');
  video.muted = true;
  document.body.replaceChildren(video);
  const hls = new Hls(configuration);
  window.__served = '';
  window.__hls = hls;
  hls.on(Hls.Events.FRAG_LOADED, (_, {frag}) => { window.__served = new URL(frag.url).port; });
  hls.loadSource(url);
  hls.attachMedia(video);
  return video.play();
}"""


def recommended(player: str = "Shaka Player") -> dict[str, Any]:
    """What the documentation tells others to set."""
    text = (ROOT / "docs" / "operating" / "players.md").read_text()
    found: dict[str, Any] = json.loads(re.findall(rf"^{player}:\n\n```json\n(.*?)```", text, re.DOTALL | re.MULTILINE)[0])
    return found


def play_hls_js(page: Page, system: System, url: str, configuration: dict[str, Any]) -> None:
    """The same as ``play``, by hls.js."""
    page.goto(system.url)
    page.add_script_tag(path=HLS_JS)
    page.evaluate(PLAY_HLS_JS, [url, configuration])


def play(page: Page, system: System, url: str, configuration: dict[str, Any]) -> None:
    """In a page whose context bypasses the content security policy. Fails where the player cannot load it."""
    page.goto(system.url)
    page.add_script_tag(path=SHAKA)
    assert page.evaluate(PLAY_JS, [url, configuration]) == ""


def hls_url(system: System, film: Film, device: str = "foreign") -> str:
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": device}}).raise_for_status().json()
    return str(session["hls_url"])


def edge_in_use(page: Page, system: System) -> str:
    """The appliance that sent the last segment."""
    port = page.evaluate("() => window.__served")
    return next((name for name, each in system.edge_ports.items() if str(each) == port), "")
