"""The catalog as a service: what is published is listed, found, followed and withdrawn."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, insert, update

from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.base.errors import BadInput
from nearcast.control.catalog import CatalogService, CatalogSettings
from nearcast.control.catalog.rules import BadMetadata, OldManifest
from nearcast.control.catalog.service import UnknownTitle
from nearcast.control.store import Store, sqlite_url
from nearcast.control.store.tables import catalog_version, titles
from nearcast.model.services import Catalog, ChangesQuestion, MetadataChange, TitleQuestion, TitlesQuestion
from nearcast.model.title import Metadata
from tests.unit.control.helpers import FAST, new_database, publication


async def listed(catalog: Catalog, **question: object) -> list[str]:
    return [each.id for each in (await catalog.titles(TitlesQuestion(**question))).titles]  # type: ignore[arg-type]  # shorthand


async def test_a_publication_comes_back_whole_and_as_a_title(catalog: CatalogService, clock: VirtualClock) -> None:
    one = publication(name="Ünï 🎬 ' % _ \\", synopsis="a\nb", year=1999, genres=("Sci-Fi", "日本"))
    assert await catalog.publish(one) == one
    assert await catalog.publication(TitleQuestion(title_id="t_one")) == one
    title = await catalog.title(TitleQuestion(title_id="t_one"))
    assert (title.metadata, title.state, title.runtime_s, title.max_height) == (one.metadata, "complete", 600.0, 1080)
    assert (title.audio_languages, title.text_languages, title.clear) == (("en",), ("fr",), False)
    assert (title.poster_url, title.published_at) == ("/api/v1/titles/t_one/poster.jpg", clock.now_s())


async def test_only_what_plays_is_listed_newest_first(catalog: CatalogService, clock: VirtualClock) -> None:
    await catalog.publish(publication("t_raw", state="processing"))
    for title_id, state in (("t_a", "playable"), ("t_b", "complete"), ("t_c", "complete")):
        await clock.advance(1)
        await catalog.publish(publication(title_id, state=state))  # type: ignore[arg-type]  # literals
    await catalog.unpublish(TitleQuestion(title_id="t_c"))
    assert await listed(catalog) == ["t_b", "t_a"]
    assert await listed(catalog, everything=True) == ["t_c", "t_b", "t_a", "t_raw"]
    page = await catalog.titles(TitlesQuestion(offset=1, limit=1))
    assert ([each.id for each in page.titles], page.total) == (["t_a"], 2)
    assert (await catalog.titles(TitlesQuestion(offset=10**6))).titles == ()


async def test_titles_by_ids_come_in_the_order_asked(catalog: CatalogService) -> None:
    for title_id in ("t_a", "t_b", "t_c"):
        await catalog.publish(publication(title_id, genres=("Drama",) if title_id == "t_b" else ()))
    ids = ("t_c", "t_nothing", "t_a", "t_c", "%", "", *(f"t_{n}" for n in range(2000)))
    answer = await catalog.titles(TitlesQuestion(ids=ids))
    assert ([each.id for each in answer.titles], answer.total) == (["t_c", "t_a"], 2)
    assert await listed(catalog, ids=("t_a", "t_b"), genre="drama") == ["t_b"]


@pytest.mark.parametrize(
    ("genre", "found"),
    [("sci-fi", True), ("SCI-FI ", True), ("sci", False), ("%", False), ("_ci-fi", False), ("' OR 1=1", False)],
)
async def test_genres_match_whole_and_in_any_case(catalog: CatalogService, genre: str, found: bool) -> None:
    await catalog.publish(publication(genres=("Sci-Fi",)))
    assert await listed(catalog, genre=genre) == (["t_one"] if found else [])


async def test_genres_follow_an_edit(catalog: CatalogService) -> None:
    await catalog.publish(publication(genres=("Drama",)))
    await catalog.edit(MetadataChange(title_id="t_one", metadata=Metadata(name="New", genres=("Comedy",))))
    assert (await listed(catalog, genre="drama"), await listed(catalog, genre="comedy")) == ([], ["t_one"])


@pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, -5), (0, 10**9), (10**30, 1)])
async def test_pages_that_cannot_be_are_refused(catalog: CatalogService, offset: int, limit: int) -> None:
    with pytest.raises(BadInput):
        await catalog.titles(TitlesQuestion(offset=offset, limit=limit))


async def test_unknown_titles_are_told_so(catalog: CatalogService) -> None:
    question = TitleQuestion(title_id="t_nothing")
    for ask in (catalog.title, catalog.publication, catalog.unpublish):
        with pytest.raises(UnknownTitle):
            await ask(question)
    with pytest.raises(UnknownTitle):
        await catalog.edit(MetadataChange(title_id="t_nothing", metadata=Metadata(name="X")))


async def test_an_older_manifest_is_refused_and_the_same_taken_again(catalog: CatalogService) -> None:
    await catalog.publish(publication(generation=2))
    await catalog.publish(publication(generation=2))
    with pytest.raises(OldManifest):
        await catalog.publish(publication(generation=1))
    assert (await catalog.publication(TitleQuestion(title_id="t_one"))).manifest == publication(generation=2).manifest


async def test_of_publications_that_race_the_newest_stands(catalog: CatalogService) -> None:
    await asyncio.gather(*(catalog.publish(publication(generation=n)) for n in (3, 1, 5, 2, 4)), return_exceptions=True)
    stored = await catalog.publication(TitleQuestion(title_id="t_one"))
    assert stored.manifest is not None
    assert stored.manifest.generation == 5


async def test_what_an_editor_wrote_outlives_the_rest_of_an_ingest(catalog: CatalogService) -> None:
    await catalog.publish(publication(name="raw name", state="playable", generation=1))
    await catalog.edit(MetadataChange(title_id="t_one", metadata=Metadata(name="Edited", year=2001)))
    assert (await catalog.publish(publication(name="raw name", generation=2))).metadata == Metadata(name="Edited", year=2001)
    assert (await catalog.title(TitleQuestion(title_id="t_one"))).metadata.name == "Edited"
    assert (await catalog.publish(publication(name="another name", generation=3))).metadata.name == "another name"


async def test_a_title_published_anew_keeps_what_the_new_submission_leaves_empty(catalog: CatalogService) -> None:
    """`nearcast ingest FILE --title-id T` alone once renamed T after the file, and emptied its synopsis, genres and credit."""
    edited = Metadata(name="Edited", synopsis="Syn", year=2001, genres=("Drama",), credit="Someone")
    await catalog.publish(publication(name="Old", generation=1))
    await catalog.edit(MetadataChange(title_id="t_one", metadata=edited))
    assert (await catalog.publish(publication(name="", generation=2))).metadata == edited
    again = await catalog.publish(publication(name="", genres=("Comedy",), generation=3))
    assert again.metadata == msgspec.structs.replace(edited, genres=("Comedy",))


async def test_a_new_title_needs_a_name(catalog: CatalogService) -> None:
    with pytest.raises(BadMetadata):
        await catalog.publish(publication(name=""))


async def test_a_withdrawn_title_comes_back_with_its_date(catalog: CatalogService, clock: VirtualClock) -> None:
    await catalog.publish(publication())
    published_at = clock.now_s()
    await clock.advance(1000)
    withdrawn = await catalog.unpublish(TitleQuestion(title_id="t_one"))
    assert (withdrawn.state, withdrawn.manifest) == ("unpublished", publication().manifest)
    assert await listed(catalog) == []
    await catalog.publish(publication(generation=2))
    assert (await catalog.title(TitleQuestion(title_id="t_one"))).published_at == published_at


async def test_changes_tell_everything_published_or_only_what_changed(catalog: CatalogService) -> None:
    assert await catalog.changes(ChangesQuestion()) == await catalog.changes(ChangesQuestion(delta=True))
    await catalog.publish(publication("t_a"))
    await catalog.publish(publication("t_b"))
    seen = (await catalog.changes(ChangesQuestion())).version
    await catalog.unpublish(TitleQuestion(title_id="t_a"))
    whole = await catalog.changes(ChangesQuestion(after=seen))
    assert [each.title_id for each in whole.publications] == ["t_b"]
    delta = await catalog.changes(ChangesQuestion(after=seen, delta=True))
    assert [(each.title_id, each.state) for each in delta.publications] == [("t_a", "unpublished")]
    assert whole.version == delta.version == seen + 1
    assert (await catalog.changes(ChangesQuestion(after=whole.version))).publications == ()


async def test_a_delta_comes_in_parts_that_add_up(catalog: CatalogService, store: Store) -> None:
    await store.write(lambda connection: many(connection, 450))
    found: dict[str, int] = {}
    after, parts = 0, 0
    while (changes := await catalog.changes(ChangesQuestion(after=after, delta=True))).publications:
        for each in changes.publications:
            found[each.title_id] = found.get(each.title_id, 0) + 1
        after, parts = changes.version, parts + 1
    assert (len(found), set(found.values()), parts) == (450, {1}, 3)


async def test_a_follower_ahead_of_a_restored_catalog_is_told_everything(catalog: CatalogService) -> None:
    await catalog.publish(publication())
    changes = await catalog.changes(ChangesQuestion(after=99, delta=True))
    assert (changes.version, len(changes.publications)) == (1, 1)


async def test_waiting_ends_when_its_time_is_over(catalog: CatalogService, clock: VirtualClock) -> None:
    waiting = asyncio.create_task(catalog.changes(ChangesQuestion(wait_s=3.0)))
    while not waiting.done():
        await asyncio.sleep(0.001)
        if clock._sleepers:  # else it is asking its store, which takes as long as the machine makes it
            await clock.advance(0.25)
    assert (await waiting).publications == ()
    assert 3.0 <= clock.monotonic_s() <= 4.0


async def test_a_change_by_another_store_wakes_who_waits(tmp_path: Path) -> None:
    one, other = (Store(url, FAST) for url in [sqlite_url(new_database(tmp_path))] * 2)
    settings = CatalogSettings(poll_s=0.01)
    follower, writer = (CatalogService(each, clock=SystemClock(), settings=settings) for each in (one, other))
    waiting = asyncio.create_task(follower.changes(ChangesQuestion(wait_s=30.0)))
    await asyncio.sleep(0.03)
    assert not waiting.done()
    await writer.publish(publication())
    assert len((await asyncio.wait_for(waiting, 60)).publications) == 1
    one.close()
    other.close()


def many(connection: Connection, count: int) -> None:
    blank = {"synopsis": "", "year": None, "genres": '["Drama"]', "credit": "", "state": "complete", "generation": 1, "runtime_s": 60.0,
             "max_height": 1080, "audio_languages": '["en"]', "text_languages": "[]", "poster": True, "clear": False, "source_sha256": "",
             "submitted_metadata": "", "manifest": None}  # fmt: skip
    rows = [{"id": f"t_{n:05}", "name": f"Title {n}", "version": n + 1, "published_at": float(n), **blank} for n in range(count)]
    connection.execute(insert(titles), rows)
    connection.execute(update(catalog_version).values(version=count))


async def test_ten_thousand_titles_are_listed_by_an_index_not_a_scan(catalog: CatalogService, store: Store) -> None:
    await store.write(lambda connection: many(connection, 10_000))
    page = await catalog.titles(TitlesQuestion(offset=9_990, limit=200))
    assert ([each.id for each in page.titles[-2:]], len(page.titles), page.total) == (["t_00001", "t_00000"], 10, 10_000)

    def plan(connection: Connection) -> str:
        query = "SELECT id, name FROM titles WHERE state IN ('playable', 'complete') ORDER BY published_at DESC, id DESC LIMIT 200"
        query = f"EXPLAIN QUERY PLAN {query}"
        return str(connection.exec_driver_sql(query).all())

    assert "ix_titles_published_at_id_state" in await store.read(plan)
