from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from nearcast.delivery.origin import ByteRange, parse_range, resolve_range
from nearcast.model.rendition import File

from .making import TOKEN, digests, film, publish, running_origin

DATA = film(1_500_000)


class Shop:
    def __init__(self, client: httpx.AsyncClient, file: File) -> None:
        self.client, self.file = client, file
        self.path = f"/titles/t_film/{file.name}"

    async def get(self, path: str = "", **headers: str) -> httpx.Response:
        return await self.client.get(path or self.path, headers=headers)


@pytest_asyncio.fixture(params=["memory", "local"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    store = MemoryStore() if request.param == "memory" else LocalStore(tmp_path)
    async with running_origin(store) as origin:
        made = await publish(store, DATA)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=origin.url, headers=headers, trust_env=False) as client:
            yield Shop(client, made.file)


async def test_whole_and_ranges(shop: Shop) -> None:
    whole = await shop.get()
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["etag"] == f'"{shop.file.root}"'
    assert whole.headers["accept-ranges"] == "bytes"
    part = await shop.get(range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, DATA[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(DATA)}"
    assert (await shop.get(range="bytes=-7")).content == DATA[-7:]
    assert (await shop.get(range=f"bytes={len(DATA) - 3}-")).content == DATA[-3:]
    assert (await shop.get(range="bytes=1400000-9999999")).content == DATA[1_400_000:]
    blocks = await shop.get(f"/titles/t_film/{shop.file.blocks_name}")
    assert blocks.content == digests(DATA)


async def test_past_the_end(shop: Shop) -> None:
    for span in (f"bytes={len(DATA)}-", f"bytes={len(DATA) + 5}-{len(DATA) + 9}", "bytes=-0"):
        answer = await shop.get(range=span)
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


async def test_ranges_that_make_no_sense_are_ignored(shop: Shop) -> None:
    for span in ("bytes=5-1", "bytes=0-1,5-9", "lines=1-2", "bytes=-", "bytes=x-y"):
        assert (await shop.get(range=span)).status_code == 200


async def test_if_range(shop: Shop) -> None:
    assert (await shop.get(**{"range": "bytes=0-9", "if-range": f'"{shop.file.root}"'})).status_code == 206
    assert (await shop.get(**{"range": "bytes=0-9", "if-range": '"other"'})).status_code == 200


async def test_head(shop: Shop) -> None:
    answer = await shop.client.head(shop.path)
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(len(DATA)), b"")


async def test_only_with_the_token(shop: Shop) -> None:
    for wrong in ("", "Bearer nonsense", TOKEN, f"bearer {TOKEN}"):
        assert (await shop.get(authorization=wrong)).status_code == 401
    assert (await shop.get("/healthz", authorization="")).status_code == 200


async def test_nothing_else_is_there(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_text("secret")
    root = shop.file.root
    for path in (
        "/",
        "/titles",
        f"/titles/t_other/{shop.file.name}",
        f"/titles/t_film/{root}",
        f"/titles/t_film/{root}.exe",
        f"/titles/t_film/{root.upper()}.mp4",
        "/titles/t_film/../../secret.mp4",
        "/titles/%2e%2e/%2e%2e/secret.mp4",
        "/titles/..%2f..%2fsecret.mp4",
        f"/titles/t_film/{'0' * 64}.mp4",
        f"{shop.path}/",
    ):
        assert (await shop.get(path)).status_code == 404, path
    assert (await shop.client.put(shop.path, content=b"x")).status_code == 405


async def test_a_store_that_fails_is_502(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    async with running_origin(store) as origin, httpx.AsyncClient(base_url=origin.url, trust_env=False) as client:
        made = await publish(store, film(10))
        path = tmp_path / "titles" / "t_film" / made.file.name
        path.unlink()
        path.symlink_to(path)  # a loop, which no file system follows
        answer = await client.get(f"/titles/t_film/{made.file.name}", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code in (404, 502)


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 1000))
def test_ranges_agree_with_slicing(first: int, last: int, size_bytes: int) -> None:
    data = bytes(size_bytes % 251 for _ in range(size_bytes))
    wanted = parse_range(f"bytes={first}-{last}")
    if last < first:
        assert wanted is None
        return
    assert wanted == ByteRange(first, last)
    span = resolve_range(wanted, size_bytes)
    assert (data[span[0] : span[1]] if span else b"") == data[first : last + 1]
    suffix = resolve_range(ByteRange(None, last), size_bytes)
    assert (data[suffix[0] : suffix[1]] if suffix else b"") == (data[-last:] if last else b"")
