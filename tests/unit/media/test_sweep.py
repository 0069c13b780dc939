"""What nobody needs any more goes, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import obstore
import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.control.catalog import CatalogService
from nearcast.media import publish
from nearcast.media.files import DiskFailed
from nearcast.media.ingest import SWEEP_S
from nearcast.media.sweep import KEEP_FAILED_S, RETIRED, retire, sweep
from nearcast.media.workshop import TRASH, Workshop
from nearcast.model.manifest import Manifest
from nearcast.model.services import Changes, ChangesQuestion, MetadataChange, TitleQuestion, UploadQuestion
from nearcast.model.title import Metadata, Publication
from tests.fakes import FakeCatalog
from tests.unit.control.helpers import new_store
from tests.unit.media.fleet import Fleet
from tests.unit.media.test_publish import made


def virtual(fleet: Fleet) -> VirtualClock:
    fleet.service.clock = clock = VirtualClock()
    for folder in (fleet.service.work, fleet.service.uploads):
        folder.mkdir(parents=True)
    return clock


def gone(name: str, delete_at: float, title_id: str = "t_1") -> publish.Retired:
    return publish.Retired(title_id=title_id, name=name, delete_at=delete_at)


async def test_files_of_an_older_generation_go_when_their_time_has_come(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    now_s = clock.now_s()
    manifest = made(tmp_path, b"still named")
    (kept,) = manifest.files()
    fleet.catalog.held["t_1"] = Publication(title_id="t_1", metadata=Metadata(name="x"), state="complete", manifest=manifest)
    for name in ("old.mp4", "older.mp4", kept.name):
        obstore.put(fleet.service.store, f"titles/t_1/{name}", b"x")
    retire(fleet.service, [gone("older.mp4", now_s + 10)])
    retire(fleet.service, [gone("old.mp4", now_s + 100), gone(kept.name, now_s + 10), gone("never.mp4", now_s + 10, "t_unknown")])
    await sweep(fleet.service)
    assert fleet.file("t_1", "older.mp4").exists()
    await clock.advance(11)
    await sweep(fleet.service)
    assert not fleet.file("t_1", "older.mp4").exists()
    assert fleet.file("t_1", "old.mp4").exists()
    assert fleet.file("t_1", kept.name).exists(), "published again in the meantime"
    left = msgspec.json.decode((fleet.service.work / RETIRED).read_bytes(), type=list[publish.Retired])
    assert [each.name for each in left] == ["old.mp4"]


async def test_a_catalog_that_is_away_lets_nothing_be_deleted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    obstore.put(fleet.service.store, "titles/t_1/old.mp4", b"x")
    retire(fleet.service, [gone("old.mp4", clock.now_s() - 1)])
    fleet.catalog.down = True
    await sweep(fleet.service)
    assert fleet.file("t_1", "old.mp4").exists()
    fleet.catalog.down = False
    await sweep(fleet.service)
    assert not fleet.file("t_1", "old.mp4").exists()


async def test_uploads_that_never_came_and_old_failures_go(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    answer = await fleet.service.upload(UploadQuestion(file_name="x", size_bytes=9, metadata=Metadata(name="x")))
    job = fleet.service.job(answer.job.id)

    def state() -> str:
        return job.state

    stray = fleet.service.uploads / "j_forgotten"
    stray.mkdir()
    await sweep(fleet.service)
    assert state() == "uploading"
    assert not stray.exists()
    await clock.advance(fleet.service.settings.upload_ttl_s + 1)
    await sweep(fleet.service)
    assert state() == "cancelled"
    (job.folder / "chunks").mkdir()
    job.update(clock.now_s(), state="failed")
    await sweep(fleet.service)
    assert (job.folder / "chunks").exists()
    await clock.advance(KEEP_FAILED_S + 1)
    await sweep(fleet.service)
    assert not (job.folder / "chunks").exists()
    assert (job.folder / "job.json").exists()


class Meanwhile(FakeCatalog):
    """While it is asked, an upload begins."""

    fleet: Fleet

    async def changes(self, question: ChangesQuestion) -> Changes:
        answer = await self.fleet.service.upload(UploadQuestion(file_name="x", size_bytes=9, metadata=Metadata(name="x")))
        (self.fleet.service.uploads / answer.job.id).mkdir()
        return await super().changes(question)


async def test_an_upload_that_began_during_the_sweep_is_not_taken_for_a_stray_one(tmp_path: Path) -> None:
    catalog = Meanwhile()
    fleet = catalog.fleet = Fleet(tmp_path, catalog=catalog)
    virtual(fleet)
    await sweep(fleet.service)
    (begun,) = fleet.service.known()
    assert (fleet.service.uploads / begun.id).is_dir()


async def test_a_sick_disk_is_told_and_a_job_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tmp_path)
    virtual(fleet)
    answer = await fleet.service.upload(UploadQuestion(file_name="x", size_bytes=9, metadata=Metadata(name="x")))
    job = fleet.service.job(answer.job.id)

    def sick(path: Path) -> Iterator[Path]:
        raise OSError(errno.EIO, "sick", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", sick)
        with pytest.raises(DiskFailed):
            await sweep(fleet.service)
        fleet.service.end(job, "cancelled")
    assert job.state == "cancelled"


async def test_a_sweep_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = [OSError(5, "sick"), ZeroDivisionError("a defect"), Unavailable("away")]
    swept = []

    async def failing(shop: Workshop) -> None:
        swept.append(shop)
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr("nearcast.media.ingest.sweep", failing)
    clock = VirtualClock()
    async with Fleet(tmp_path, clock=clock):
        await asyncio.sleep(0)
        for _ in range(4):
            await clock.advance(SWEEP_S)
    assert len(swept) == 5


async def published(fleet: Fleet, tmp_path: Path) -> Manifest:
    """A title of a minute, in the catalog and in the origin."""
    manifest = made(tmp_path, b"a film")
    await publish.put_files(fleet.service.store, manifest, tmp_path)
    await publish.put_manifest(fleet.service.store, manifest)
    await fleet.catalog.publish(Publication(title_id="t_1", metadata=Metadata(name="x"), state="complete", manifest=manifest))
    return manifest


def there(fleet: Fleet) -> set[str]:
    return {each.name for each in (fleet.origin / "titles" / "t_1").iterdir()}


TOKEN_S = 2 * 60 + 6 * 3600


async def test_a_withdrawn_title_leaves_the_origin_with_its_last_token(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    manifest = await published(fleet, tmp_path)
    await sweep(fleet.service)
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    await sweep(fleet.service)
    await clock.advance(TOKEN_S - 1)
    await sweep(fleet.service)
    assert there(fleet) == publish.names(manifest), "a session that began before may still read it"
    await clock.advance(2)
    await sweep(fleet.service)
    assert there(fleet) == set()
    assert msgspec.json.decode((fleet.service.work / RETIRED).read_bytes()) == []


async def test_a_title_that_came_back_stays_and_its_next_withdrawal_begins_anew(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    manifest = await published(fleet, tmp_path)
    held = fleet.catalog.held["t_1"]
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    await sweep(fleet.service)
    await clock.advance(TOKEN_S - 10)
    await fleet.catalog.publish(held)
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    await sweep(fleet.service)
    await clock.advance(20)
    await sweep(fleet.service)
    assert there(fleet) == publish.names(manifest), "somebody may have pressed Play while it was back"
    await fleet.catalog.publish(held)
    await clock.advance(TOKEN_S)
    await sweep(fleet.service)
    assert there(fleet) == publish.names(manifest)


async def test_nothing_is_deleted_while_its_title_is_being_published_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    manifest = await published(fleet, tmp_path)
    held = fleet.catalog.held["t_1"]
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    await sweep(fleet.service)
    await clock.advance(TOKEN_S + 1)
    async with fleet.service.origin_of("t_1"):  # as the runner does from the first file to the flip
        sweeping = asyncio.create_task(sweep(fleet.service))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert there(fleet) == publish.names(manifest)
        await fleet.catalog.publish(held)
    await sweeping
    assert there(fleet) == publish.names(manifest)


async def test_a_restart_does_not_put_the_end_of_a_withdrawn_title_off(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    await published(fleet, tmp_path)
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    await sweep(fleet.service)
    await clock.advance(TOKEN_S + 1)
    again = Fleet(tmp_path, catalog=fleet.catalog, clock=clock)
    await sweep(again.service)
    assert there(fleet) == set()


async def test_a_catalog_from_a_backup_is_looked_through_anew(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    clock = virtual(fleet)
    await published(fleet, tmp_path)
    fleet.catalog.version = 1000
    await sweep(fleet.service)
    await fleet.catalog.unpublish(TitleQuestion(title_id="t_1"))
    fleet.catalog.version = 7
    await sweep(fleet.service)
    await clock.advance(TOKEN_S + 1)
    await sweep(fleet.service)
    assert there(fleet) == set()


async def test_the_real_catalog_tells_what_was_withdrawn(tmp_path: Path) -> None:
    store, clock = new_store(tmp_path), VirtualClock()
    catalog = CatalogService(store, clock=clock)
    fleet = Fleet(tmp_path, catalog=catalog, clock=clock)  # type: ignore[arg-type]  # in place of the fake
    fleet.service.work.mkdir()
    manifest = made(tmp_path, b"a film", playable=True)
    await publish.put_files(fleet.service.store, manifest, tmp_path)
    held = await catalog.publish(Publication(title_id="t_1", metadata=Metadata(name="x"), state="complete", manifest=manifest))
    for step in ("shown", "withdrawn", "back", "withdrawn again", "edited"):
        if step.startswith("withdrawn"):
            await catalog.unpublish(TitleQuestion(title_id="t_1"))
        elif step == "back":
            await catalog.publish(held)
        elif step == "edited":
            await catalog.edit(MetadataChange(title_id="t_1", metadata=Metadata(name="y")))
        await sweep(fleet.service)
        waiting = msgspec.json.decode((fleet.service.work / RETIRED).read_bytes(), type=list[publish.Retired])
        assert {each.name for each in waiting} == (set() if step in ("shown", "back") else publish.names(manifest))
        assert len(waiting) == len({each.name for each in waiting})
    await clock.advance(TOKEN_S + 1)
    await sweep(fleet.service)
    assert there(fleet) == set()
    store.close()


async def test_big_folders_are_deleted_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tmp_path)
    virtual(fleet)
    threads = []

    def slow(path: Path, **_: object) -> None:
        threads.append(threading.current_thread())
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr("nearcast.media.workshop.shutil.rmtree", slow)
    answer = await fleet.service.upload(UploadQuestion(file_name="x", size_bytes=9, metadata=Metadata(name="x")))
    job = fleet.service.job(answer.job.id)
    for folder in (job.folder / "chunks", fleet.service.uploads / job.id):
        folder.mkdir()
        (folder / "big").write_bytes(b"x")
    fleet.service.end(job, "cancelled")
    assert not (job.folder / "chunks").exists(), "nobody meets a folder that is half gone"
    assert not (fleet.service.uploads / job.id).exists()
    await fleet.service.stop()
    left = fleet.service.work / TRASH / "left by a stop"
    left.mkdir()
    await sweep(fleet.service)
    assert not list((fleet.service.work / TRASH).iterdir())
    assert len(threads) == 3
    assert threading.main_thread() not in threads
