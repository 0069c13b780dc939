"""What viewers of a whole Nearcast notice, in an internet of routers and slow lines: with real BGP, DNS, and a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nearcast.operations.lab import browser, needs
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.scenarios import table
from nearcast.operations.lab.system import System
from nearcast.operations.lab.topology import load
from tests.lab.scenarios import able, briefly, judged

PATH = table.folder() / "system.toml"
TITLES = {each.name: each for each in load(PATH).scenarios}


@pytest.fixture(scope="module")
def stage() -> Iterator[System]:
    """One system for all of them: it takes half a minute to start and to ingest its film."""
    able()
    if lacking := browser.lacking():
        pytest.skip(needs.reason(lacking))
    topology = load(PATH)
    with Internet(f"tests-{os.getpid()}", topology, str(PATH)) as net:
        yield System(net, lambda text: None)


@pytest.mark.parametrize("name", list(TITLES))
def test_viewers_are_served(name: str, stage: System, capsys: pytest.CaptureFixture[str]) -> None:
    judged(table.play(stage, briefly(TITLES[name]), lambda text: None), capsys)
