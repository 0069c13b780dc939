"""The HTTP API of players, from the outside."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from nearcast.control.gateway.api.playing import last_pathway, throughput_bps
from nearcast.control.gateway.wire import Application
from nearcast.model.services import AccountChange
from tests.fakes import World
from tests.unit.control.gateway.asking import play, problem, wanted
from tests.unit.control.gateway.conftest import client_of


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
