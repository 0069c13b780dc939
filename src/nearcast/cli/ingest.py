"""``nearcast ingest``: hands a film to the fleet and follows it until the title is whole."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast.base.errors import BadInput, Problem, Remote, Unavailable
from nearcast.base.ids import new_id
from nearcast.cli import progress, reach, talk
from nearcast.model.ingest import IngestJob, SideTrack, Submission
from nearcast.model.services import EventsQuestion, Ingest, SubmitQuestion
from nearcast.model.title import Metadata

if TYPE_CHECKING:
    from nearcast.system.part import System

POLL_S = 1.0
"""Well within the time after which the fleet takes a follower for gone."""
PATIENCE_S = 60.0
"""How long the fleet may be away, for a restart, before the command gives up following."""
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class NoLanguage(BadInput):
    """A subtitle or audio file does not say its language, or what it says is none."""

    code = "NC0215"
    cure = "name it as film.en.vtt, or add the language after a colon: film.vtt:en"


def _no_language(text: str) -> NoLanguage:
    path, colon, language = text.rpartition(":")
    if colon and Path(path).exists():
        return NoLanguage(f"{language!r} is no language", hint=f"give its tag, as in {path}:en or {path}:pt-BR")
    return NoLanguage(f"which language is {text}?")


def side_track(text: str) -> SideTrack:
    """``film.en.vtt``, ``dub.m4a:fr`` or ``dub.m4a:fr:Director``. Raises NoLanguage."""
    path, language, label = text, "", ""
    if not Path(text).exists():
        parts = text.rsplit(":", 2)
        if len(parts) == 3 and LANGUAGE.fullmatch(parts[1]):
            path, language, label = parts
        elif len(parts) >= 2 and LANGUAGE.fullmatch(parts[-1]):
            path, language = text.rsplit(":", 1)
    if not language:
        suffixes = Path(path).suffixes
        named = suffixes[-2].lstrip(".") if len(suffixes) >= 2 else ""
        if not LANGUAGE.fullmatch(named):
            raise _no_language(path)
        language = named
    return SideTrack(path=str(Path(path).absolute()), language=language, label=label)


@click.command("ingest")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--title", "name", help="What the film is called (else: the file's name, or what it was called).")
@click.option("--subtitles", multiple=True, metavar="FILE[:LANGUAGE]", help="WebVTT subtitles, as film.en.vtt; several times for several.")
@click.option("--audio", multiple=True, metavar="FILE[:LANGUAGE]", help="Another audio track, as dub.m4a:fr; several times for several.")
@click.option("--poster", type=click.Path(path_type=Path), help="A picture for the poster (else: one from the film).")
@click.option("--synopsis", default="", help="What it is about.")
@click.option("--year", type=click.IntRange(1870, 2200), help="When it came out.")
@click.option("--genre", "genres", multiple=True, help="A genre; several times for several.")
@click.option("--credit", default="", help="Who made it, and under which licence.")
@click.option("--clear", is_flag=True, help="Do not encrypt.")
@click.option("--title-id", default="", help="Publish this title anew, with the file in place of its old one. What is not given stays.")
@click.option("--detach", is_flag=True, help="Hand it over and return.")
def command(
    file: Path,
    name: str | None,
    subtitles: tuple[str, ...],
    audio: tuple[str, ...],
    poster: Path | None,
    synopsis: str,
    year: int | None,
    genres: tuple[str, ...],
    credit: str,
    clear: bool,
    title_id: str,
    detach: bool,
) -> None:
    """Turn FILE into a playable title, and print the title's id.

    It is playable as soon as a first rendition is in; better ones follow. Ctrl-C leaves the job running.
    """
    metadata = Metadata(name=name or ("" if title_id else file.stem), synopsis=synopsis, year=year, genres=genres, credit=credit)
    submission = Submission(
        path=str(file.absolute()),
        metadata=metadata,
        title_id=title_id,
        subtitles=tuple(map(side_track, subtitles)),
        audio=tuple(map(side_track, audio)),
        poster=str(poster.absolute()) if poster else "",
        clear=clear,
    )
    follower = "" if detach else new_id("f")
    running: list[IngestJob] = []

    async def body(system: System) -> IngestJob:
        question = SubmitQuestion(submission=submission, follower=follower)
        running.append(await system.client(Ingest, timeout_s=60.0).submit(question))
        return running[0] if detach else await follow(system, running[0], follower)

    try:
        job = reach.converse(body)
    except KeyboardInterrupt:
        if running:
            talk.answer(running[0].title_id)
            talk.say(f"\nthe ingest goes on: `nearcast jobs` shows it, `nearcast jobs cancel {running[0].id}` ends it")
        raise
    finish(job)


def finish(job: IngestJob) -> None:
    """Print the title's id. Raises what ended a job that failed."""
    if job.state in ("failed", "cancelled"):
        code = job.error_code or Unavailable.code
        raise Remote(
            Problem(code=code, message=job.error or f"the ingest was {job.state}", hint=job.hint or "`nearcast jobs` shows all jobs")
        )
    talk.answer(job.title_id)


async def follow(system: System, job: IngestJob, follower: str) -> IngestJob:
    """Show the job's events until it has ended. Survives restarts of the fleet; raises Unavailable when it stays away."""
    fleet = system.client(Ingest)
    shown = progress.display()
    after, heard_s = 0, time.monotonic()
    try:
        while True:
            try:
                answer = await fleet.events(EventsQuestion(job_id=job.id, after=after, wait_s=POLL_S, follower=follower))
            except Unavailable:
                if time.monotonic() - heard_s > PATIENCE_S:
                    raise
                await system.clock.sleep(0.5)
                continue
            heard_s = time.monotonic()
            for event in answer.events:
                after = max(after, event.sequence)
                shown.show(event)
            if answer.job.state in ("done", "failed", "cancelled"):
                return answer.job
    finally:
        shown.close()
