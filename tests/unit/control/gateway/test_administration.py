"""The HTTP API of administrators, from the outside."""

from __future__ import annotations

import httpx
import pytest

from nearcast.base.clock import VirtualClock
from nearcast.model.services import AccountChange
from nearcast.model.site import ApplianceReport
from tests.fakes import World
from tests.unit.control.gateway.asking import problem


async def test_accounts_links_and_edges(admin: httpx.AsyncClient, world: World) -> None:
    made = await admin.post("/api/v1/accounts", json={"email": "new@example.org", "role": "viewer"})
    assert made.status_code == 201
    account_id = made.json()["id"]
    assert (await admin.patch(f"/api/v1/accounts/{account_id}", json={"subscription": "lapsed"})).json()["subscription"] == "lapsed"
    assert len((await admin.get("/api/v1/accounts")).json()["accounts"]) == 3
    problem(await admin.post("/api/v1/accounts", json={"email": "new@example.org"}), 409, "NC0005")
    link = await admin.post("/api/v1/links", json={"email": "viewer@example.org"})
    assert link.status_code == 201
    assert link.json()["url"] == "http://films.example.org/#/link/link-1"
    report = ApplianceReport(id="fra-1", site="frankfurt", address="http://x", health_url="http://x/h", state="up", holdings={"t_film": 5})
    await world.discovery.report(report)
    assert (await admin.get("/api/v1/edges")).json()["appliances"][0]["report"]["holdings"] == {"t_film": 5}


async def test_ingest(admin: httpx.AsyncClient) -> None:
    body = {"file_name": "ein Film 🎬.mp4", "size_bytes": 12345, "metadata": {"name": "Ein Film"}}
    answer = await admin.post("/api/v1/ingest", json=body)
    assert answer.status_code == 201
    job_id = answer.json()["job"]["id"]
    assert answer.json()["upload_url"].startswith("http://127.0.0.1:8090/")
    assert [each["id"] for each in (await admin.get("/api/v1/ingest")).json()["jobs"]] == [job_id]
    assert (await admin.get(f"/api/v1/ingest/{job_id}")).json()["name"] == "Ein Film"
    assert len((await admin.get(f"/api/v1/ingest/{job_id}/events?after=0&wait_s=1.5")).json()["events"]) == 1
    assert (await admin.get(f"/api/v1/ingest/{job_id}/events?after=1")).json()["events"] == []
    assert (await admin.delete(f"/api/v1/ingest/{job_id}")).json()["state"] == "cancelled"
    assert (await admin.post("/api/v1/ingest", json={**body, "metadata": {}, "title_id": "t_one"})).status_code == 201
    for name in ("../x.mp4", "a/b", "a\\b", "", "a\x00b"):
        problem(await admin.post("/api/v1/ingest", json={**body, "file_name": name}), 400, "NC4702")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/accounts"), ("POST", "/api/v1/links"), ("GET", "/api/v1/edges"), ("GET", "/api/v1/ingest")]
)
async def test_viewers_are_no_admins(viewer: httpx.AsyncClient, method: str, path: str) -> None:
    problem(await viewer.request(method, path, json={}), 403, "NC4708")


async def test_an_admin_no_more_is_kept_out_within_seconds(admin: httpx.AsyncClient, world: World, clock: VirtualClock) -> None:
    assert (await admin.get("/api/v1/edges")).status_code == 200
    await world.accounts.change(AccountChange(account_id="a_admin", role="viewer"))
    await clock.advance(4)
    problem(await admin.get("/api/v1/edges"), 403, "NC4708")
    await world.accounts.change(AccountChange(account_id="a_admin", revoke_tokens=True))
    await clock.advance(4)
    problem(await admin.get("/api/v1/edges"), 401, "NC0004")


async def test_accounts_being_down_keeps_admins_out_and_lets_viewers_watch(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, world: World
) -> None:
    world.accounts.down = True
    assert problem(await admin.get("/api/v1/edges"), 503, "NC0006")["hint"]
    assert (await viewer.get("/api/v1/home")).status_code == 200
