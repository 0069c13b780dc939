"""One system and one film for what befalls the edges of players."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import films
from tests.e2e.harness import System, new_system
from tests.e2e.library import Film, Library
from tests.faults.players.viewers import DURATION_S

MORE = ("[playback]", "heartbeat_s = 2", "steering_ttl_s = 3", "steering_ttl_degraded_s = 1", "[media.quality]", "enabled = false")


@pytest.fixture(scope="package")
def system() -> Iterator[System]:
    with new_system(more=MORE, own_hosts=True) as made:
        made.up()
        yield made


@pytest.fixture(scope="package")
def film(system: System, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("films")
    title = system.ingest(films.generated(folder / "pier.mp4", rate="12", duration_s=DURATION_S), "Pier", "--clear")
    found = Film(id=title["id"], name="Pier", duration_s=title["runtime_s"], title=title)
    Library(system, folder).wait_placed(found, len(system.edge_ports))
    return found
