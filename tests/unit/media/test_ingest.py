"""The Ingest service over real tools: a film becomes a title, once, whole, and again after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import NearcastError, NotFound, Unavailable
from nearcast.media import blocks, probe
from nearcast.media.jobs import AlreadyIngesting, BadSubmission, Job, NoSuchJob
from nearcast.media.runner import Runner
from nearcast.media.settings import QualitySettings
from nearcast.model.ingest import JobState, SideTrack
from nearcast.model.manifest import Manifest
from nearcast.model.services import EventsQuestion, JobQuestion, Nothing
from nearcast.model.title import Metadata, Publication
from tests.fakes import FakeCatalog
from tests.unit.media import films
from tests.unit.media.fleet import QUICK, Fleet, with_encode


def manifest_of(fleet: Fleet, title_id: str) -> Manifest:
    found = fleet.catalog.held[title_id].manifest
    assert found is not None
    return found


async def until(true: Callable[[], bool], timeout_s: float = 200) -> None:
    """Wait for what another process does to the disk."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110  (files have no events)
            await asyncio.sleep(0.02)


async def test_a_film_becomes_a_title(tmp_path: Path, small_film: Path) -> None:
    settings = msgspec.structs.replace(QUICK, quality=QualitySettings(frames_max=24))
    subtitles = tmp_path / "film.en.vtt"
    subtitles.write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nA test picture\n")
    dub = tmp_path / "dub.m4a"
    films.ffmpeg(*films.tone(3, 660), "-c:a", "aac", dub)
    async with Fleet(tmp_path, settings) as fleet:
        submitted = await fleet.submit(
            small_film, subtitles=(SideTrack(path=str(subtitles), language="en"),), audio=(SideTrack(path=str(dub), language="fra"),)
        )
        job, events = await fleet.ended(submitted.id)
        assert (job.state, job.error, job.playable) == ("done", "", True)
        manifest = manifest_of(fleet, job.title_id)
    assert fleet.catalog.held[job.title_id].state == "complete"
    assert fleet.catalog.held[job.title_id].source_sha256 == probe.content_sha256(small_film)
    assert [each.name for each in manifest.video] == ["240p", "360p"]
    assert [each.language for each in manifest.audio] == ["und", "fr"]
    assert [each.language for each in manifest.text] == ["en"]
    assert manifest.poster is not None
    assert manifest.thumbnails is not None
    assert abs(manifest.duration_s - 3) < 0.1
    assert manifest.pssh
    for each in manifest.video:
        assert each.key_label == "SD"
        assert each.vmaf is not None
        assert 20 < each.vmaf.percentile_1 <= each.vmaf.percentile_5 <= 100
    for file in manifest.files():
        content = fleet.file(job.title_id, file.name).read_bytes()
        assert len(content) == file.size_bytes
        digests = fleet.file(job.title_id, file.blocks_name).read_bytes()
        assert digests == blocks.digests(content)
        assert blocks.root(digests) == file.root
    kinds = [each.kind for each in events]
    assert kinds.index("playable") < len(kinds) - 1
    assert {each.progress.item for each in events if each.progress and each.progress.stage == "encode"} >= {"240p", "360p", "audio-und"}
    assert [each.sequence for each in events] == sorted({each.sequence for each in events})


async def test_a_stream_with_one_keyframe_and_no_index_has_a_poster(tmp_path: Path) -> None:
    source = tmp_path / "broadcast.ts"
    films.ffmpeg(
        *films.picture("640x360", duration_s=4), "-c:v", "libx264", "-preset", "ultrafast", "-g", "9999", "-sc_threshold", "0", source
    )
    async with Fleet(tmp_path) as fleet:
        job = await fleet.ingest(source, clear=True)
        assert (job.state, job.error) == ("done", "")
        assert manifest_of(fleet, job.title_id).poster is not None


