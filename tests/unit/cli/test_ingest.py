"""Ingest's front: languages of side tracks, what progress looks like, following a job to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Remote, Unavailable
from nearcast.cli import ingest, progress, reach
from nearcast.model.ingest import IngestEvent, IngestJob, Progress
from nearcast.model.services import Events, EventsQuestion, SubmitQuestion
from nearcast.model.title import Metadata


@pytest.mark.parametrize(
    ("text", "path", "language", "label"),
    [
        ("film.en.vtt", "film.en.vtt", "en", ""),
        ("a b.pt-BR.vtt", "a b.pt-BR.vtt", "pt-BR", ""),
        ("dub.m4a:fr", "dub.m4a", "fr", ""),
        ("dub.fr.m4a:de", "dub.fr.m4a", "de", ""),
        ("dub.m4a:fr:Director: commentary", "dub.m4a:fr:Director: commentary", "", ""),
        ("dub.m4a:fr:Commentary", "dub.m4a", "fr", "Commentary"),
        ("odd:name.en.vtt", "odd:name.en.vtt", "en", ""),
    ],
)
def test_side_tracks(text: str, path: str, language: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if not language:
        with pytest.raises(ingest.NoLanguage):
            ingest.side_track(text)
        return
    found = ingest.side_track(text)
    assert (found.path, found.language, found.label) == (str(tmp_path / path), language, label)


def test_what_is_no_language_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.vtt").touch()
    with pytest.raises(ingest.NoLanguage, match="'zzzzz_q' is no language"):
        ingest.side_track("f.vtt:zzzzz_q")
    with pytest.raises(ingest.NoLanguage, match=r"which language is f\.vtt\?"):
        ingest.side_track("f.vtt")


def test_a_file_whose_name_has_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.en.vtt:fr").touch()
    with pytest.raises(ingest.NoLanguage):
        ingest.side_track("nothing.vtt")
    assert ingest.side_track("talk.en.vtt:fr").path.endswith("talk.en.vtt:fr")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [([], "film"), (["--title", "A Film"], "A Film"), (["--title-id", "t_a"], ""), (["--title-id", "t_a", "--title", "B"], "B")],
)
def test_a_title_that_is_there_is_not_named_after_the_file(arguments: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SubmitQuestion] = []

    class Ingests:
        async def submit(self, question: SubmitQuestion) -> IngestJob:
            asked.append(question)
            return job("queued")

    there = SimpleNamespace(client=lambda *_, **__: Ingests())
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(there)))
    ingest.command.main([*arguments, "--detach", "film.mp4"], standalone_mode=False)
    assert asked[0].submission.metadata == Metadata(name=name)


def event(sequence: int, kind: str, **fields: Any) -> IngestEvent:
    return IngestEvent(sequence=sequence, at=0.0, kind=kind, **fields)  # type: ignore[arg-type]  # the test's own kinds


def encoding(done: float, item: str = "720p", eta_s: float | None = None) -> Progress:
    return Progress(stage="encode", item=item, done=done, total=100.0, eta_s=eta_s)


def test_plain_lines_come_every_tenth_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines()
    for number, done in enumerate((0, 3, 9, 10, 11, 55, 100)):
        lines.show(event(number, "progress", progress=encoding(float(done), eta_s=65.0)))
    lines.show(event(9, "warning", text="no sound in it", hint="add --audio"))
    lines.show(event(10, "state", state="queued"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "encoding 720p: 0 %, 1:05 left",
        "encoding 720p: 10 %, 1:05 left",
        "encoding 720p: 55 %, 1:05 left",
        "encoding 720p: 100 %, 1:05 left",
        "warning: no sound in it (add --audio)",
        "waiting for another ingest",
    ]


def test_bars_show_each_rendition(capsys: pytest.CaptureFixture[str]) -> None:
    bars = progress.Bars()
    bars.show(event(1, "progress", progress=encoding(50.0, "720p", 9.0)))
    bars.show(event(2, "progress", progress=encoding(20.0, "1080p")))
    bars.show(event(3, "progress", progress=Progress(stage="publish", item="", done=0, total=0)))
    bars.show(event(4, "playable", text="[playable] now"))
    bars.close()
    shown = capsys.readouterr().err
    for words in ("encoding 720p", "encoding 1080p", "publishing", "[playable] now"):
        assert words in shown


def job(state: str, **fields: Any) -> IngestJob:
    return IngestJob(id="j", title_id="t", name="n", state=state, created_at=0.0, updated_at=0.0, **fields)  # type: ignore[arg-type]


class Fleet:
    """Answers with what it was given, errors raised."""

    def __init__(self, *answers: Events | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[EventsQuestion] = []

    async def events(self, question: EventsQuestion) -> Events:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Instant(VirtualClock):
    async def sleep(self, duration_s: float) -> None:
        pass


def system(fleet: Fleet) -> Any:
    return SimpleNamespace(client=lambda *_, **__: fleet, clock=Instant())


async def test_following_goes_on_after_the_last_event_and_over_a_restart_of_the_fleet() -> None:
    fleet = Fleet(
        Events(job=job("running"), events=(event(1, "state", state="running"), event(2, "playable"))),
        Unavailable("restarting"),
        Events(job=job("done"), events=(event(3, "rendition"),)),
    )
    assert (await ingest.follow(system(fleet), job("queued"), "f_1")).state == "done"
    assert [each.after for each in fleet.asked] == [0, 2, 2]
    assert {each.follower for each in fleet.asked} == {"f_1"}


def test_the_end_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    ingest.finish(job("done"))
    assert capsys.readouterr().out == "t\n"
    with pytest.raises(Remote) as caught:
        ingest.finish(job("failed", error_code="NC1203", error="no video in it", hint="take a film"))
    assert (caught.value.code, caught.value.message, caught.value.hint) == ("NC1203", "no video in it", "take a film")
    with pytest.raises(Remote, match="cancelled"):
        ingest.finish(job("cancelled"))
