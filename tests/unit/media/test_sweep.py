"""What nobody needs any more goes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import obstore

from nearcast.base.clock import VirtualClock
from nearcast.media import publish
from nearcast.media.sweep import KEEP_FAILED_S, RETIRED, retire, sweep
from nearcast.model.services import UploadQuestion
from nearcast.model.title import Metadata, Publication
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
    await sweep(fleet.service, fleet.service.work, [])
    assert fleet.file("t_1", "older.mp4").exists()
    await clock.advance(11)
    await sweep(fleet.service, fleet.service.work, [])
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
    await sweep(fleet.service, fleet.service.work, [])
    assert fleet.file("t_1", "old.mp4").exists()
    fleet.catalog.down = False
    await sweep(fleet.service, fleet.service.work, [])
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
    await sweep(fleet.service, fleet.service.work, [job])
    assert state() == "uploading"
    assert not stray.exists()
    await clock.advance(fleet.service.settings.upload_ttl_s + 1)
    await sweep(fleet.service, fleet.service.work, [job])
    assert state() == "cancelled"
    (job.folder / "chunks").mkdir()
    job.update(clock.now_s(), state="failed")
    await sweep(fleet.service, fleet.service.work, [job])
    assert (job.folder / "chunks").exists()
    await clock.advance(KEEP_FAILED_S + 1)
    await sweep(fleet.service, fleet.service.work, [job])
    assert not (job.folder / "chunks").exists()
    assert (job.folder / "job.json").exists()
