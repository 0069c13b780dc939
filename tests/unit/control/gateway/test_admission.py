"""Who is let in where, for every row of the table; what is known of a request that belongs nowhere; bodies that never end."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
import structlog

from nearcast.base.clock import VirtualClock
from nearcast.control.gateway.api.table import ROUTES
from nearcast.control.gateway.application import application
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.gateway.wire import Application
from nearcast.model.services import AccountChange
from tests.fakes import World
from tests.unit.control.gateway.conftest import client_of

FOR_ANYBODY = {
    ("POST", "/api/v1/login"),
    ("POST", "/api/v1/logout"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
}
BY_SESSION = {("GET", f"/api/v1/sessions/{{session_id}}/{name}") for name in ("manifest.mpd", "manifest.m3u8", "steering")}
"""The sealed session id in the path is the right to ask."""


def address(route: Route) -> str:
    return re.sub(r"\{[a-z_]+\}", "t_0123456789abcdef", route.path)


def named(role: str) -> list[Any]:
    return [pytest.param(each, id=f"{each.method} {each.path}") for each in ROUTES if each.role == role]


def test_what_is_open_to_anybody_is_written_down() -> None:
    assert {(each.method, each.path) for each in ROUTES if each.role is None} == FOR_ANYBODY | BY_SESSION


@pytest.mark.parametrize("route", [*named("viewer"), *named("admin")])
async def test_nobody_gets_in_without_a_token(anybody: httpx.AsyncClient, route: Route) -> None:
    answer = await anybody.request(route.method, address(route), json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "NC4707")


@pytest.mark.parametrize("route", named("admin"))
async def test_a_viewer_gets_to_nothing_of_an_admins(viewer: httpx.AsyncClient, route: Route) -> None:
    answer = await viewer.request(route.method, address(route), json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "NC4708")


@pytest.mark.parametrize("route", [each for each in [*named("viewer"), *named("admin")] if each.values[0].method == "GET"])
async def test_a_sign_in_that_was_ended_reads_nothing(app: Application, world: World, route: Route) -> None:
    """Within the seconds for which accounts' answer is kept, not when the token expires."""
    async with client_of(app, token=world.accounts.token(route.role or "viewer")) as client:
        await world.accounts.change(AccountChange(account_id=f"a_{route.role}", revoke_tokens=True))
        answer = await client.get(address(route))
    assert answer.status_code == 401, answer.text


async def test_a_capability_in_a_mistyped_address_stays_out_of_the_log(viewer: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await viewer.get("/api/v1/sessions/SealedCapabilityOfSomebody/manifest.mpd/")
    assert answer.status_code == 404
    assert "SealedCapability" not in str(lines)


async def test_a_body_that_does_not_come_ends_the_request(world: World, clock: VirtualClock) -> None:
    """Else a few thousand connections that send a byte now and then would be all that the gateway has time for."""
    app = application(GatewaySettings(timeout_s=0.05), world.clients, None, world.keys, clock)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"films.example.org"), (b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/login", "scheme": "http", "headers": headers, "client": ("127.0.0.1", 1)}
    async with asyncio.timeout(60):
        await app(scope, receive, send)
    assert sent[0]["status"] == 408
