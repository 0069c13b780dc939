"""The HTTP API, from the outside."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import structlog

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Problem
from nearcast.control.gateway.api.playing import last_pathway, throughput_bps
from nearcast.control.gateway.application import application
from nearcast.control.gateway.errors import BadProxy
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.gateway.wire import Application
from nearcast.model.services import AccountChange
from nearcast.model.site import ApplianceReport
from tests.fakes import World
from tests.unit.control.gateway.conftest import POSTER, SPRITE, client_of

FILM = "/api/v1/titles/t_film"


def problem(answer: httpx.Response, status: int, code: str = "NC4") -> dict[str, Any]:
    """The Problem of an answer, with all that it must have."""
    found: dict[str, Any] = answer.json()
    assert answer.status_code == found["status"] == status, answer.text
    assert set(found) == set(Problem.__struct_fields__)
    assert found["code"].startswith(code)
    assert found["request_id"] == answer.headers["x-request-id"] != ""
    return found


def wanted(title_id: str = "t_film") -> dict[str, Any]:
    """What a player sends when Play is pressed."""
    return {"title_id": title_id, "device": {"id": "d_1"}}


async def play(client: httpx.AsyncClient, title_id: str = "t_film") -> dict[str, Any]:
    answer = await client.post("/api/v1/play", json=wanted(title_id))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_sign_in_by_password_and_go_on_by_cookie(anybody: httpx.AsyncClient, world: World) -> None:
    answer = await anybody.post("/api/v1/login", json={"email": "viewer@example.org", "password": "password"})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie == f"nearcast={answer.json()['token']}; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict"
    me = await anybody.get("/api/v1/me")
    assert me.json()["account"]["id"] == "a_viewer"
    assert me.json()["profile"]["id"] == "p_viewer"
    assert world.accounts.calls[0].client_address == "127.0.0.1"
    out = await anybody.post("/api/v1/logout")
    assert (out.status_code, out.content) == (204, b"")
    assert "Max-Age=0" in out.headers["set-cookie"]
    problem(await anybody.get("/api/v1/me"), 401, "NC4707")


async def test_sign_in_by_link_once(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.post("/api/v1/login", json={"link": "link"})).json()["account"]["role"] == "admin"
    problem(await anybody.post("/api/v1/login", json={"link": "link"}), 401, "NC0004")


async def test_the_cookie_is_secure_over_tls(app: Application) -> None:
    async with client_of(app, base="https://films.example.org") as client:
        answer = await client.post("/api/v1/login", json={"link": "link"})
    assert answer.headers["set-cookie"].endswith("; Secure")
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize("token", ["x", "AAAA" * 30, "é", ""])
async def test_tokens_that_are_none(app: Application, token: str) -> None:
    async with client_of(app) as client:
        problem(await client.get("/api/v1/me", headers=[(b"authorization", f"Bearer {token}".encode())]), 401)
        problem(await client.get("/api/v1/me", headers={"authorization": "Basic dTpw"}), 401)


async def test_a_token_ends_with_its_time(viewer: httpx.AsyncClient, clock: VirtualClock) -> None:
    await clock.advance(3601)
    problem(await viewer.get("/api/v1/me"), 401, "NC4002")


async def test_profiles(viewer: httpx.AsyncClient) -> None:
    made = await viewer.post("/api/v1/profiles", json={"name": "Kids", "avatar": "fox"})
    profile = made.json()["profiles"][1]
    assert profile["name"] == "Kids"
    selected = await viewer.post(f"/api/v1/profiles/{profile['id']}/select")
    assert selected.json()["profile"] == profile
    assert "nearcast=" in selected.headers["set-cookie"]
    problem(await viewer.post("/api/v1/profiles/p_none/select"), 404, "NC0002")
    assert len((await viewer.post("/api/v1/profiles", json={"profile_id": profile["id"], "remove": True})).json()["profiles"]) == 1


# --- titles -----------------------------------------------------------------------------------------------------------


async def test_titles_found_and_listed(viewer: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    async def ids(query: str, client: httpx.AsyncClient = viewer) -> list[str]:
        return [each["id"] for each in (await client.get(f"/api/v1/titles{query}")).json()["titles"]]

    assert await ids("") == ["t_film", "t_other"]
    assert await ids("?limit=1&offset=1") == ["t_other"]
    assert await ids("?q=story") == ["t_other"]
    assert await ids("?row=new") == ["t_film", "t_other"]
    assert await ids("?row=none") == []
    assert await ids("?row=new&q=film") == ["t_film"]
    assert await ids("?everything=true", admin) == ["t_film", "t_other", "t_new"]
    problem(await viewer.get("/api/v1/titles?everything=true"), 403, "NC4708")


async def test_a_title_as_its_profile_sees_it(viewer: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    session = await play(viewer)
    beat = await viewer.post(f"/api/v1/sessions/{session['session_id']}/heartbeat", json={"position_s": 21.5, "newer": 1})
    assert (beat.status_code, beat.content) == (204, b"")
    assert (await viewer.put(f"{FILM}/opinion", json={"in_my_list": True, "rating": 2})).json() == {"in_my_list": True, "rating": 2}
    assert (await viewer.put(f"{FILM}/opinion", json={})).json() == {"in_my_list": True, "rating": 2}
    found = (await viewer.get(FILM)).json()
    assert (found["position_s"], found["in_my_list"], found["rating"]) == (21.5, True, 2)
    assert [each["id"] for each in (await viewer.get("/api/v1/my-list")).json()["titles"]] == ["t_film"]
    assert (await viewer.get("/api/v1/history")).json()["bookmarks"][0]["position_s"] == 21.5
    others = (await admin.get(FILM)).json()
    assert (others["position_s"], others["in_my_list"], others["rating"]) == (None, False, 0)
    assert (await play(viewer))["resume_s"] == 21.5


async def test_titles_are_shown_when_history_is_down(viewer: httpx.AsyncClient, world: World) -> None:
    world.history.down = True
    assert (await viewer.get(FILM)).json()["position_s"] is None
    assert (await viewer.get("/api/v1/home")).json()["rows"][0]["id"] == "new"


async def test_what_is_unknown(viewer: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    for answer in (
        await viewer.get("/api/v1/titles/t_none"),
        await viewer.get("/api/v1/titles/t_none/poster.jpg"),
        await viewer.put("/api/v1/titles/t_none/opinion", json={}),
        await viewer.post("/api/v1/play", json=wanted("t_none")),
        await admin.get("/api/v1/ingest/j_none"),
        await admin.patch("/api/v1/accounts/a_none", json={}),
        await admin.delete("/api/v1/titles/t_none"),
        await viewer.get("/api/v1/none"),
        await viewer.get("/api/v1/titles/.."),
    ):
        problem(answer, 404, "NC")


async def test_metadata_and_withdrawal(admin: httpx.AsyncClient, viewer: httpx.AsyncClient) -> None:
    changed = (await admin.patch(FILM, json={"synopsis": "Once.", "year": 1999})).json()["metadata"]
    assert changed == {"name": "A Film", "synopsis": "Once.", "year": 1999, "genres": ["Drama"], "credit": ""}
    assert (await admin.patch(FILM, json={"year": None})).json()["metadata"]["year"] is None
    assert (await admin.delete(FILM)).status_code == 204
    problem(await viewer.post("/api/v1/play", json=wanted()), 404, "NC4801")
    problem(await viewer.get(f"{FILM}/poster.jpg"), 404, "NC4713")
    problem(await viewer.get(f"{FILM}/thumbnails.jpg"), 404, "NC4713")
    problem(await viewer.patch(FILM, json={"name": "Mine"}), 403, "NC4708")


async def test_pictures(viewer: httpx.AsyncClient, world: World) -> None:
    poster = await viewer.get(f"{FILM}/poster.jpg")
    assert (poster.status_code, poster.headers["content-type"], poster.content) == (200, "image/jpeg", POSTER)
    again = await viewer.get(f"{FILM}/poster.jpg", headers={"if-none-match": poster.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    geometry = (await viewer.get(f"{FILM}/thumbnails.json")).json()
    assert (geometry["columns"], geometry["rows"], geometry["count"]) == (10, 2, 12)
    assert (await viewer.get(geometry["url"])).content == SPRITE
    problem(await viewer.get("/api/v1/titles/t_other/poster.jpg"), 404, "NC4713")
    problem(await viewer.get("/api/v1/titles/t_new/poster.jpg"), 404, "NC4713")


# --- playing ----------------------------------------------------------------------------------------------------------


async def test_a_session_and_all_that_it_names(viewer: httpx.AsyncClient, app: Application) -> None:
    session = await play(viewer)
    async with client_of(app) as stranger:
        dash = await stranger.get(session["dash_url"])
        assert dash.headers["content-type"] == "application/dash+xml"
        assert [line for line in session["manifest"].splitlines() if line not in dash.text] == [], "the same, and spare edges"
        hls = await stranger.get(session["hls_url"])
        assert (hls.headers["content-type"], hls.text[:7]) == ("application/vnd.apple.mpegurl", "#EXTM3U")
        steering = await stranger.get(session["steering_url"], params={"_DASH_pathway": '"fra-1"', "_DASH_throughput": "5140000"})
        assert steering.json()["PATHWAY-PRIORITY"] == steering.json()["SERVICE-LOCATION-PRIORITY"] == ["fra-1", "dal-1", "sin-1", "bom-1"]
        assert steering.json()["X-NEARCAST-EDGES"][:3] == session["edges"]
        assert "PATHWAY-CLONES" not in steering.json()
        asked_by_hls = await stranger.get(session["steering_url"], params={"_HLS_pathway": "fra-1"})
        assert [each["ID"] for each in asked_by_hls.json()["PATHWAY-CLONES"]] == ["bom-1"]
        assert (steering.json()["TTL"], steering.json()["RELOAD-URI"]) == (60, session["steering_url"])
        for answer in (dash, hls, steering):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-control"] == "no-store"
        ahead = await stranger.options(session["dash_url"])
        assert (ahead.status_code, ahead.headers["access-control-allow-methods"]) == (204, "GET, HEAD, OPTIONS")
        problem(await stranger.get(session["dash_url"].replace("/manifest", "A/manifest")), 401, "NC4001")
        problem(await stranger.post(f"/api/v1/sessions/{session['session_id']}/heartbeat", json={"position_s": 1}), 401, "NC4707")


async def test_a_licence(viewer: httpx.AsyncClient) -> None:
    session = await play(viewer)
    headers = {"x-nearcast-session": session["session_id"], "x-nearcast-device": "d_1"}
    wanted = json.dumps({"kids": ["AAAAAAAAAAAAAAAAAAAAAA"], "type": "temporary"})
    answer = await viewer.post("/api/v1/license", content=wanted, headers=headers)
    assert answer.json()["keys"][0]["kid"] == "AAAAAAAAAAAAAAAAAAAAAA"
    assert answer.json()["type"] == "temporary"
    problem(await viewer.post("/api/v1/license", content=wanted, headers={**headers, "x-nearcast-device": "d_2"}), 403, "NC0003")
    missing = problem(await viewer.post("/api/v1/license", content=wanted), 400, "NC4702")
    assert "x-nearcast-session" in missing["message"]


@pytest.mark.parametrize("device", [None, {}, {"id": ""}, {"id": "two words"}, {"id": "d" * 129}, {"id": "ü"}])
async def test_a_player_has_to_name_its_device(viewer: httpx.AsyncClient, device: dict[str, str] | None) -> None:
    body = {"title_id": "t_film"} | ({} if device is None else {"device": device})
    problem(await viewer.post("/api/v1/play", json=body), 400, "NC4702")


async def test_a_licence_is_for_a_device_that_is_named(viewer: httpx.AsyncClient) -> None:
    session = await play(viewer)
    named = {"x-nearcast-session": session["session_id"]}
    for headers in (named, {**named, "x-nearcast-device": ""}):
        problem(await viewer.post("/api/v1/license", json={"kids": ["A" * 22]}, headers=headers), 400, "NC4702")


async def test_a_lapse_is_told_at_play_and_ends_no_film(viewer: httpx.AsyncClient, world: World) -> None:
    """A session is a right for the film's length: its licence is given after the subscription lapsed, too."""
    session = await play(viewer)
    await world.accounts.change(AccountChange(account_id="a_viewer", subscription="lapsed"))
    headers = {"x-nearcast-session": session["session_id"], "x-nearcast-device": "d_1"}
    answer = await viewer.post("/api/v1/license", json={"kids": ["A" * 22]}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [({"subscription": "lapsed"}, 402, "NC4710"), ({"revoke_tokens": True}, 401, "NC4711")],
)
async def test_refusals_of_play(viewer: httpx.AsyncClient, world: World, change: dict[str, Any], status: int, code: str) -> None:
    await world.accounts.change(AccountChange(account_id="a_viewer", **change))
    assert problem(await viewer.post("/api/v1/play", json=wanted()), status, code)["hint"]


