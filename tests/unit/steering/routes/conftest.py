from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nearcast.model.route import Route
from nearcast.steering.routes.store import TableWriter
from tests.unit.steering.routes.reference import SITES
from tests.unit.steering.routes.writing import DEFAULT


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., TableWriter]]:
    writers: list[TableWriter] = []

    def start(routes: tuple[Route, ...] = (DEFAULT,), isps: tuple[str, ...] = ("north", "south"), **options: Any) -> TableWriter:
        writers.append(TableWriter(tmp_path, SITES, routes, isps, **options))
        writers[-1].start()
        return writers[-1]

    yield start
    for each in writers:
        each.close()
