"""Two edge sites below an exchange: the origin is asked once, a site is entered once, and films play with origin and exchange dead."""

from __future__ import annotations

import datetime
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nearcast.policy import capability
from tests.e2e import films
from tests.e2e.harness import PATIENCE_S, System, new_system, refused, wait_for
from tests.ports import free_ports

APPLIANCES = (("ix-1", "ix"), ("north-1", "north"), ("north-2", "north"), ("south-1", "south"))
CONFIG = """
[steering]
routes = [{{ prefix = "0.0.0.0/0", sites = ["north", "south", "ix"] }}, {{ prefix = "::/0", sites = ["south", "north", "ix"] }}]

[[steering.sites]]
name = "ix"
tier = "exchange"
zone = "middle"

[[steering.sites]]
name = "north"
zone = "up"
region = "here"
parents = ["ix"]

[[steering.sites]]
name = "south"
zone = "down"
region = "here"
timezone = "Australia/Hobart"
parents = ["ix"]

[[steering.sites]]
name = "west"
zone = "down"
region = "here"
parents = ["ix"]

[[appliances]]
id = "west-1"
site = "west"
port = {port}
admin_port = {admin_port}
disk_bytes_max = 1  # it places nothing, and fetches what it is asked for
"""


@pytest.fixture(scope="module")
def tiers() -> Iterator[System]:
    port, admin_port = free_ports(2)
    more = CONFIG.format(port=port, admin_port=admin_port).splitlines()
    with new_system(appliances=APPLIANCES, more=more) as system:
        system.edge_ports["west-1"] = port
        system.sign_in(system.up())
        yield system