async def test_a_film_that_is_still_prepared(viewer: httpx.AsyncClient) -> None:
    problem(await viewer.post("/api/v1/play", json=wanted("t_new")), 409, "NC4712")


@pytest.mark.parametrize(("text", "pathway"), [('"fra-1"', "fra-1"), ("fra-1", "fra-1"), ('"a","b"', "b"), ("", "")])
def test_what_players_say_of_their_pathway(text: str, pathway: str) -> None:
    assert last_pathway(text) == pathway


@pytest.mark.parametrize(("text", "rate"), [("5140000", 5140000), ("1,2", 2), ("", 0), ("fast", 0), ('"12"', 12)])
def test_what_players_say_of_their_throughput(text: str, rate: int) -> None:
    assert throughput_bps(text) == rate


# --- administration ---------------------------------------------------------------------------------------------------


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


# --- form -------------------------------------------------------------------------------------------------------------


async def test_services_that_are_down_are_503_with_a_time_to_try_again(viewer: httpx.AsyncClient, world: World) -> None:
    world.steering.down = True
    answer = await viewer.post("/api/v1/play", json=wanted())
    problem(answer, 503, "NC4802")
    assert answer.headers["retry-after"] == "1"


async def test_a_defect_is_told_without_its_insides(viewer: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_question: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(world.home, "rows", broken)
    with structlog.testing.capture_logs() as lines:
        found = problem(await viewer.get("/api/v1/home"), 500, "NC0010")
    assert "secret" not in json.dumps(found)
    assert any(each["event"] == "the gateway failed" for each in lines)


async def test_bodies_that_are_none(viewer: httpx.AsyncClient) -> None:
    async def post(content: bytes, content_type: str = "application/json") -> httpx.Response:
        return await viewer.post("/api/v1/play", content=content, headers={"content-type": content_type})

    for content in (b"", b"{", b"[]", b'{"title_id":7}', b'{"title_id":"a","extra":1}', b"\xff", b"null", b'{"title_id":"../x"}'):
        problem(await post(content), 400, "NC4702")
    assert "`$.device.max_height`" in problem(await post(b'{"title_id":"a","device":{"id":"d","max_height":"big"}}'), 400)["message"]
    problem(await post(b'{"title_id":"' + b"x" * (1 << 20) + b'"}'), 413, "NC4703")
    problem(await post(b'{"title_id":"t_film"}', "text/plain"), 415, "NC4704")
    problem(await post(b"title_id=t_film", "application/x-www-form-urlencoded"), 415, "NC4704")
    assert (await post(json.dumps(wanted()).encode(), "application/json; charset=utf-8")).status_code == 200


async def test_methods(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.put("/api/v1/login", json={})
    problem(answer, 405, "NC4706")
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert (await viewer.options("/api/v1/titles")).headers["allow"] == "GET, HEAD, OPTIONS"
    head = await viewer.head(FILM)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 100


async def test_queries_that_do_not_fit(viewer: httpx.AsyncClient) -> None:
    for query in ("limit=0", "limit=x", "offset=-1", "everything=1", "limit=501", "q=%ff"):
        problem(await viewer.get(f"/api/v1/titles?{query}"), 400, "NC4702")


async def test_a_host_header_that_is_none(viewer: httpx.AsyncClient) -> None:
    problem(await viewer.get(FILM, headers={"host": "evil.org/x"}), 400, "NC4702")


async def test_pages_of_other_origins_cannot_act_by_the_cookie(app: Application, world: World) -> None:
    async with client_of(app) as browser:
        browser.cookies.set("nearcast", world.accounts.token())
        for site, status in (("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)):
            answer = await browser.put(f"{FILM}/opinion", json={}, headers={"sec-fetch-site": site})
            assert answer.status_code == status, site
        assert (await browser.get(FILM, headers={"sec-fetch-site": "same-site"})).status_code == 200
    async with client_of(app, token=world.accounts.token()) as script:
        assert (await script.put(f"{FILM}/opinion", json={}, headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_request_ids_reach_the_services(viewer: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearcast.base import context
    from nearcast.model.services import HomeAnswer

    seen: list[tuple[str, bool]] = []

    async def rows(_question: object) -> HomeAnswer:
        seen.append((context.request_id.get(), context.deadline_s.get() is not None))
        return HomeAnswer(rows=())

    monkeypatch.setattr(world.home, "rows", rows)
    answer = await viewer.get("/api/v1/home", headers={"x-request-id": "trace-12345"})
    assert answer.headers["x-request-id"] == "trace-12345"
    odd = await viewer.get("/api/v1/home", headers={"x-request-id": 'a "b'})
    assert odd.headers["x-request-id"].startswith("r_")
    assert seen == [("trace-12345", True), (odd.headers["x-request-id"], True)]


async def test_answers_are_compressed_but_those_with_secrets(viewer: httpx.AsyncClient) -> None:
    gzip = {"accept-encoding": "gzip"}
    assert (await viewer.get("/openapi.json", headers=gzip)).headers["content-encoding"] == "gzip"
    assert (await viewer.post("/api/v1/play", json=wanted(), headers=gzip)).headers["content-encoding"] == "gzip"
    answer = await viewer.post("/api/v1/login", json={"link": "link"}, headers=gzip)
    assert "content-encoding" not in answer.headers


async def test_the_client_behind_a_proxy(app: Application, world: World) -> None:
    async with client_of(app, token=world.accounts.token(), peer="10.0.0.1") as client:
        headers = {"x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-forwarded-proto": "https"}
        answer = await client.post("/api/v1/play", json=wanted(), headers=headers)
    assert world.steering.calls[-1].client_address == "203.0.113.9"
    assert answer.json()["dash_url"].startswith("https://films.example.org/")


async def test_a_public_url_stands_before_the_host_header(world: World, clock: VirtualClock) -> None:
    app = application(GatewaySettings(public_url="https://films.example.org"), world.clients, None, world.keys, clock)
    async with client_of(app, token=world.accounts.token("admin"), base="http://127.0.0.1:8080") as client:
        link = await client.post("/api/v1/links", json={})
    assert link.json()["url"].startswith("https://films.example.org/#/link/")


async def test_health_and_metrics(anybody: httpx.AsyncClient, viewer: httpx.AsyncClient, app: Application) -> None:
    assert (await anybody.get("/healthz")).json() == {"status": "ok"}
    await viewer.get(FILM)
    await viewer.get("/api/v1/titles/t_none")
    text = (await anybody.get("/metrics")).text
    assert 'nearcast_gateway_requests_total{method="GET",process="gateway",route="/api/v1/titles/{title_id}",status="404"} 1' in text
    assert 'nearcast_gateway_request_seconds_count{process="gateway",route="/api/v1/titles/{title_id}"} 2' in text
    async with client_of(app, peer="203.0.113.9") as stranger:
        problem(await stranger.get("/metrics"), 403, "NC4714")


async def test_the_log_names_the_request_and_keeps_capabilities_out(viewer: httpx.AsyncClient) -> None:
    session = await play(viewer)
    with structlog.testing.capture_logs() as lines:
        await viewer.get(session["dash_url"])
        await viewer.get(FILM)
    logged = [each for each in lines if each["event"] == "request"]
    assert [each["path"] for each in logged] == ["/api/v1/sessions/{session_id}/manifest.mpd", FILM]
    assert session["session_id"] not in json.dumps(logged)
    assert logged[1]["account"] == "a_viewer"
    assert (logged[1]["status"], logged[1]["client"]) == (200, "127.0.0.1")


def test_settings_that_make_no_sense(world: World) -> None:
    for settings in (GatewaySettings(proxies=("x",)), GatewaySettings(metrics_from=("y",))):
        with pytest.raises(BadProxy):
            application(settings, world.clients, None, world.keys)


async def test_lifespan_and_websockets(app: Application) -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_requests_at_once_keep_their_own_ids(world: World, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the real server, whose way of starting coroutines decides whether two requests share a context."""
    from nearcast.base import context
    from nearcast.base.web import serve_asgi
    from nearcast.model.services import HomeAnswer
    from nearcast.model.title import Row

    async def rows(_question: object) -> HomeAnswer:
        await asyncio.sleep(0.02)
        return HomeAnswer(rows=(Row(id=context.request_id.get(), name="", titles=()),))

    monkeypatch.setattr(world.home, "rows", rows)
    server = await serve_asgi(application(GatewaySettings(), world.clients, None, world.keys, clock), "127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {world.accounts.token()}"}) as client:
            names = [f"trace-{number}" for number in range(20)]
            answers = await asyncio.gather(*(client.get("/api/v1/home", headers={"x-request-id": name}) for name in names))
    finally:
        await server.stop(0.5)
    assert [each.json()["rows"][0]["id"] for each in answers] == names
