"""A player that is not ours: Shaka Player as its makers build it, given nothing but an address, keys, and a configuration."""

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


def recommended() -> dict[str, Any]:
    """What the documentation tells others to set."""
    text = (ROOT / "docs" / "operating" / "players.md").read_text()
    found: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    return found


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
