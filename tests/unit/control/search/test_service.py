"""Search as a service: it follows the catalog, and waits for it at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from nearcast.base.clock import SystemClock
from nearcast.base.errors import BadInput, Unavailable
from nearcast.control.search import SearchService, SearchSettings
from nearcast.control.search.service import SearchNotReady
from nearcast.model.services import Catalog, Changes, ChangesQuestion, SearchQuestion
from nearcast.model.title import Publication
from tests.unit.control.helpers import publication


class Changing(Catalog):
    """A catalog of changes: one part for each publication."""

    def __init__(self, *publications: Publication) -> None:
        self.publications = list(publications)
        self.version = len(self.publications)
        self.down = False
        self.changed = asyncio.Event()

    async def changes(self, question: ChangesQuestion, /) -> Changes:
        if self.down:
            raise Unavailable("the catalog is down")
        assert question.delta
        if question.after == self.version and question.wait_s:
            await self.changed.wait()
        after = question.after if question.after <= self.version else 0
        return Changes(version=min(after + 1, self.version), publications=tuple(self.publications[after : after + 1]))

    def add(self, one: Publication) -> None:
        self.publications.append(one)
        self.version += 1
        self.changed.set()


FAST = SearchSettings(first_wait_s=0.05, retry_s=0.01)


def catalog_of(*publications: Publication) -> Changing:
    return Changing(*publications)  # type: ignore[abstract]  # the other methods are not asked


@pytest.fixture
async def catalog() -> Changing:
    return catalog_of(publication("t_a", "Alpha"), publication("t_b", "Beta"))


@pytest.fixture
async def search(catalog: Changing) -> AsyncIterator[SearchService]:
    made = SearchService(catalog, clock=SystemClock(), settings=SearchSettings(first_wait_s=10))
    made.start()
    yield made
    await made.close()


async def found(search: SearchService, query: str) -> tuple[str, ...]:
    return (await search.search(SearchQuestion(query=query))).title_ids


async def test_the_first_search_waits_for_the_whole_catalog(search: SearchService) -> None:
    assert await found(search, "beta") == ("t_b",)
    assert await found(search, "alpha") == ("t_a",)


async def test_what_is_published_is_found(search: SearchService, catalog: Changing) -> None:
    assert await found(search, "gamma") == ()
    catalog.add(publication("t_c", "Gamma"))
    for _ in range(2000):
        if await found(search, "gamma"):
            break
        await asyncio.sleep(0.005)
    assert await found(search, "gamma") == ("t_c",)


async def test_without_the_catalog_it_says_so_and_recovers(catalog: Changing) -> None:
    catalog.down = True
    search = SearchService(catalog, clock=SystemClock(), settings=FAST)
    search.start()
    with pytest.raises(SearchNotReady) as caught:
        await found(search, "alpha")
    assert caught.value.status == 503
    catalog.down = False
    async with asyncio.timeout(60):
        while True:
            try:
                assert await found(search, "alpha") == ("t_a",)
                break
            except SearchNotReady:
                await asyncio.sleep(0.005)
    catalog.down = True
    assert await found(search, "alpha") == ("t_a",)
    await search.close()


async def test_a_catalog_brought_back_from_a_backup_is_taken_in_anew(catalog: Changing) -> None:
    search = SearchService(catalog, clock=SystemClock(), settings=FAST)
    for _ in range(3):
        await search.catch_up()
    assert await found(search, "beta") == ("t_b",)
    catalog.publications, catalog.version = [publication("t_a", "Alpha")], 1
    for _ in range(3):
        await search.catch_up()
    assert (await found(search, "beta"), await found(search, "alpha")) == ((), ("t_a",))
    await search.close()


@pytest.mark.parametrize("limit", [0, -1, 501, 10**9])
async def test_a_limit_that_cannot_be_is_refused(search: SearchService, limit: int) -> None:
    with pytest.raises(BadInput):
        await search.search(SearchQuestion(query="alpha", limit=limit))