@pytest.fixture(scope="module")
def title(tiers: System, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    film = films.generated(tmp_path_factory.mktemp("films") / "harbour.mp4", size="640x360")
    found = tiers.ingest(film, "Open Harbour", "--clear")
    wait_for("the fill", lambda: filled(tiers, found["id"]))
    return found


def asked(system: System, *arguments: str) -> Any:
    return json.loads(system.run(*arguments, "--json"))


def holders(system: System, title_id: str) -> dict[str, int]:
    """Bytes of the title by the appliance that has some."""
    reports = [each["report"] for each in asked(system, "edges")]
    return {each["id"]: each["holdings"][title_id] for each in reports if each["holdings"].get(title_id)}


def filled(system: System, title_id: str) -> bool:
    status = asked(system, "fill", "status")
    done = status["generation"] > 0 and not any(each["missing_bytes"] for each in status["appliances"])
    return done and len({each.partition("-")[0] for each in holders(system, title_id)}) == 3


def test_each_byte_leaves_the_origin_once_and_enters_each_site_once(tiers: System, title: dict[str, Any]) -> None:
    whole = max(holders(tiers, title["id"]).values())

    def counted() -> dict[str, dict[str, Any]] | None:
        sites: dict[str, dict[str, Any]] = {}
        for flow in asked(tiers, "offload")["flows"]:
            into = sites.setdefault(flow["site"], {"tier_bytes": 0, "origin_bytes": 0, "most_times": 0.0})
            into["most_times"] = max(into["most_times"], flow["most_times"])
            for kind in ("tier_bytes", "origin_bytes"):
                into[kind] += flow[kind]
        entered = [each["tier_bytes"] + each["origin_bytes"] for each in sites.values()]
        return sites if len(sites) == 3 and min(entered) >= whole else None

    sites = wait_for("the counts of the fill", counted)
    assert sites["ix"]["origin_bytes"] == whole
    assert (sites["north"]["origin_bytes"], sites["south"]["origin_bytes"]) == (0, 0)
    assert (sites["north"]["tier_bytes"], sites["south"]["tier_bytes"]) == (whole, whole)
    assert all(each["most_times"] == pytest.approx(1.0) for each in sites.values())


def test_what_is_placed_nowhere_near_comes_from_the_exchange(tiers: System, title: dict[str, Any]) -> None:
    """What the exchange holds does not leave the origin again for a miss, and the miss is one of content."""
    assert "west-1" not in holders(tiers, title["id"])
    before = asked(tiers, "offload")["origin_bytes"]
    key = capability.edge_key((tiers.home.secrets / "root.key").read_bytes(), "west-1")
    rendition = largest(tiers, title["id"])
    path = capability.edge_path(key, title["id"], 2_000_000_000)
    url = f"http://127.0.0.1:{tiers.edge_ports['west-1']}{path}{rendition.name}"
    assert httpx.get(url, timeout=PATIENCE_S).content == rendition.read_bytes()

    def counted() -> dict[str, Any] | None:
        sites: list[dict[str, Any]] = asked(tiers, "offload")["sites"]
        return next((each for each in sites if each["site"] == "west" and each["sent_bytes"]), None)

    west = wait_for("the miss to be counted", counted)
    assert west["missed_bytes"] == rendition.stat().st_size
    assert west["misses"] == {"content": rendition.stat().st_size}
    assert asked(tiers, "offload")["origin_bytes"] == before


def test_a_held_film_plays_with_origin_and_exchange_dead(tiers: System, title: dict[str, Any]) -> None:
    """kill -9 for both for as long as it takes, and every byte of a rendition is as it was published."""
    with tiers.client() as client:
        session = client.post("/api/v1/play", json={"title_id": title["id"], "device": {"id": "tv"}}).json()
    edges = [each for each in session["edges"] if each["site"] != "ix"]
    assert edges[0]["appliance"] in holders(tiers, title["id"])
    rendition = largest(tiers, title["id"])
    published = rendition.read_bytes()
    for _ in range(5):
        origin = tiers.process("origin").identity
        for pid in (*([origin.pid] if origin else []), *tiers.edge_pids("ix-1")):
            try_kill(pid)
        with httpx.Client(timeout=PATIENCE_S) as client:
            for each in edges:
                if each["appliance"] in holders(tiers, title["id"]):
                    assert client.get(each["base_url"] + rendition.name).content == published
    tiers.wait_ready()


def largest(system: System, title_id: str) -> Path:
    """A title's largest rendition, at the origin."""
    return max((system.home.origin / "titles" / title_id).glob("*.mp4"), key=lambda each: each.stat().st_size)


def test_a_pin_of_nothing_is_refused(tiers: System, title: dict[str, Any]) -> None:
    refused(tiers.cli("fill", "pin", "t_nothing", "--by", "2126-01-01T00:00"))
    refused(tiers.cli("fill", "pin", title["id"], "--by", "soon"), "NC0250")
    refused(tiers.cli("edge", "drain", "nobody-1"))
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    tiers.run("fill", "pin", title["id"], "--by", tomorrow.isoformat())
    assert [each["title_id"] for each in asked(tiers, "fill", "unpin", title["id"])] == []


def test_a_drained_edge_gets_nobody_new_until_it_is_let_in_again(tiers: System, title: dict[str, Any]) -> None:
    def first() -> str:
        with tiers.client() as client:
            answer = client.post("/api/v1/play", json={"title_id": title["id"], "device": {"id": "tv"}}).json()
        return str(answer["edges"][0]["appliance"])

    before = first()
    tiers.run("edge", "drain", before)
    wait_for("others to be named", lambda: first() != before)
    tiers.run("edge", "drain", before, "--undo")
    wait_for("it to be named again", lambda: first() == before)


def test_paths_go_on_when_the_key_is_rotated(tiers: System, title: dict[str, Any]) -> None:
    with tiers.client() as client:
        ask = {"title_id": title["id"], "device": {"id": "tv"}}
        edge = client.post("/api/v1/play", json=ask).json()["edges"][0]
        name = next(each.name for each in (tiers.home.origin / "titles" / title["id"]).glob("*.m3u8"))
        tiers.run("edge", "rotate-key", edge["appliance"])

        def anew() -> str | None:
            assert httpx.get(edge["base_url"] + name, timeout=PATIENCE_S).status_code == 200, "a path from before the rotation"
            given = client.post("/api/v1/play", json=ask).json()["edges"]
            fresh = next((each for each in given if each["appliance"] == edge["appliance"]), None)
            if fresh is None:  # each play is given one of the site's appliances
                return None
            assert httpx.get(fresh["base_url"] + name, timeout=PATIENCE_S).status_code == 200
            return str(fresh["base_url"]) if "/v1k1/" in fresh["base_url"] else None

        wait_for("paths under the new key", anew)
        assert httpx.get(edge["base_url"] + name, timeout=PATIENCE_S).status_code == 200
        tiers.run("edge", "rotate-key", edge["appliance"])
        wait_for("the first key to be refused", lambda: httpx.get(edge["base_url"] + name, timeout=PATIENCE_S).status_code == 403)


def try_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
