"""A Catalog service over a fresh store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.control.catalog import CatalogService
from nearcast.control.store import Store
from tests.unit.control.helpers import new_store


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def catalog(store: Store, clock: VirtualClock) -> CatalogService:
    return CatalogService(store, clock=clock)
