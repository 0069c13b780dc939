"""``nearcast lab``: an internet in network namespaces, and what is tried in it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from nearcast.base.errors import remote
from nearcast.base.processes import identify
from nearcast.cli import talk
from nearcast.operations.lab import needs, record
from nearcast.operations.lab.keeper import Said
from nearcast.operations.lab.scenarios import table
from nearcast.operations.lab.scenarios.outcome import Outcome
from nearcast.operations.lab.topology import load

FAILED = 1


class LabLine(Struct, frozen=True, kw_only=True):
    """One lab of this machine, as ``status --json`` tells of it."""

    name: str
    state: str
    source: str
    folder: str
    keeper: int
    namespaces: dict[str, int]
    """Processes by namespace."""


class StatusAnswer(Struct, frozen=True, kw_only=True):
    """All that ``status --json`` tells."""

    able: bool
    needs: tuple[needs.Need, ...]
    labs: tuple[LabLine, ...]


@click.group("lab")
def command() -> None:
    """Build an internet on this machine, from one file, and try in it what may happen out there. Needs root."""


@command.command("up")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What to call it; else as the file.")
@click.option("--minutes", type=click.FloatRange(0, 10080, min_open=True), default=240.0, show_default=True, help="It ends by itself then.")
def up(file: Path, name: str, minutes: float) -> None:
    """Build the internet of FILE (a path, or the name of one of `nearcast lab list`) and keep it until `nearcast lab down`."""
    path = _path(file)
    load(path)
    needs.check()
    name = name or re.sub(r"[^a-z0-9-]", "-", path.stem.lower())[:20]
    arguments = [sys.executable, "-m", "nearcast.operations.lab.keeper", str(path.absolute()), name, str(minutes)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True) as keeper:
        for line in keeper.stdout or ():
            said = msgspec.json.decode(line, type=Said)
            if said.problem:
                raise remote(said.problem)
            if said.up:
                keeper.returncode = 0  # it goes on without us
                break
            talk.say(said.text)
        else:
            sys.exit(keeper.wait() or FAILED)
    if found := record.read(name):
        for each in sorted(found.namespaces):
            talk.answer(each)
        talk.say(f"homes, configurations and logs lie in {found.folder}")
    talk.say(f"up for {minutes:g} minutes; `ip netns exec NAMESPACE COMMAND` works in it; `nearcast lab down {name}` ends it")


@command.command("run")
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(names: tuple[str, ...], as_json: bool) -> None:
    """Try SCENARIO…, or all, each in an internet that is gone afterwards. Exit status 1: a figure is past its limit."""
    found = table.run(names, talk.say)
    if as_json:
        talk.answer_json(found)
    else:
        talk.table(("SCENARIO", "WHAT", "FIGURE>", "LIMIT>", "", "MEASURED"), [cells for each in found for cells in _rows(each)])
    if not all(each.passed for each in found):
        sys.exit(FAILED)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """List the internets and what can be tried in them."""
    found = table.internets()
    if as_json:
        talk.answer_json({path.stem: topology.scenarios for path, topology in found.items()})
        return
    rows = [(path.stem, each.name, f"{each.limit:g} {each.unit}", each.about) for path, whole in found.items() for each in whole.scenarios]
    talk.table(("INTERNET", "SCENARIO", "LIMIT>", "WHAT HAPPENS"), rows)


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show whether this machine can hold a lab, what it lacks, and the labs that are there. Exit status 3: it cannot."""
    asked = needs.needs()
    answer = StatusAnswer(able=all(each.there for each in asked), needs=tuple(asked), labs=tuple(map(_line, record.records())))
    if as_json:
        talk.answer_json(answer)
    else:
        talk.table(("NEEDS", "", "WHAT TO DO"), [(each.name, "there" if each.there else "missing", each.cure) for each in asked])
        if answer.labs:
            talk.answer("")
            rows = [(each.name, each.state, str(each.keeper), str(len(each.namespaces)), each.source) for each in answer.labs]
            talk.table(("LAB", "STATE", "KEEPER>", "NAMESPACES>", "FILE"), rows)
    if not answer.able:
        sys.exit(needs.CannotRun.exit_code)


@command.command("down")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def down(names: tuple[str, ...]) -> None:
    """End the labs NAME…, or all that are there, and remove what one that was killed has left. Nothing else is touched."""
    there = record.records()
    for name in names:
        if name not in [each.name for each in there]:
            raise table.NoSuchScenario(f"there is no lab {name!r}", hint=f"there are: {', '.join(each.name for each in there) or 'none'}")
    for each in there:
        if not names or each.name in names:
            gone = record.clean(each)
            talk.say(f"{each.name} is gone, with {gone} namespaces" if gone else f"{each.name} is gone")
    if not there:
        talk.say("there is no lab")


def _path(file: Path) -> Path:
    """A path as it was given, or the file of that name among the internets."""
    named = table.folder() / f"{file}.toml"
    return named if not file.exists() and named.exists() else file


def _line(found: record.Record) -> LabLine:
    there = record.present(found)
    counts = {name: sum(1 for _ in record.processes({inode})) for name, inode in there.items()}
    alive = identify(found.keeper.pid) == found.keeper
    state = found.state if alive else "left over"
    return LabLine(
        name=found.name, state=state, source=found.source, folder=found.folder, keeper=found.keeper.pid if alive else 0, namespaces=counts
    )


def _rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for row in outcome.rows:
        each = " ".join(f"{one:g}" for one in row.each)
        figure, limit = f"{row.figure:.3g} {row.unit}", f"{row.limit:g} {row.unit}"
        yield outcome.scenario, row.what, figure, limit, "ok" if row.passed else "PAST IT", each or row.note
