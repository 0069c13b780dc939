"""What keeps orders to appliances: every engine of the port gives back what was saved last, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nearcast.control.discovery.orders import OrderFile, OrderMemory, OrderStore
from nearcast.model.site import Order

ENGINES: dict[str, Callable[[Path], OrderStore]] = {
    "file": lambda folder: OrderFile(folder / "data" / "orders.json"),
    "memory": lambda folder: OrderMemory(),
}
DRAINS = Order(appliance="fra-1", draining=True)
ROTATED = Order(appliance="bom-1", key_generation=7)


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OrderStore:
    return ENGINES[request.param](tmp_path)


def test_what_was_saved_last_is_there_and_nothing_else(store: OrderStore) -> None:
    assert store.load() == {}
    store.save({"fra-1": DRAINS, "bom-1": ROTATED})
    assert store.load() == {"fra-1": DRAINS, "bom-1": ROTATED}
    store.save({"bom-1": ROTATED})
    assert store.load() == {"bom-1": ROTATED}


def test_what_was_given_out_is_not_changed_by_who_changes_it(store: OrderStore) -> None:
    store.save({"fra-1": DRAINS})
    store.load().clear()
    assert store.load() == {"fra-1": DRAINS}
