"""Search over a real catalog: one suite for every index. What is published is found, by its name before its synopsis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from nearcast.base.clock import SystemClock
from nearcast.control.catalog import CatalogService, CatalogSettings
from nearcast.control.search import SearchService
from nearcast.model.services import Catalog, MetadataChange, SearchAnswer, SearchQuestion, TitleQuestion
from nearcast.model.title import Metadata
from tests.unit.control.catalog.test_service import many
from tests.unit.control.helpers import new_store, publication


class Followed(Protocol):
    """A Search that is started and closed."""

    def start(self) -> None: ...
    async def close(self) -> None: ...
    async def search(self, question: SearchQuestion, /) -> SearchAnswer: ...


ENGINES: dict[str, Callable[[Catalog], Followed]] = {"tantivy": lambda catalog: SearchService(catalog, clock=SystemClock())}


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[CatalogService]:
    store = new_store(tmp_path)
    await store.write(lambda connection: many(connection, 700))
    made = CatalogService(store, clock=SystemClock(), settings=CatalogSettings(poll_s=0.01))
    await made.publish(publication("t_bunny", "Big Buck Bunny", synopsis="A giant rabbit."))
    await made.publish(publication("t_other", "Another Film", synopsis="Has a bunny in it."))
    yield made
    store.close()


@pytest.fixture(params=ENGINES)
async def search(request: pytest.FixtureRequest, catalog: CatalogService) -> AsyncIterator[Followed]:
    made = ENGINES[request.param](catalog)
    made.start()
    yield made
    await made.close()


async def found(search: Followed, query: str, limit: int = 50) -> list[str]:
    return list((await search.search(SearchQuestion(query=query, limit=limit))).title_ids)


async def becomes(search: Followed, query: str, expected: list[str]) -> None:
    for _ in range(1000):
        if await found(search, query) == expected:
            return
        await asyncio.sleep(0.01)
    assert await found(search, query) == expected


async def test_the_whole_library_is_searched_from_the_first_question(search: Followed) -> None:
    assert await found(search, "bunny") == ["t_bunny", "t_other"]
    assert await found(search, "title 699") == ["t_00699"]
    assert len(await found(search, "title", limit=500)) == 500
    assert len(await found(search, "drama", limit=3)) == 3


async def test_edits_and_withdrawals_are_followed(search: Followed, catalog: CatalogService) -> None:
    assert await found(search, "bunny") == ["t_bunny", "t_other"]
    await catalog.edit(MetadataChange(title_id="t_bunny", metadata=Metadata(name="Le Grand Lapin")))
    await becomes(search, "bunny", ["t_other"])
    assert await found(search, "lapin") == ["t_bunny"]
    await catalog.unpublish(TitleQuestion(title_id="t_bunny"))
    await becomes(search, "lapin", [])
    await catalog.publish(publication("t_bunny", "Big Buck Bunny", generation=2))
    await becomes(search, "buck", ["t_bunny"])


@pytest.mark.parametrize("query", ["bunyn", "BUNNY", "búnny", "bunn", "buny"])
async def test_typing_errors_cases_accents_and_halves_are_forgiven(search: Followed, query: str) -> None:
    assert (await found(search, query))[:1] == ["t_bunny"]


@pytest.mark.parametrize("query", ["", " ", '"', "name:(", "a" * 50_000, "\ud800", "\x00", "*", "AND", "🎬"])
async def test_no_query_is_an_error(search: Followed, query: str) -> None:
    assert isinstance(await found(search, query), list)
