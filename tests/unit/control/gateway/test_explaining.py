"""Administrators ask of the routes over HTTP: where they come from, why a viewer goes where they go, who would move."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec
import pytest

from nearcast.base import context
from nearcast.base.errors import Unavailable
from nearcast.base.rpc import MESSAGE_BYTES_MAX
from nearcast.control.gateway.api.routes import REHEARSE_BYTES_MAX
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.model.services import Nothing, Rehearsal, RehearseQuestion, RoutingStatus
from nearcast.steering.routing import PATIENCE_S
from tests.fakes import World
from tests.unit.control.gateway.asking import problem


async def test_the_status_of_the_routes(admin: httpx.AsyncClient) -> None:
    found = (await admin.get("/api/v1/routes")).json()
    assert found["version"] == 3
    assert [each["name"] for each in found["sources"]] == ["config", "riverbank"]
    assert [each["id"] for each in found["health"]["appliances"]] == ["north-1", "south-1", "rack-1"]


async def test_an_address_is_explained(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/api/v1/routes/explain", params={"address": "::ffff:203.0.113.7", "title_id": "t_film", "count": 1})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["counted_as"], found["prefix"]) == ("203.0.113.7", "203.0.113.0/24")
    assert [each["appliance"] for each in found["considered"] if each["verdict"] == "chosen"] == ["south-1"]
    assert [each["appliance"] for each in found["considered"] if each["verdict"] == "rejected"] == ["rack-1"]


async def test_a_plan_is_rehearsed(admin: httpx.AsyncClient, world: World) -> None:
    planned = {
        "announce": [{"prefix": "20.2.0.0/16", "isp": "riverbank"}, {"prefix": "8.8.8.0/24", "isp": "riverbank", "med": 5}],
        "withdraw": [{"prefix": "20.1.0.0/16", "isp": "riverbank", "site": "rack"}],
    }
    found = (await admin.post("/api/v1/routes/rehearse", json=planned)).json()
    assert {each["prefix"]: each["after"][0] for each in found["moved"]} == {"20.1.0.0/16": "north", "20.2.0.0/16": "rack"}
    assert [each["prefix"] for each in found["refused"]] == ["8.8.8.0/24"]
    routes = {"routes": [{"prefix": "0.0.0.0/0", "sites": ["south"]}], "limit": 1}
    found = (await admin.post("/api/v1/routes/rehearse", json=routes)).json()
    assert (len(found["moved"]), found["moved_total"] > 1) == (1, True)
    assert world.routing.calls[-1].limit == 1


async def test_a_rehearsal_has_longer_than_it_takes_and_others_have_not(
    admin: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_s: list[float] = []

    async def rehearse(_: RehearseQuestion) -> Rehearsal:
        left_s.append((context.deadline_s.get() or 0.0) - time.monotonic())
        return Rehearsal(moved=(), moved_total=0)

    async def status(_: Nothing) -> RoutingStatus:
        left_s.append((context.deadline_s.get() or 0.0) - time.monotonic())
        raise Unavailable("it has been looked at")

    monkeypatch.setattr(world.routing, "rehearse", rehearse)
    monkeypatch.setattr(world.routing, "status", status)
    assert (await admin.post("/api/v1/routes/rehearse", json={})).status_code == 200
    assert (await admin.get("/api/v1/routes")).status_code == 503
    assert left_s[0] > PATIENCE_S  # so that it is the service that gives up, with its reason
    assert left_s[1] <= GatewaySettings().timeout_s


async def test_a_plan_may_have_as_many_routes_as_its_description_says(
    admin: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RehearseQuestion] = []

    async def rehearse(question: RehearseQuestion) -> Rehearsal:
        asked.append(question)
        return Rehearsal(moved=(), moved_total=0)

    def routes(count: int) -> dict[str, Any]:
        prefixes = (f"20.{number >> 12}.{number >> 4 & 255}.{(number & 15) << 4}/28" for number in range(count))
        return {"routes": [{"prefix": prefix, "sites": ["north", "south"]} for prefix in prefixes], "limit": 1}

    monkeypatch.setattr(world.routing, "rehearse", rehearse)
    assert (await admin.post("/api/v1/routes/rehearse", json=routes(100_000))).status_code == 200
    assert len(msgspec.msgpack.encode(asked[0])) < MESSAGE_BYTES_MAX
    assert len(asked[0].routes or ()) == 100_000
    problem(await admin.post("/api/v1/routes/rehearse", json=routes(100_001)), 400, "NC4702")
    problem(await admin.post("/api/v1/routes/rehearse", json={"routes": [], "more": "x" * REHEARSE_BYTES_MAX}), 413, "NC4703")
    problem(await admin.post("/api/v1/accounts", json={"name": "x" * (1 << 20)}), 413, "NC4703")


async def test_other_sites_and_isps_are_rehearsed(admin: httpx.AsyncClient) -> None:
    plan = {
        "sites": [{"name": "north", "zone": "n"}, {"name": "south", "zone": "s"}],
        "isps": [],
        "routes": [{"prefix": "0.0.0.0/0", "sites": ["north", "south"]}, {"prefix": "203.0.113.0/24", "sites": ["south", "north"]}],
    }
    found = (await admin.post("/api/v1/routes/rehearse", json=plan)).json()
    assert [(each["prefix"], each["before"], each["after"]) for each in found["moved"]] == [
        ("20.1.0.0/16", ["rack", "north", "south"], ["north", "south"])
    ]
    assert found["changes"] == ["the site rack goes", "the ISP riverbank goes, with all that it announces"]


GOOD = (
    "203.0.113.7",
    "0.0.0.0",
    "2001:db8::7",
    "::",
    "::1",
    "1::",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8",
    "::FFFF:1.2.3.4",
)
BAD = ("nobody", "1.2.3.4/24", "1" * 60, "1.2.3", "01.2.3.4", "1.2.3.256", "1:2:3", "1::2::3", "1:2:3:4:5:6:7:8:9", "::12345", "::g")


@pytest.mark.parametrize("address", GOOD)
async def test_what_is_an_address(admin: httpx.AsyncClient, address: str) -> None:
    assert (await admin.get("/api/v1/routes/explain", params={"address": address})).status_code == 200


@pytest.mark.parametrize("address", BAD)
async def test_what_is_no_address(admin: httpx.AsyncClient, address: str) -> None:
    assert problem(await admin.get("/api/v1/routes/explain", params={"address": address}), 400, "NC3032")["hint"]


async def test_a_title_that_does_not_exist(admin: httpx.AsyncClient, world: World) -> None:
    asked = {"address": "203.0.113.7", "title_id": "t_none"}
    assert (await admin.get("/api/v1/routes/explain", params=asked)).status_code == 404
    world.catalog.down = True  # then nobody can tell, and the routes can be explained all the same
    assert (await admin.get("/api/v1/routes/explain", params=asked)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"announce": [{"prefix": "20.2.0.0/16", "isp": "riverbnak"}]}, 404, "NC3033"),
        ({"announce": [{"prefix": "20.2.0.0/16", "isp": "riverbank", "site": "rock"}]}, 409, "NC3034"),
        ({"announce": [{"prefix": "20.2.0.1/16", "isp": "riverbank"}]}, 409, "NC3034"),
        ({"routes": [{"prefix": "20.2.0.0/16", "sites": ["rock"]}]}, 409, "NC3034"),
        ({"announce": [{"prefix": "20.2.0.0/16", "isp": "riverbank", "as_path": [0]}]}, 400, "NC4702"),
        ({"sites": [{"name": "north", "latitude": 91}]}, 400, "NC4702"),
        ({"sites": [{"name": "north", "latitude": 50.0}]}, 409, "NC3034"),
        ({"sites": [{"name": "north"}]}, 409, "NC3034"),  # a route and an ISP name sites that go
        ({"isps": [{"name": "riverbank", "asn": 64500}]}, 409, "NC3034"),
        ({"isps": [{"name": "riverbank", "asn": 64511, "allow": ["20.0.0.1/12"]}]}, 409, "NC3034"),
        ({"geographic": {"mmdb": "/etc/passwd"}}, 409, "NC3036"),
        ({"geographic": {"blocks": {"XX": ["20.0.0.0/8"]}}}, 409, "NC3034"),
        ({"planned": []}, 400, "NC4702"),
    ],
)
async def test_plans_that_make_no_sense(admin: httpx.AsyncClient, body: dict[str, Any], status: int, code: str) -> None:
    assert problem(await admin.post("/api/v1/routes/rehearse", json=body), status, code)["hint"]


@pytest.mark.parametrize(
    "site", [{"name": "Frankfurt"}, {"name": "a\n"}, {"name": ""}, {"name": "a", "zone": "\x1b[31m"}, {"name": "a", "zone": "e\n"}]
)
async def test_sites_are_named_as_in_a_configuration(admin: httpx.AsyncClient, site: dict[str, str]) -> None:
    problem(await admin.post("/api/v1/routes/rehearse", json={"sites": [site]}), 400, "NC4702")


async def test_viewers_are_told_nothing(viewer: httpx.AsyncClient, world: World) -> None:
    problem(await viewer.get("/api/v1/routes"), 403, "NC4708")
    problem(await viewer.get("/api/v1/routes/explain", params={"address": "203.0.113.7"}), 403, "NC4708")
    problem(await viewer.post("/api/v1/routes/rehearse", json={}), 403, "NC4708")
    assert world.routing.calls == []


async def test_steer_being_down_is_said(admin: httpx.AsyncClient, world: World) -> None:
    world.routing.down = True
    problem(await admin.get("/api/v1/routes"), 503, "NC0006")
