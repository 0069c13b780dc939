"""The HTTP API, from the outside: signing in, and what all requests have in common."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import structlog

from nearcast.base.clock import VirtualClock
from nearcast.control.gateway.application import application
from nearcast.control.gateway.errors import BadProxy
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.gateway.wire import Application
from tests.fakes import World
from tests.unit.control.gateway.asking import FILM, play, problem, wanted
from tests.unit.control.gateway.conftest import client_of

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
