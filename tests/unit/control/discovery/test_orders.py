"""Orders to appliances: kept over a restart, told with each report, and never lost without a word."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nearcast.base.clock import VirtualClock
from nearcast.control.discovery import DiscoveryService
from nearcast.control.discovery.orders import OrderFile, OrdersUnusable
from nearcast.control.discovery.service import UnknownAppliance
from nearcast.model.services import DropQuestion, OrderQuestion
from nearcast.model.site import Order
from tests.unit.control.discovery.test_service import REPORT


def service(path: Path, *configured: str) -> DiscoveryService:
    return DiscoveryService(clock=VirtualClock(), orders=OrderFile(path), configured=configured)


async def test_orders_outlive_the_process_and_come_with_every_report(tmp_path: Path) -> None:
    path = tmp_path / "data" / "orders.json"
    first = service(path, "fra-1")
    assert await first.order(OrderQuestion(appliance="fra-1", draining=True)) == Order(appliance="fra-1", draining=True)
    assert (await first.order(OrderQuestion(appliance="fra-1", rotate_key=True))).key_generation == 1
    second = service(path)
    answer = await second.report(REPORT)
    assert (answer.draining, answer.key_generation, answer.key) == (True, 1, "")
    assert not (await second.order(OrderQuestion(appliance="fra-1", draining=False))).draining
    assert not (await second.report(REPORT)).draining
    other = await second.report(msgspec.structs.replace(REPORT, id="bom-1"))
    assert (other.draining, other.key_generation) == (False, 0)


async def test_who_is_unknown_gets_no_orders(tmp_path: Path) -> None:
    discovery = service(tmp_path / "orders.json")
    with pytest.raises(UnknownAppliance):
        await discovery.order(OrderQuestion(appliance="nobody", draining=True))
    await discovery.report(REPORT)
    assert await discovery.order(OrderQuestion(appliance="fra-1")) == Order(appliance="fra-1"), "a mere look"
    assert not (tmp_path / "orders.json").exists()


async def test_who_has_fallen_silent_can_be_told_to_drain(tmp_path: Path) -> None:
    discovery = service(tmp_path / "orders.json")
    await discovery.report(REPORT)
    await discovery.drop(DropQuestion(id="fra-1"))
    await discovery.order(OrderQuestion(appliance="fra-1", draining=True))
    assert (await discovery.report(REPORT)).draining


async def test_orders_that_cannot_be_kept_are_not_given(tmp_path: Path) -> None:
    discovery = service(tmp_path / "data" / "orders.json", "fra-1")
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(OrdersUnusable):
        await discovery.order(OrderQuestion(appliance="fra-1", draining=True))
    assert not (await discovery.report(REPORT)).draining


def test_a_damaged_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text("{")
    with pytest.raises(OrdersUnusable, match=r"orders\.json"):
        service(tmp_path / "orders.json")
