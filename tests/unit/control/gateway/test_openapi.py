"""The OpenAPI document, and that the gateway keeps to it: schemathesis makes requests of it, good and bad."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvloop
from hypothesis import HealthCheck, Phase, settings
from obstore.store import MemoryStore

from nearcast.base.web import serve_asgi
from nearcast.control.gateway import openapi
from nearcast.control.gateway.api.table import GROUPS, ROUTES
from nearcast.control.gateway.application import application, reference
from nearcast.control.gateway.settings import GatewaySettings
from tests.fakes import World, film

DOCUMENT = openapi.document(GROUPS)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


def test_every_route_is_described() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(found := value.get("$ref"), str):
                yield found
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= names


def test_who_may_call_is_told() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert ("security" in operation) == (route.role is not None), route.path
        assert route.role is None or "401" in operation["responses"]
    assert "403" in DOCUMENT["paths"]["/api/v1/edges"]["get"]["responses"]
    assert "402" in DOCUMENT["paths"]["/api/v1/play"]["post"]["responses"]
    assert "402" not in DOCUMENT["paths"]["/api/v1/license"]["post"]["responses"], "the lapse is told at Play"
    assert "security" not in DOCUMENT["paths"]["/api/v1/login"]["post"]


def test_the_reference_page_has_every_route_and_field() -> None:
    page = reference()
    for route in ROUTES:
        assert f"### `{route.method} {route.path}`" in page
    for field in ("`title_id`", "`_DASH_pathway`", "`x-nearcast-session`", "`size_bytes`", "`in_my_list`"):
        assert field in page
    assert page == reference()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str]]:
    """A gateway at a port, in a thread of its own: its address, and an administrator's token."""
    loop = uvloop.new_event_loop()
    ready: list[str] = []
    begun, end = threading.Event(), asyncio.Event()

    async def run() -> None:
        world = World(film(), film("t_new", state="processing"))
        server = await serve_asgi(application(GatewaySettings(), world.clients, MemoryStore(), world.keys), "127.0.0.1", 0)
        ready.extend([server.url, world.accounts.token("admin")])
        begun.set()
        await end.wait()
        await server.stop(0.5)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert begun.wait(20)
    yield ready[0], ready[1]
    loop.call_soon_threadsafe(end.set)
    thread.join(20)
    loop.close()


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_the_gateway_keeps_to_its_document(case: Any, served: tuple[str, str]) -> None:
    url, token = served
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {token}"})
