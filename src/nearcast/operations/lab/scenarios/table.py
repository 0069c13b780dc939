"""Finds scenarios in the files of `lab/`, and runs them: those of one file, one after the other, in one internet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nearcast
from nearcast.base.errors import NotFound
from nearcast.operations.lab import needs
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.scenarios import anycast, plays
from nearcast.operations.lab.scenarios.outcome import Outcome, Row, Told
from nearcast.operations.lab.system import System
from nearcast.operations.lab.topology import Scenario, Topology, load

RUNS: dict[str, Callable[[Any, Scenario, Told], list[Row]]] = {
    "site-withdrawn": anycast.site_withdrawn,
    "site-empty": anycast.site_empty,
    "black-hole": anycast.black_hole,
    "prefix-withdrawn": plays.prefix_withdrawn,
    "steering-dead": plays.steering_dead,
    "appliance-fails": plays.appliance_fails,
    "site-full": plays.site_full,
}
"""What each does to the stage that ``populate`` sets up."""


class NoSuchScenario(NotFound):
    """There is no scenario, or no internet, of this name."""

    code = "NC0265"
    exit_code = 2
    cure = "`nearcast lab list` names them"


def folder() -> Path:
    """Where the internets lie: `NEARCAST_LAB`, else `lab/` of this clone, else `lab/` here."""
    if named := os.environ.get("NEARCAST_LAB"):
        return Path(named)
    clone = Path(nearcast.__file__).parents[2] / "lab"
    return clone if clone.is_dir() else Path("lab")


def internets() -> dict[Path, Topology]:
    """Every file. Raises BadTopology."""
    return {path: load(path) for path in sorted(folder().glob("*.toml"))}


def find(names: Sequence[str]) -> dict[Path, list[Scenario]]:
    """The scenarios of these names by their files; no names: all. Raises NoSuchScenario."""
    found: dict[Path, list[Scenario]] = {}
    known = {each.name: (path, each) for path, topology in internets().items() for each in topology.scenarios if each.name in RUNS}
    for name in names or known:
        if name not in known:
            raise NoSuchScenario(f"there is no scenario {name!r}", hint=f"there are: {', '.join(known) or f'none in {folder()}'}")
        path, scenario = known[name]
        found.setdefault(path, []).append(scenario)
    return found


def populate(net: Internet, told: Told) -> System | anycast.Stage:
    """Start what our hosts do: a whole system where the file wants a film, else the announcers of the sites alone."""
    return System(net, told) if net.topology.ours.film_s else anycast.Stage(net, told)


def play(stage: System | anycast.Stage, scenario: Scenario, told: Told) -> Outcome:
    """One scenario in an internet that is up."""
    began_s = time.monotonic()
    rows = RUNS[scenario.name](stage, scenario, told)
    return Outcome(scenario=scenario.name, about=scenario.about, rows=tuple(rows), took_s=round(time.monotonic() - began_s, 1))


def run(names: Sequence[str], told: Told) -> list[Outcome]:
    """Scenarios by name, those of a file in one internet, which is gone afterwards. Raises CannotRun, NoSuchScenario."""
    wanted = find(names)
    needs.check()
    found = []
    for path, scenarios in wanted.items():
        with Internet(f"{path.stem[:12]}-{os.getpid()}", load(path), str(path), told) as net:
            stage = populate(net, told)
            for scenario in scenarios:
                told(f"{scenario.name}: {scenario.about}")
                found.append(play(stage, scenario, told))
    return found
