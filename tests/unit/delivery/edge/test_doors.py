"""The doors for other appliances and the fill: by token, from what is placed or through the edge's own parents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from nearcast.delivery.fill.source import HttpSource, SourceLacks
from nearcast.model.fill import FillItem
from nearcast.policy import capability

from ..making import ROOT, digests, film, publish
from .serving import DataPath, serving_alone

HELD, ABSENT = film(2_500_000, seed=1), film(1_500_000, seed=2)
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Doors:
    def __init__(self, edge: DataPath, held: FillItem, absent: FillItem) -> None:
        self.edge, self.held, self.absent = edge, held.file, absent.file

    def source(self, client: httpx.AsyncClient, door: str = "titles") -> HttpSource:
        return HttpSource(client, self.edge.settings.public_address, self.edge.server.fill_token)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    async with serving_alone(tmp_path_factory.mktemp("an edge")) as edge:
        held, absent = await publish(edge.origin.store, HELD), await publish(edge.origin.store, ABSENT)
        edge.place(held, HELD)
        yield Doors(edge, held, absent)


async def test_nobody_without_the_token(doors: Doors) -> None:
    edge, name = doors.edge, doors.held.name
    wrong = ["", "Bearer", "Bearer x", f"Bearer {edge.key}", f"Basic {edge.server.fill_token}", f"Bearer {edge.server.fill_token}0"]
    another = capability.fill_token(capability.edge_key(ROOT, "bom-1"))
    for path in (
        f"/titles/t_film/{name}",
        f"/held/t_film/{name}",
        f"/held/t_film/{'0' * 64}.mp4",
        f"/titles/t_film/{doors.held.blocks_name}",
    ):
        for authorization in (*wrong, f"Bearer {another}"):
            answer = await edge.client.get(path, headers={"authorization": authorization} if authorization else {})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (path, authorization)


@pytest.mark.parametrize("door", ["titles", "held"])
async def test_what_is_placed_as_the_origin_gives_it(doors: Doors, door: str) -> None:
    edge, before = doors.edge, len(doors.edge.origin.requests)
    path, tag = f"/{door}/t_film/{doors.held.name}", f'"{doors.held.root}"'
    get = edge.client.get
    whole = await get(path, headers=edge.authority)
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, HELD, tag)
    assert whole.headers["cache-control"] == "private, max-age=31536000, immutable"
    part = await get(path, headers={**edge.authority, "range": "bytes=1000000-1000009"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        HELD[1_000_000:1_000_010],
        "bytes 1000000-1000009/2500000",
    )
    assert (await get(path, headers={**edge.authority, "range": "bytes=0-9", "if-range": '"other"'})).content == HELD
    past = await get(path, headers={**edge.authority, "range": "bytes=2500000-"})
    assert (past.status_code, past.headers["content-range"]) == (416, "bytes */2500000")
    head = await edge.client.head(path, headers=edge.authority)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "2500000", b"")
    assert (await edge.client.post(path, headers=edge.authority)).status_code == 405
    blocks = await get(f"/{door}/t_film/{doors.held.blocks_name}", headers=edge.authority)
    assert (blocks.content, blocks.headers["etag"]) == (digests(HELD), f'"{doors.held.root}.blocks"')
    assert len(edge.origin.requests) == before, "the origin had nothing to do with it"


async def test_held_has_nothing_else(doors: Doors) -> None:
    edge, before = doors.edge, len(doors.edge.origin.requests)
    for name in (doors.absent.name, doors.absent.blocks_name):
        answer = await edge.client.get(f"/held/t_film/{name}", headers=edge.authority)
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
    assert len(edge.origin.requests) == before


async def test_titles_are_pulled_through_once(doors: Doors) -> None:
    edge, before = doors.edge, len(doors.edge.origin.requests)
    for _ in range(2):
        for name, data, tag in (
            (doors.absent.name, ABSENT, doors.absent.root),
            (doors.absent.blocks_name, digests(ABSENT), f"{doors.absent.root}.blocks"),
        ):
            answer = await edge.client.get(f"/titles/t_film/{name}", headers=edge.authority)
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, data, f'"{tag}"')
            assert answer.headers.get_list("cache-control") == ["private, max-age=31536000, immutable"]
    assert (await edge.get(edge.path(doors.absent.name))).content == ABSENT
    assert len(edge.origin.requests) == before + 3, "two slices and the digests"
    unknown = await edge.client.get(f"/titles/t_film/{'0' * 64}.mp4", headers=edge.authority)
    assert (unknown.status_code, unknown.headers["cache-control"]) == (404, "no-store")


async def test_the_fill_reads_from_it_as_from_the_origin(doors: Doors) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        source = HttpSource(client, doors.edge.settings.public_address, doors.edge.server.fill_token)
        for file, data in ((doors.held, HELD), (doors.absent, ABSENT)):
            for start in (0, 1_048_577):
                assert b"".join([each async for each in source.read("t_film", file.name, start, len(data))]) == data[start:]
            blocks = digests(data)
            assert b"".join([each async for each in source.read("t_film", file.blocks_name, 0, len(blocks))]) == blocks
        with pytest.raises(SourceLacks):
            _ = [each async for each in source.read("t_film", "0" * 64 + ".mp4", 0, 5)]


@pytest.mark.parametrize(
    "path",
    [
        "/titles/t_film/../t_film/x.mp4",
        f"/titles/t_film/{'0' * 64}.blocks.mp4",
        f"/titles/t_film/{'0' * 64}",
        f"/titles/t_film/{'0' * 64}.exe",
        f"/titles//{'0' * 64}.mp4",
        f"/held/t_film/{'0' * 63}g.mp4",
        "/titles/",
        "/.next",
        "/.last",
        "/.notice",
        "/status",
    ],
)
async def test_nothing_else_is_behind_them(doors: Doors, path: str) -> None:
    answer = await doors.edge.client.get(path, headers=doors.edge.authority)
    assert answer.status_code == 404


async def test_others_are_not_counted_as_viewers(tmp_path: Path) -> None:
    async with serving_alone(tmp_path) as edge:
        item = await publish(edge.origin.store, HELD)
        await edge.client.get(f"/titles/t_film/{item.file.name}", headers={**edge.authority, "range": "bytes=0-99"})
        edge.place(item, HELD)
        await edge.client.get(f"/held/t_film/{item.file.name}", headers=edge.authority)
        await edge.get(edge.path(item.file.name), Range="bytes=0-9")
        lines = await edge.read_log(3)
        assert [each.door for each in lines] == ["titles", "held", ""]
        counts = edge.log.counts
        assert (counts.requests, counts.sent_bytes, counts.placed_bytes) == (1, 10, 10)
        assert (counts.doors_requests, counts.doors_bytes) == (2, 100 + len(HELD))
        assert counts.parent_bytes_by.keys() == {"origin"}
        assert counts.parent_bytes == 1_048_576
