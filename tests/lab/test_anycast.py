"""A site fails behind the anycast address: the product's doors, its announcers and real routers, seen by a viewer who asks each 10 ms."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.scenarios import table
from nearcast.operations.lab.scenarios.anycast import Stage
from nearcast.operations.lab.topology import load
from tests.lab.scenarios import able, briefly, judged

PATH = table.folder() / "anycast.toml"
TITLES = {each.name: each for each in load(PATH).scenarios}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One internet for all of them."""
    able()
    with Internet(f"tests-any-{os.getpid()}", load(PATH), str(PATH)) as net:
        yield Stage(net, lambda text: None)


@pytest.mark.parametrize("name", list(TITLES))
def test_the_next_site_answers(name: str, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    judged(table.play(stage, briefly(TITLES[name]), lambda text: None), capsys)
