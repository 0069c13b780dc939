"""``nearcast status``: processes and edges, for people and as JSON."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec import Struct

from nearcast.base.errors import NearcastError
from nearcast.base.processes import family, memory_bytes
from nearcast.base.supervise import ProcessStatus
from nearcast.base.units import bytes_text, duration_text
from nearcast.cli import reach, talk
from nearcast.cli.edges import from_within
from nearcast.model.services import AppliancesQuestion, Discovery, Nothing
from nearcast.model.site import Appliance, Instance

if TYPE_CHECKING:
    from nearcast.system.part import System


class ProcessLine(Struct, frozen=True, kw_only=True):
    """One process as ``status --json`` tells of it; memory is proportional (PSS) and counts children such as nginx."""

    name: str
    state: str
    pid: int
    uptime_s: float
    memory_bytes: int
    restarts: int
    last_exit: str
    log: str


class StatusAnswer(Struct, frozen=True, kw_only=True):
    """All that ``status --json`` tells."""

    home: str
    running: bool
    gateway_url: str
    memory_bytes: int
    processes: tuple[ProcessLine, ...]
    edges: tuple[Appliance, ...]
    elsewhere: tuple[Instance, ...] = ()
    """Processes that discovery knows and this machine's supervisor does not run: those of `nearcast serve` and `nearcast edge`."""


def line_of(status: ProcessStatus, now_s: float) -> ProcessLine:
    """``status`` and what the machine says of it now."""
    alive = bool(status.identity and status.identity.alive)
    pids = family(status.identity.pid) if status.identity and alive else []
    state = status.state if alive or status.state in ("backoff", "stopped", "waiting") else "dead"
    return ProcessLine(
        name=status.name,
        state=state,
        pid=status.identity.pid if status.identity and alive else 0,
        uptime_s=max(0.0, now_s - status.started_at) if alive else 0.0,
        memory_bytes=sum(memory_bytes(pid) for pid in pids),
        restarts=status.restarts,
        last_exit=status.last_exit,
        log=status.log,
    )


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show what runs: processes, memory, restarts, logs, and the edges as discovery knows them.

    Exit status 0: everything is ready; 3: something is not, or nothing runs.
    """
    from nearcast.system import places, settings, start

    home = reach.home()
    running, found = start.running(home), start.status(home)
    lines = [line_of(each, time.time()) for each in found.processes] if found else []
    if running:
        pid = running.supervisor.pid
        others = {one for each in lines if each.pid for one in family(each.pid)}
        memory = sum(memory_bytes(one) for one in set(family(pid)) - others)  # the nursery is the supervisor's
        log = str(home.log("supervisor"))
        own = ProcessStatus(name="supervisor", state="ready", since=running.started_at, started_at=running.started_at, log=log)
        line = line_of(msgspec.structs.replace(own, identity=running.supervisor), time.time())
        lines.insert(0, msgspec.structs.replace(line, memory_bytes=memory))
    edges, instances = _known() if any(each.pid for each in lines) else ((), ())
    here = {each.name for each in lines if each.pid}
    url = places.gateway_url(settings.load(home)) if any(each.pid for each in lines) else ""
    whole = StatusAnswer(
        home=str(home.root),
        running=running is not None,
        gateway_url=url,
        memory_bytes=sum(each.memory_bytes for each in lines),
        processes=tuple(lines),
        edges=edges,
        elsewhere=tuple(each for each in instances if each.service not in here),
    )
    if as_json:
        talk.answer_json(whole)
    else:
        _show(whole)
    context.exit(0 if running and running.ready and all(each.state == "ready" for each in lines) else 3)


def _known() -> tuple[tuple[Appliance, ...], tuple[Instance, ...]]:
    """The appliances and processes that discovery knows; none while it does not answer."""

    async def ask(system: System) -> tuple[tuple[Appliance, ...], tuple[Instance, ...]]:
        discovery = system.client(Discovery, timeout_s=1.0)
        return (await discovery.appliances(AppliancesQuestion())).appliances, (await discovery.instances(Nothing())).instances

    try:
        return reach.converse(ask)
    except NearcastError:
        return (), ()


def _show(whole: StatusAnswer) -> None:
    if not whole.running:
        left = any(each.pid for each in whole.processes)
        talk.say(f"no supervisor runs in {whole.home}" + (", but processes of it do: `nearcast up` takes them over" if left else ""))
    if not any(each.pid for each in whole.processes):
        return
    rows = []
    for each in whole.processes:
        shown = os.path.relpath(each.log) if each.log.startswith(os.getcwd()) else each.log
        memory = bytes_text(each.memory_bytes) if each.pid else "-"
        rows.append([each.name, each.state, str(each.pid or "-"), duration_text(each.uptime_s), memory, str(each.restarts), shown])
    talk.table(["process", "state", "pid>", "up>", "memory>", "restarts>", "log"], rows)
    if whole.edges:
        talk.answer("")
        talk.table(["edge", "site", "state", "titles>", "held>", "missing>", "address"], [_edge(each) for each in whole.edges])
        for line in from_within({each.report.site for each in whole.edges}):
            talk.say(line)
    if whole.elsewhere:
        talk.answer("")
        talk.table(["elsewhere", "host", "address"], [[each.service, each.host, each.address] for each in whole.elsewhere])
    talk.say(f"\n{whole.gateway_url} · {bytes_text(whole.memory_bytes)} in all")


def _edge(each: Appliance) -> list[str]:
    report = each.report
    held, missing = bytes_text(report.held_bytes), bytes_text(report.missing_bytes)
    return [report.id, report.site, report.state, str(len(report.holdings)), held, missing, report.address]
