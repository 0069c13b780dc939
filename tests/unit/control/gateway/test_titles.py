"""The HTTP API of titles, from the outside."""

from __future__ import annotations

import httpx

from tests.fakes import World
from tests.unit.control.gateway.asking import FILM, play, problem, wanted
from tests.unit.control.gateway.conftest import POSTER, SPRITE


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
