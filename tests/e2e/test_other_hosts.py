"""Two homes as two hosts, at addresses of their own: an edge joins from the other one, is filled from the origin, and serves viewers."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nearcast.base.paths import Home
from tests.e2e import films
from tests.e2e.harness import BIN, PATIENCE_S, System, new_system, refused, wait_for
from tests.ports import free_ports

MAIN, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def main_host() -> Iterator[System]:
    """A system that edges of other hosts may join; its own edges stand in two of the four sites."""
    with new_system() as made:
        join_port, edges_port = free_ports(2)
        lines = f'[network]\ninternal_host = "{MAIN}"\njoin_port = {join_port}\nedges_port = {edges_port}\n'
        text = made.home.config.read_text().replace("[network]\n", lines)
        head, *appliances = text.split("[[appliances]]")
        kept = [each for each in appliances if '"fra-1"' in each or '"bom-1"' in each]
        made.home.config.write_text("[[appliances]]".join([head, *kept]))
        made.up()
        yield made


@pytest.fixture
def other_host() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="nc-"))
    yield Home(root)
    shutil.rmtree(root)


def nearcast(host: System, home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**host.environment, "NEARCAST_HOME": str(home.root)}
    return subprocess.run([str(BIN / "nearcast"), *arguments], env=environment, capture_output=True, text=True, timeout=240, cwd=home.root)


def edges(host: System) -> dict[str, dict[str, object]]:
    found = json.loads(host.cli("status", "--json").stdout)["edges"]
    return {each["report"]["id"]: each["report"] for each in found}


def test_an_edge_joins_is_filled_and_is_offered(main_host: System, other_host: Home, tmp_path: Path) -> None:
    token = main_host.run("edge", "invite", "dal-9", "--site", "dallas").strip()
    port = free_ports(1)[0]
    joined = nearcast(main_host, other_host, "edge", "join", token, "--port", str(port), "--listen", OTHER)
    assert joined.returncode == 0, joined.stderr
    assert joined.stdout == "dal-9\n"
    third = Home(tmp_path / "third")
    third.root.mkdir()
    refused(nearcast(main_host, third, "edge", "join", token), "used already")
    refused(nearcast(main_host, third, "edge", "join", token[:-3] + "AAA"), "token")
    refused(nearcast(main_host, other_host, "up"), "edge that joined")

    title = main_host.ingest(films.generated(tmp_path / "harbour.mp4"), "Harbour")
    environment = {**main_host.environment, "NEARCAST_HOME": str(other_host.root)}
    with subprocess.Popen([str(BIN / "nearcast"), "edge"], env=environment, stderr=subprocess.DEVNULL, cwd=other_host.root) as edge:
        try:
            address = f"http://{OTHER}:{port}"

            def whole() -> bool:
                report = edges(main_host).get("dal-9")
                return bool(report and report["state"] == "up" and report["held_bytes"] and not report["missing_bytes"])

            wait_for("the joined edge to hold the film", whole)
            assert "edge-dal-9" in main_host.cli("status").stdout, "its process is listed as one that runs elsewhere"
            with main_host.client() as client:
                offered = wait_for("steering to offer it", lambda: _offer(client, title["id"], address))
            files = [path for path in (main_host.home.origin / "titles" / title["id"]).iterdir() if path.suffix == ".mp4"]
            for path in files:
                assert httpx.get(f"{offered}{path.name}", timeout=PATIENCE_S).content == path.read_bytes()
                (other_host.edges / "dal-9" / "placed" / title["id"] / path.name).unlink()
                assert httpx.get(f"{offered}{path.name}", timeout=PATIENCE_S).content == path.read_bytes(), "a miss comes from the origin"
            assert httpx.get(f"{offered.replace('/v1/', '/v1/x')}{files[0].name}", timeout=PATIENCE_S).status_code == 403
            main_host.run("edge", "dismiss", "dal-9")
            wait_for("it to be out, though it runs", lambda: "dal-9" not in edges(main_host) and edge.poll() is None)
        finally:
            edge.send_signal(signal.SIGTERM)
            assert edge.wait(PATIENCE_S) == 0
    wait_for("it to be gone", lambda: "dal-9" not in edges(main_host))


def _offer(client: httpx.Client, title_id: str, address: str) -> str:
    """The address that a viewer in America is given at the joined edge; empty while it is given others."""
    answer = client.post("/api/v1/play", json={"title_id": title_id, "device": {"id": "d"}})
    assert answer.status_code == 200, answer.text
    return next((each["base_url"] for each in answer.json()["edges"] if each["base_url"].startswith(address)), "")


def test_the_origin_answers_nobody_without_a_certificate(main_host: System) -> None:
    url = f"https://{MAIN}:{main_host.origin_port}/healthz"
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, verify=False)  # noqa: S501  (it is the other side that asks for a certificate here)
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https", "http"))
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{main_host.origin_port}/healthz")
