"""tus uploads over plain ASGI: whole, in pieces, wrong, and by who may not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from nearcast.base.errors import TooLarge, Unavailable
from nearcast.media import arrival
from nearcast.media.jobs import AlreadyIngesting, BadSubmission, UploadCancelled
from nearcast.media.probe import Fingerprint, fingerprint
from nearcast.media.sweep import sweep
from nearcast.media.tools import DiskFull
from nearcast.media.upload import application
from nearcast.model.services import EventsQuestion, JobQuestion, TitleQuestion, UploadAnswer, UploadQuestion
from nearcast.model.title import Metadata, Publication
from tests.fakes import FakeCatalog
from tests.unit.media.fleet import Fleet

ORIGIN = "http://127.0.0.1:8080"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path) as made:
        yield made


def client_of(fleet: Fleet) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application(fleet.service, (ORIGIN,))), base_url="http://upload")


async def announced(fleet: Fleet, size_bytes: int, name: str = "film.mp4") -> UploadAnswer:
    question = UploadQuestion(file_name=name, size_bytes=size_bytes, metadata=Metadata(name="Uploaded"), clear=True)
    return await fleet.service.upload(question)


async def test_a_film_arrives_in_pieces_and_becomes_a_title(fleet: Fleet, small_film: Path) -> None:
    content = small_film.read_bytes()
    answer = await announced(fleet, len(content), "../../etc/pass wd 🎬.mp4")
    assert answer.job.state == "uploading"
    path = answer.upload_url.removeprefix("http://127.0.0.1:8090")
    async with client_of(fleet) as client:
        at = 0
        while at < len(content):
            told = await client.head(path, headers=TUS)
            assert (told.headers["upload-offset"], told.headers["upload-length"]) == (str(at), str(len(content)))
            piece = content[at : at + 30_000]
            sent = await client.patch(path, content=piece, headers={**BYTES, "Upload-Offset": str(at)})
            assert sent.status_code == 204
            at += len(piece)
            assert sent.headers["upload-offset"] == str(at)
        again = await client.patch(path, content=b"x", headers={**BYTES, "Upload-Offset": "0"})
        assert (again.status_code, again.json()["code"]) == (409, "NC1604")
    job, _ = await fleet.ended(answer.job.id)
    assert (job.state, job.uploaded_bytes, job.size_bytes) == ("done", len(content), len(content))
    assert fleet.catalog.held[job.title_id].state == "complete"
    assert not list((fleet.root / "uploads").iterdir()), "the source is not kept"


async def test_a_broken_upload_goes_on_after_a_restart(tmp_path: Path, small_film: Path) -> None:
    content = small_film.read_bytes()
    async with Fleet(tmp_path) as fleet:
        answer = await announced(fleet, len(content))
        path = answer.upload_url.removeprefix("http://127.0.0.1:8090")
        async with client_of(fleet) as client:
            await client.patch(path, content=content[:5000], headers={**BYTES, "Upload-Offset": "0"})
    async with Fleet(tmp_path) as again, client_of(again) as client:
        assert (await client.head(path, headers=TUS)).headers["upload-offset"] == "5000"
        sent = await client.patch(path, content=content[5000:], headers={**BYTES, "Upload-Offset": "5000"})
        assert sent.status_code == 204
        job, _ = await again.ended(answer.job.id)
        assert job.state == "done"


async def sent(fleet: Fleet, answer: UploadAnswer, content: bytes) -> httpx.Response:
    async with client_of(fleet) as client:
        path = answer.upload_url.removeprefix("http://127.0.0.1:8090")
        return await client.patch(path, content=content, headers={**BYTES, "Upload-Offset": "0"})


@pytest.mark.parametrize("first", ["upload", "path"])
async def test_a_film_that_is_being_ingested_already_is_refused(tmp_path: Path, small_film: Path, first: str) -> None:
    content = small_film.read_bytes()
    async with Fleet(tmp_path, catalog=Away()) as fleet:  # so that the first cannot end before the second comes
        answers = [await announced(fleet, len(content)) for _ in range(2)]
        if first == "upload":
            assert (await sent(fleet, answers[0], content)).status_code == 204
            running = answers[0].job.id
        else:
            running = (await fleet.submit(small_film)).id
        refused = await sent(fleet, answers[1], content)
        assert (refused.status_code, refused.json()["code"]) == (409, AlreadyIngesting.code)
        assert running in refused.json()["message"]
        job, events = await fleet.ended(answers[1].job.id)
        assert (job.state, job.error_code) == ("failed", AlreadyIngesting.code)
        assert [each.error_code for each in events if each.kind == "error"] == [AlreadyIngesting.code]
        assert not (fleet.root / "uploads" / job.id).exists(), "nothing of it stays"
        assert fleet.service.job(running).state == "running"


async def test_two_uploads_that_end_at_once_make_one_title(tmp_path: Path, small_film: Path) -> None:
    content = small_film.read_bytes()
    async with Fleet(tmp_path, catalog=Away()) as fleet:
        answers = [await announced(fleet, len(content)) for _ in range(3)]
        found = await asyncio.gather(*(sent(fleet, each, content) for each in answers))
        assert sorted(each.status_code for each in found) == [204, 409, 409]


async def test_an_upload_cancelled_with_its_last_bytes_is_not_queued(fleet: Fleet, small_film: Path) -> None:
    answer = await announced(fleet, 100)
    await fleet.service.cancel(JobQuestion(job_id=answer.job.id))
    folder = fleet.root / "uploads" / answer.job.id
    folder.mkdir()
    job = fleet.service.job(answer.job.id)
    with pytest.raises(UploadCancelled):
        await fleet.service.uploaded(job, fingerprint(small_film))
    assert job.state == "cancelled"
    assert not folder.exists()


async def test_a_failed_upload_goes_on_unless_the_film_is_to_blame(
    tmp_path: Path, small_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_film.read_bytes()
    async with Fleet(tmp_path) as fleet:
        answer = await announced(fleet, len(content), "a film.mp4")
        with monkeypatch.context() as broken:
            broken.setattr("nearcast.media.child.sys.executable", "/bin/false")
            await sent(fleet, answer, content)
            failed, _ = await fleet.ended(answer.job.id)
        assert failed.state == "failed"
        kept = fleet.root / "uploads" / failed.id / "a film.mp4"
        assert f"`nearcast ingest '{kept}' --clear`" in failed.hint
        await sweep(fleet.service)
        done = await fleet.ingest(kept, clear=True)
        assert (done.id, done.state, done.error, done.name) == (failed.id, "done", "", "Uploaded")
        assert not kept.exists()


async def test_an_upload_that_is_no_film_is_not_kept_and_another_can_be_given_up(tmp_path: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        answer = await announced(fleet, 100)
        await sent(fleet, answer, b"x" * 100)
        job, _ = await fleet.ended(answer.job.id)
        assert (job.state, job.error_code) == ("failed", "NC1102")
        assert not list((fleet.root / "uploads").iterdir())
        other = fleet.service.job((await announced(fleet, 100)).job.id)
        folder = fleet.root / "uploads" / other.id
        folder.mkdir()
        fleet.service.end(other, "failed", DiskFull("full"))
        assert folder.exists()
        assert (await fleet.service.cancel(JobQuestion(job_id=other.id))).state == "cancelled"
        assert not folder.exists()


@pytest.mark.parametrize("name", ["data.part", "film.mp4"])
@pytest.mark.parametrize("how", ["restart", "head", "patch"])
async def test_an_upload_whose_fleet_was_killed_at_its_last_byte_goes_on(tmp_path: Path, small_film: Path, name: str, how: str) -> None:
    """Killed before the film had its own name, or after that and before its place in the queue: it is whole, and nobody sends more."""
    content = small_film.read_bytes()
    async with Fleet(tmp_path) as fleet:
        answer = await announced(fleet, len(content))
        folder = fleet.root / "uploads" / answer.job.id
        folder.mkdir()
        (folder / name).write_bytes(content)
        if how != "restart":
            async with client_of(fleet) as client:
                if how == "head":
                    told = await client.head(answer.upload_url, headers=TUS)
                    assert (told.status_code, told.headers["upload-offset"]) == (200, str(len(content)))
                else:
                    again = await client.patch(answer.upload_url, content=b"x", headers={**BYTES, "Upload-Offset": "0"})
                    assert (again.status_code, again.json()["code"]) == (409, "NC1604")
            assert fleet.service.job(answer.job.id).state in ("queued", "running")
    async with Fleet(tmp_path) as again_there:
        job, _ = await again_there.ended(answer.job.id)
    assert job.state == "done"


async def test_a_submission_that_never_came_into_the_queue_is_no_upload(tmp_path: Path, small_film: Path) -> None:
    """Its record says ``uploading`` until it is queued; the film is the user's own, and stays where it is."""
    async with Fleet(tmp_path, catalog=Away()) as fleet:
        job = fleet.service.job((await fleet.submit(small_film)).id)
        job.update(0.0, state="uploading")
        assert not arrival.whole(job.record)