async def test_every_frame_survives_the_borders_of_chunks_and_encryption(tmp_path: Path) -> None:
    source = tmp_path / "counted.mp4"
    films.ffmpeg(*films.numbered(7.5, "426x240"), *films.FAST, source)
    async with Fleet(tmp_path, with_encode(crf=1)) as fleet:
        job = await fleet.ingest(source)
        manifest = manifest_of(fleet, job.title_id)
    (rendition,) = manifest.video
    path = fleet.file(job.title_id, rendition.file.name)
    key = ("-decryption_key", fleet.clear_key(job.title_id, "SD"))
    found = films.packets(path, "pts_time,flags", *key)
    times = sorted(float(each[0]) for each in found)
    assert [round(each * 24) for each in times] == list(range(180))
    keyframes = [round(float(each[0]) * 24) for each in found if "K" in each[1]]
    assert keyframes == list(range(0, 180, 24))
    shown = films.mean_luma(path, *key)
    assert not [(number, a, b) for number, (a, b) in enumerate(zip(films.luma(180), shown, strict=True)) if abs(a - b) > films.NEAR]


async def test_the_title_plays_before_the_better_renditions_are_in(tmp_path: Path, small_film: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        job = await fleet.ingest(small_film, clear=True)
        seen = [each for each in fleet.catalog.calls if getattr(each, "manifest", None)]
    assert [seen[0].state, seen[-1].state] == ["playable", "complete"]
    assert [each.name for each in seen[0].manifest.video] == ["360p"]
    assert seen[0].manifest.audio
    generations = [each.manifest.generation for each in seen]
    assert generations == sorted(set(generations))
    assert manifest_of(fleet, job.title_id).clear
    assert not fleet.keys.calls, "a clear title asks for no keys"


async def test_a_second_command_is_refused_and_takes_over_when_the_first_is_gone(tmp_path: Path) -> None:
    film = films.film(tmp_path / "twice.mp4", size="1280x720", duration_s=20, sound=False)
    copy = tmp_path / "copy.mp4"
    shutil.copy(film, copy)
    clock, same = VirtualClock(), Metadata(name="Twice")
    async with Fleet(tmp_path, with_encode(preset="slow"), clock=clock) as fleet:
        lease_s = fleet.service.settings.follower_lease_s
        first = await fleet.submit(film, metadata=same, follower="one")
        with pytest.raises(AlreadyIngesting, match=r"copy\.mp4"):
            await fleet.submit(copy, metadata=same, follower="two")
        await clock.advance(lease_s * 0.8)
        await fleet.service.events(EventsQuestion(job_id=first.id, follower="one"))
        await clock.advance(lease_s * 0.8)
        with pytest.raises(AlreadyIngesting):
            await fleet.submit(copy, metadata=same, follower="two")
        await fleet.service.events(EventsQuestion(job_id=first.id))
        await clock.advance(lease_s * 0.3)
        assert (await fleet.submit(copy, metadata=same, follower="two")).id == first.id, "a mere look does not follow"
        ended = await fleet.service.cancel(JobQuestion(job_id=first.id))
        assert ended.state == "cancelled"
        assert not list((fleet.root / "work" / first.id).glob("chunks/*"))
        assert (await fleet.service.cancel(JobQuestion(job_id=first.id))).state == "cancelled"


async def test_what_was_finished_is_not_done_again_after_a_crash(tmp_path: Path) -> None:
    film = films.film(tmp_path / "survivor.mp4", size="640x360", duration_s=8)
    async with Fleet(tmp_path, with_encode(preset="slow", chunks_at_once=1)) as fleet:
        catalog = fleet.catalog
        job = await fleet.submit(film)
        chunks = tmp_path / "work" / job.id / "chunks"
        await until(lambda: len(_finished(chunks)) >= 6)
    finished = _finished(chunks)
    async with Fleet(tmp_path, QUICK, catalog) as again:
        while chunks.exists() and (await again.service.jobs(Nothing())).jobs[0].state != "done":
            now = _finished(chunks)
            assert not {name for name in finished if name in now and now[name] != finished[name]}
            await asyncio.sleep(0.02)
        ended, events = await again.ended(job.id)
        assert ended.state == "done"
        assert events[0].sequence > 1, "numbers go on counting"
        assert manifest_of(again, job.title_id).complete
    assert len(_frames(again, job.title_id)) == 8 * 24
    flips = [each.manifest for each in catalog.calls if getattr(each, "manifest", None)]
    assert [each.generation for each in flips] == sorted(each.generation for each in flips)
    assert [len(each.video) for each in flips] == sorted(len(each.video) for each in flips), "a resumed job takes nothing back"


def _finished(chunks: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mtime_ns for each in chunks.glob("*") if not each.name.endswith(".part")}


def _frames(fleet: Fleet, title_id: str) -> list[list[str]]:
    best = manifest_of(fleet, title_id).video[-1]
    return films.packets(fleet.file(title_id, best.file.name), "pts_time")


class HaltingCatalog(FakeCatalog):
    """Takes the first manifest and then nothing more, so that the job cannot end before the test has seen it at work."""

    halts = True

    async def publish(self, question: Publication) -> Publication:
        if self.halts and question.title_id in self.held:
            await asyncio.Event().wait()
        return await super().publish(question)


async def test_a_job_killed_while_it_packages_takes_nothing_back(tmp_path: Path, small_film: Path) -> None:
    """The folder is that of a job whose worker had packaged everything but published only part of it."""
    catalog = HaltingCatalog()
    async with Fleet(tmp_path, catalog=catalog) as fleet:
        job = await fleet.submit(small_film, clear=True)
        renditions = tmp_path / "work" / job.id / "renditions"
        await until(lambda: (renditions / "240p.json").exists())
    catalog.halts = False
    async with Fleet(tmp_path, catalog=catalog) as again:
        ended, _ = await again.ended(job.id)
    assert ended.state == "done"
    flips = [each.manifest for each in catalog.calls if getattr(each, "manifest", None)]
    assert [len(each.video) for each in flips] == sorted(len(each.video) for each in flips)
    assert flips[-1].complete
    assert flips[-1].thumbnails


async def test_a_worker_that_was_killed_is_started_again(tmp_path: Path) -> None:
    film = films.film(tmp_path / "survivor.mp4", size="640x360", duration_s=8)
    async with Fleet(tmp_path, with_encode(preset="veryslow")) as fleet:
        job = await fleet.submit(film, clear=True)
        chunks = tmp_path / "work" / job.id / "chunks"
        await until(lambda: bool(_finished(chunks)))
        os.kill(min(_workers(job.id)), signal.SIGKILL)
        ended, _ = await fleet.ended(job.id)
        assert ended.state == "done"
        await until(lambda: not _workers(job.id))
    assert len(_frames(fleet, job.title_id)) == 8 * 24


async def test_a_worker_that_always_dies_is_given_up(tmp_path: Path, small_film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.media.child.sys.executable", "/bin/false")
    async with Fleet(tmp_path) as fleet:
        job = await fleet.ingest(small_film)
    assert (job.state, job.error_code) == ("failed", "NC1504")
    assert not fleet.catalog.held


def _workers(job_id: str) -> list[int]:
    found = []
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (each / "cmdline").read_bytes() if each.name.isdigit() else b""
            if b"nearcast.media.worker" in command and job_id.encode() in command:
                found.append(int(each.name))
    return found


async def test_a_title_published_anew_keeps_playing_and_its_old_files_are_retired(tmp_path: Path, small_film: Path) -> None:
    other = films.film(tmp_path / "other.mp4", size="640x360", duration_s=2)
    async with Fleet(tmp_path) as fleet:
        first = await fleet.ingest(small_film)
        before = manifest_of(fleet, first.title_id)
        calls = len(fleet.catalog.calls)
        second = await fleet.ingest(other, title_id=first.title_id, metadata=Metadata(name=""))
        assert (second.title_id, second.name) == (first.title_id, first.name)
        flips = [each.manifest for each in fleet.catalog.calls[calls:] if getattr(each, "manifest", None)]
        after = manifest_of(fleet, first.title_id)
        assert all(each.complete for each in flips), "nobody sees the new film before it is whole"
        assert after.generation > before.generation
        assert abs(after.duration_s - 2) < 0.1
        gone = msgspec.json.decode((tmp_path / "work" / "retired.json").read_bytes())
        assert {each["name"] for each in gone} >= {before.video[0].file.name, before.video[0].file.blocks_name}
        assert fleet.file(first.title_id, before.video[0].file.name).exists(), "running sessions still read it"


async def test_an_unknown_title_cannot_be_published_anew(tmp_path: Path, small_film: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        for title_id in ("nosuchtitle", "t_abcdefghjkmnpqrs"):
            with pytest.raises(NotFound):
                await fleet.submit(small_film, title_id=title_id)
        assert not (await fleet.service.jobs(Nothing())).jobs


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "NC1104"), (b"Dear viewer, this is no film.\n" * 50, "NC1102"), (b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n/etc/passwd\n", "NC1102")],
)
async def test_a_file_that_is_no_film_leaves_nothing_behind(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)
    async with Fleet(tmp_path) as fleet:
        try:
            job = await fleet.ingest(path)
            assert job.state == "failed"
            found, hint, text = job.error_code, job.hint, job.error
        except NearcastError as error:
            found, hint, text = error.code, error.hint, error.message
        assert (found, bool(hint)) == (code, True)
        assert "letter.mp4" in text
        assert not fleet.catalog.held
        assert not list(fleet.origin.rglob("*.*"))


async def test_submissions_that_make_no_sense(tmp_path: Path, small_film: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        with pytest.raises(BadSubmission, match="no name"):
            await fleet.submit(small_film, metadata=Metadata(name=" "))
        with pytest.raises(BadSubmission, match="absolute"):
            await fleet.submit(Path("film.mp4"))
        with pytest.raises(probe.Unreadable, match="nowhere"):
            await fleet.submit(tmp_path / "nowhere.mp4")
        with pytest.raises(probe.Unreadable, match="not a file"):
            await fleet.submit(tmp_path)
        with pytest.raises(probe.Unreadable, match=r"missing\.vtt"):
            await fleet.submit(small_film, subtitles=(SideTrack(path=str(tmp_path / "missing.vtt"), language="en"),))
        with pytest.raises(NoSuchJob):
            await fleet.service.events(EventsQuestion(job_id="j_unknown"))


async def test_a_failed_job_goes_on_when_the_film_is_ingested_again(tmp_path: Path, small_film: Path) -> None:
    bad = tmp_path / "bad.en.vtt"
    bad.write_text("WEBVTT\n\n00:02.000 --> 00:01.000\nbackwards\n")
    track = (SideTrack(path=str(bad), language="en"),)
    async with Fleet(tmp_path) as fleet:
        failed = await fleet.ingest(small_film, subtitles=track)
        assert (failed.state, failed.error_code) == ("failed", "NC1201")
        assert "line 3" in failed.error
        bad.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nforwards\n")
        done = await fleet.ingest(small_film, subtitles=track)
        assert (done.id, done.title_id, done.state, done.error) == (failed.id, failed.title_id, "done", "")


async def test_a_catalog_that_is_away_is_waited_for(tmp_path: Path, small_film: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        fleet.catalog.down = True
        job = await fleet.submit(small_film, clear=True)
        await until(lambda: any((tmp_path / "work" / job.id).glob("manifests/manifest-*.json")))
        assert not fleet.catalog.held
        fleet.catalog.down = False
        ended, _ = await fleet.ended(job.id)
        assert ended.state == "done"


async def test_a_withdrawn_title_is_not_brought_back_by_its_own_ingest(tmp_path: Path) -> None:
    film = films.film(tmp_path / "withdrawn.mp4", size="1280x720", duration_s=6, sound=False)
    async with Fleet(tmp_path, with_encode(preset="slow")) as fleet:
        job = await fleet.submit(film, clear=True)
        await until(lambda: job.title_id in fleet.catalog.held)
        fleet.catalog.held[job.title_id] = msgspec.structs.replace(fleet.catalog.held[job.title_id], state="unpublished")
        ended, _ = await fleet.ended(job.id)
        assert ended.state == "cancelled"
        assert fleet.catalog.held[job.title_id].state == "unpublished"


class Watching(FakeCatalog):
    """Looks whether a sweep could come in between while a manifest is published."""

    fleet: Fleet | None = None

    async def publish(self, question: Publication) -> Publication:
        assert self.fleet is not None
        assert self.fleet.service.origin_of(question.title_id).locked()
        return await super().publish(question)


async def test_no_sweep_comes_between_files_and_their_flip(tmp_path: Path, small_film: Path) -> None:
    catalog = Watching()
    async with Fleet(tmp_path, catalog=catalog) as fleet:
        catalog.fleet = fleet
        assert (await fleet.ingest(small_film, clear=True)).error == ""
    left = sorted(each.name for each in fleet.origin.rglob("manifest-*.json"))
    gone = msgspec.json.decode((tmp_path / "work" / "retired.json").read_bytes())
    last = max(int(each.split("-")[1].split(".")[0]) for each in left)
    assert {each["name"] for each in gone} >= {each for each in left if each != f"manifest-{last}.json"}


async def test_subtitles_inside_the_film_become_tracks_of_the_title(tmp_path: Path) -> None:
    given, own, film = tmp_path / "given.en.vtt", tmp_path / "own.srt", tmp_path / "subtitled.mkv"
    given.write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nGiven\n")
    own.write_text("1\n00:00:00,500 --> 00:00:01,000\nTom <i>&</i> Jerry <3\n\n2\n00:00:01,200 --> 00:00:01,900\nA --> B\n\n")
    codecs = ["-c:s:0", "subrip", "-c:s:1", "ass", "-c:s:2", "copy", *films.FAST, "-c:a", "aac"]
    tags = ["-metadata:s:s:0", "language=fra", "-metadata:s:s:1", "language=pt-BR", "-metadata:s:s:2", "language=ger"]
    inputs = [*films.picture("426x240"), *films.tone(2), "-i", own, "-f", "sup", "-i", films.picture_subtitles(tmp_path / "pictures.sup")]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "2", "-map", "3"]
    films.ffmpeg(*inputs, *maps, *codecs, *tags, "-output_ts_offset", "50", film)
    async with Fleet(tmp_path) as fleet:
        submitted = await fleet.submit(film, clear=True, subtitles=(SideTrack(path=str(given), language="en"),))
        job, events = await fleet.ended(submitted.id)
        assert job.error == ""
        manifest = manifest_of(fleet, job.title_id)
    assert [each.language for each in manifest.text] == ["en", "fr", "pt-BR"]
    for track in manifest.text[1:]:
        said = fleet.file(job.title_id, track.file.name).read_text()
        assert "00:00.500 --> 00:01.000" in said
        assert "Tom <i>&amp;</i> Jerry &lt;3" in said
        assert "A → B" in said
    (warning,) = [each.text for each in events if each.kind == "warning"]
    assert "de (hdmv_pgs_subtitle)" in warning


async def test_a_job_that_cannot_even_be_ended_does_not_stop_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_: Runner) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(Runner, "run", run)
    async with Fleet(tmp_path, msgspec.structs.replace(QUICK, jobs_at_once=1)) as fleet:
        end, asked = fleet.service.end, []

        def broken_once(job: Job, state: JobState, error: NearcastError | None = None) -> None:
            asked.append(job.id)
            if len(asked) == 1:
                raise OSError(5, "sick")
            end(job, state, error)

        monkeypatch.setattr(fleet.service, "end", broken_once)
        for name in ("one", "two"):
            (tmp_path / name).write_text(name)
            job, _ = await fleet.ended((await fleet.submit(tmp_path / name)).id)
            assert job.state == "failed"
