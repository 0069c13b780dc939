"""Pictures from the origin, and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.control.gateway.errors import NoPicture
from nearcast.control.gateway.pictures import PICTURE_BYTES_MAX, Pictures, matches
from nearcast.model.rendition import File
from tests.fakes import FakeCatalog, file, film


class CountingStore:
    """A memory store that counts what is read of it; ``error`` is raised instead."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.read: list[str] = []
        self.error: Exception | None = None

    async def get_async(self, path: str) -> Any:
        self.read.append(path)
        if self.error:
            raise self.error
        return await self.inner.get_async(path)


def pictures(store: Any, cache_bytes: int = 1 << 20) -> Pictures:
    return Pictures(FakeCatalog(film()), store, VirtualClock(), cache_bytes=cache_bytes, publication_cache_s=5.0)


async def put(store: CountingStore, name: str, size_bytes: int) -> File:
    found = file(name, "jpg", size_bytes)
    await store.inner.put_async(f"titles/t_film/{found.name}", bytes(size_bytes))
    return found


async def test_a_picture_is_read_once() -> None:
    store = CountingStore()
    held = pictures(store)
    poster = await put(store, "poster", 1000)
    for _ in range(3):
        answer = await held.answer("t_film", poster, "")
        assert len(answer.body) == 1000
        assert answer.headers["etag"] == f'"{poster.root}"'
    assert store.read == [f"titles/t_film/{poster.name}"]


async def test_who_has_it_costs_no_read() -> None:
    store = CountingStore()
    poster = await put(store, "poster", 1000)
    assert (await pictures(store).answer("t_film", poster, f'W/"{poster.root}"')).status == 304
    assert store.read == []


async def test_memory_is_bounded() -> None:
    store = CountingStore()
    held = pictures(store, cache_bytes=4000)
    files = [await put(store, f"p{number}", 1000) for number in range(6)]
    for each in files:
        await held.answer("t_film", each, "")
    assert held._held_bytes <= 4000
    store.read.clear()
    await held.answer("t_film", files[-1], "")
    assert store.read == []
    await held.answer("t_film", files[0], "")
    assert len(store.read) == 1


async def test_a_picture_that_would_fill_the_cache_is_not_kept() -> None:
    store = CountingStore()
    held = pictures(store, cache_bytes=4000)
    big = await put(store, "big", 3000)
    await held.answer("t_film", big, "")
    assert held._held_bytes == 0


async def test_pictures_that_cannot_be_had() -> None:
    store = CountingStore()
    held = pictures(store)
    with pytest.raises(NoPicture):
        await held.answer("t_film", file("none", "jpg", 10), "")
    with pytest.raises(NoPicture):
        await held.answer("t_film", file("film", "jpg", PICTURE_BYTES_MAX + 1), "")
    with pytest.raises(NoPicture):
        await pictures(None).answer("t_film", file("none", "jpg", 10), "")
    store.error = GenericError("the disk is on fire")
    with pytest.raises(Unavailable) as caught:
        await held.answer("t_film", file("other", "jpg", 10), "")
    assert "fire" not in caught.value.message, "what the store says names its folders and hosts, and is for the log"


async def test_the_catalog_is_asked_once_in_a_while() -> None:
    catalog = FakeCatalog(film())
    held = Pictures(catalog, None, VirtualClock(), cache_bytes=0, publication_cache_s=5.0)
    await held.manifest("t_film")
    await held.manifest("t_film")
    assert len(catalog.calls) == 1


async def test_a_withdrawn_title_has_no_pictures() -> None:
    with pytest.raises(NoPicture):
        await Pictures(FakeCatalog(film(state="unpublished")), None, VirtualClock(), cache_bytes=0, publication_cache_s=5.0).manifest(
            "t_film"
        )


@pytest.mark.parametrize(
    ("header", "yes"), [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("", False), ("a", False)]
)
def test_etags(header: str, yes: bool) -> None:
    assert matches(header, '"a"') is yes


@given(st.text(max_size=60))
def test_no_header_raises(header: str) -> None:
    matches(header, '"a"')