async def test_an_upload_stands_at_its_end_while_it_gets_its_name(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await announced(fleet, 100)
    named, told = threading.Event(), threading.Event()

    def slow(path: Path) -> Fingerprint:
        named.set()
        assert told.wait(20)
        return fingerprint(path)

    monkeypatch.setattr("nearcast.media.arrival.probe.fingerprint", slow)
    async with client_of(fleet) as client:
        sending = asyncio.create_task(sent(fleet, answer, b"x" * 100))
        await asyncio.to_thread(named.wait, 20)
        record = fleet.service.job(answer.job.id).record
        at = arrival.held_bytes(record)
        told.set()
        assert (record.job.state, at) == ("uploading", 100)
        assert (await sending).status_code == 204
        assert (await client.head(answer.upload_url, headers=TUS)).headers["upload-offset"] == "100"


async def test_an_upload_given_up_while_its_last_bytes_come_is_told(fleet: Fleet) -> None:
    answer = await announced(fleet, 100)

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 50
        await fleet.service.cancel(JobQuestion(job_id=answer.job.id))
        yield b"x" * 50

    async with client_of(fleet) as client:
        got = await client.patch(answer.upload_url, content=body(), headers={**BYTES, "Upload-Offset": "0"})
    assert (got.status_code, got.json()["code"]) == (410, "NC1607")
    assert not (fleet.root / "uploads" / answer.job.id).exists()


class Away(FakeCatalog):
    """Never answers."""

    async def publication(self, question: TitleQuestion) -> Publication:
        raise Unavailable("away")


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({**BYTES, "Upload-Offset": "5"}, b"x", 409, "NC1601"),
        ({**BYTES, "Upload-Offset": "-1"}, b"x", 400, "NC1605"),
        (BYTES, b"x", 400, "NC1605"),
        ({**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"}, b"x", 415, "NC1602"),
        ({"Content-Type": BYTES["Content-Type"], "Upload-Offset": "0"}, b"x", 412, "NC1603"),
        ({**BYTES, "Tus-Resumable": "0.2.2", "Upload-Offset": "0"}, b"x", 412, "NC1603"),
        ({**BYTES, "Upload-Offset": "0"}, b"x" * 101, 413, "NC0008"),
    ],
)
async def test_requests_that_are_refused(fleet: Fleet, headers: dict[str, str], body: bytes, status: int, code: str) -> None:
    answer = await announced(fleet, 100)
    async with client_of(fleet) as client:
        got = await client.patch(answer.upload_url, content=body, headers=headers)
        assert (got.status_code, got.json()["code"]) == (status, code)
        assert (await client.head(answer.upload_url, headers=TUS)).headers["upload-offset"] == "0"


async def test_a_body_that_does_not_say_its_length_is_cut_off(fleet: Fleet) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 10

    answer = await announced(fleet, 100)
    async with client_of(fleet) as client:
        got = await client.patch(answer.upload_url, content=endless(), headers={**BYTES, "Upload-Offset": "0"})
        assert got.status_code == 413
        assert int((await client.head(answer.upload_url, headers=TUS)).headers["upload-offset"]) <= 100


async def test_only_who_has_the_address_may_write(fleet: Fleet) -> None:
    answer = await announced(fleet, 100)
    forged = answer.upload_url[:-4] + ("aaaa" if not answer.upload_url.endswith("aaaa") else "bbbb")
    async with client_of(fleet) as client:
        for url, status in ((forged, 401), ("/uploads/x", 401), ("/elsewhere", 404), ("/uploads/../../etc/passwd", 404)):
            assert (await client.patch(url, content=b"x", headers={**BYTES, "Upload-Offset": "0"})).status_code == status
        assert (await client.put(answer.upload_url, content=b"x", headers=TUS)).status_code == 405


async def test_an_error_names_its_request(fleet: Fleet) -> None:
    async with client_of(fleet) as client:
        found = [await client.get("/nothing"), await client.patch("/uploads/x", headers=TUS)]
    ids = [each.json()["request_id"] for each in found]
    assert ids == [each.headers["x-request-id"] for each in found]
    assert all(ids)
    assert ids[0] != ids[1]


async def test_an_upload_can_be_given_up(fleet: Fleet) -> None:
    answer = await announced(fleet, 100)
    async with client_of(fleet) as client:
        await client.patch(answer.upload_url, content=b"x" * 50, headers={**BYTES, "Upload-Offset": "0"})
        assert (await client.delete(answer.upload_url, headers=TUS)).status_code == 204
        for asked in (client.delete, client.head):  # who comes back to it must not take it for complete
            assert (await asked(answer.upload_url, headers=TUS)).status_code == 410
    job = (await fleet.service.events(EventsQuestion(job_id=answer.job.id))).job
    assert job.state == "cancelled"
    assert not list((fleet.root / "uploads").iterdir())
    other = await announced(fleet, 100)
    assert (await fleet.service.cancel(JobQuestion(job_id=other.job.id))).state == "cancelled"


async def test_pages_of_the_gateway_may_upload_and_others_not(fleet: Fleet) -> None:
    async with client_of(fleet) as client:
        ours = await client.options("/uploads/x", headers={"Origin": ORIGIN})
        theirs = await client.options("/uploads/x", headers={"Origin": "http://evil.example"})
        assert (await client.get("/healthz")).status_code == 200
    assert ours.status_code == 204
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in ours.headers["access-control-allow-methods"]
    assert "Upload-Offset" in ours.headers["access-control-expose-headers"]
    assert ours.headers["tus-version"] == "1.0.0"
    assert "access-control-allow-origin" not in theirs.headers


async def test_announcements_that_make_no_sense(fleet: Fleet) -> None:
    for size in (-1, 0):
        with pytest.raises(BadSubmission):
            await announced(fleet, size)
    with pytest.raises(TooLarge):
        await announced(fleet, 10**18)
    with pytest.raises(BadSubmission):
        await fleet.service.upload(UploadQuestion(file_name="x", size_bytes=1, metadata=Metadata(name="")))
