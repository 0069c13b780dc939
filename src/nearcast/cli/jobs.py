"""``nearcast jobs``: ingests, running and past."""

from __future__ import annotations

import click

from nearcast.base.ids import new_id
from nearcast.cli import progress, reach, talk
from nearcast.model.ingest import IngestJob
from nearcast.model.services import EventsQuestion, Ingest, JobQuestion, Nothing


@click.group("jobs", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List ingest jobs; follow or cancel one."""
    if context.invoked_subcommand:
        return
    found = reach.converse(lambda system: system.client(Ingest).jobs(Nothing()))
    if as_json:
        talk.answer_json(found)
    elif found.jobs:
        talk.table(["job", "title", "name", "state", "", "now"], [_row(each) for each in found.jobs])
    else:
        talk.say("no jobs")


def _row(job: IngestJob) -> list[str]:
    moving = [each for each in job.progress if progress.percent(each) < 100]
    now = ", ".join(f"{progress.label(each)} {progress.percent(each)} %" for each in moving[:3]) if job.state == "running" else ""
    playable = "playable" if job.playable else ""
    return [job.id, job.title_id, job.name, job.state, playable, f"{job.error_code} {job.error}".strip() or now]


@command.command("follow")
@click.argument("job_id")
def follow(job_id: str) -> None:
    """Show the progress of JOB_ID until it ends."""
    from nearcast.cli import ingest
    from nearcast.system.part import System

    async def body(system: System) -> IngestJob:
        job = (await system.client(Ingest).events(EventsQuestion(job_id=job_id))).job
        return await ingest.follow(system, job, new_id("f"))

    ingest.finish(reach.converse(body))


@command.command("cancel")
@click.argument("job_id")
def cancel(job_id: str) -> None:
    """End JOB_ID. What it has published stays; `nearcast unpublish` withdraws it."""
    job = reach.converse(lambda system: system.client(Ingest).cancel(JobQuestion(job_id=job_id)))
    talk.say(f"{job.name} is {job.state}")
