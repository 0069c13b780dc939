"""Appliances, discovery and the watcher as processes of their own: killed, frozen, cut off; how long until the view says so is printed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import pytest

from nearcast.model.services import OrderQuestion

from ..e2e import faults
from .appliances import until
from .fleet import BLIND, NAMES, Fleet


def measure(what: str, condition: Callable[[], object], since_s: float) -> None:
    until(condition)
    print(f"{what}: {time.monotonic() - since_s:.2f} s")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture
def fleet(shared: Fleet) -> Fleet:
    shared.wait_well()
    return shared


def test_killed_frozen_and_cut_off(fleet: Fleet) -> None:
    edge = fleet.edges["bom-1"]

    began_s = time.monotonic()
    edge.kill_all()
    measure("killed, agent and nginx", lambda: fleet["bom-1"].state == "down", began_s)
    began_s = time.monotonic()
    edge.up()
    measure("back", lambda: fleet["bom-1"].state == "up", began_s)
    fleet.wait_well()

    pids = fleet.pids("bom-1")
    began_s = time.monotonic()
    with faults.frozen(pids):
        measure("frozen, agent and nginx", lambda: fleet["bom-1"].state == "down", began_s)
    fleet.wait_well()

    began_s = time.monotonic()
    with faults.frozen(edge.nginx_pids()):
        measure("frozen, nginx alone", lambda: fleet["bom-1"].state == "down", began_s)
    fleet.wait_well()

    try:
        began_s = time.monotonic()
        with faults.frozen([edge.pid]), faults.cut_off(edge.nginx_pids()):
            measure("cut off", lambda: fleet["bom-1"].state == "down", began_s)
    except faults.CannotCutOff as error:
        print(f"packets cannot be dropped here: {error}")
    until(lambda: fleet["bom-1"].state == "up")
    until(lambda: fleet.states == dict.fromkeys(NAMES, "up"))


def test_an_order_to_drain(fleet: Fleet) -> None:
    began_s = time.monotonic()
    fleet.order(OrderQuestion(appliance="bom-1", draining=True))
    measure("drained by order", lambda: fleet["bom-1"].state == "draining", began_s)
    fleet.order(OrderQuestion(appliance="bom-1", draining=False))
    until(lambda: fleet["bom-1"].state == "up")


def test_an_agent_that_dies_takes_nobody_with_it(fleet: Fleet) -> None:
    fleet.edges["fra-1"].kill()
    until(lambda: not fleet["fra-1"].heard)
    time.sleep(2.0)
    until(lambda: fleet["fra-1"].state == "up")
    assert not fleet["fra-1"].heard
    began_s = time.monotonic()
    fleet.edges["fra-1"].kill_nginx()
    measure("nginx killed while nobody reports", lambda: fleet["fra-1"].state == "down", began_s)
    fleet.edges["fra-1"].up()


def test_discovery_and_the_watcher_die(fleet: Fleet) -> None:
    with faults.frozen([fleet.discovery.pid]):
        time.sleep(4.0)
        until(lambda: (fleet.states, fleet.reader.view().snapshot.source) == (dict.fromkeys(NAMES, "up"), "live"))
        began_s = time.monotonic()
        fleet.edges["fra-1"].kill_all()
        measure("killed while discovery is frozen", lambda: fleet["fra-1"].state == "down", began_s)
    fleet.edges["fra-1"].up()
    fleet.wait_well()

    began_s = time.monotonic()
    fleet.watcher.kill()
    measure("watcher killed", lambda: fleet.reader.view().snapshot.source == "last-known", began_s)
    assert fleet.states == dict.fromkeys(NAMES, "up")
    fleet.discovery.kill()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fleet.address.removeprefix("unix:"))
    fleet.watcher.start("watcher", fleet.address, str(fleet.root / "view"))
    until(lambda: fleet.reader.view().snapshot.source == "live")
    until(lambda: fleet.states == dict.fromkeys(NAMES, "up"))  # it looks by itself
    fleet.discovery.start("discovery", fleet.address)
    until(lambda: all(fleet[name].heard for name in NAMES))


def test_it_reports_but_nobody_reaches_it(fleet: Fleet) -> None:
    began_s = time.monotonic()
    with faults.frozen(fleet.edges[BLIND].nginx_pids()):
        measure("out of reach, though it reports", lambda: fleet[BLIND].state == "down", began_s)
        until(lambda: (fleet[BLIND].heard, fleet[BLIND].why[:7]) == (True, "cut off"))
    until(lambda: fleet[BLIND].state == "up")


@pytest.mark.parametrize("name", ["bom-1", BLIND])
def test_it_takes_no_new_connections(fleet: Fleet, name: str) -> None:
    """Its own agent sees that, and where it does not, the others do."""
    began_s = time.monotonic()
    try:
        with faults.cut_off(fleet.edges[name].nginx_pids(), new_alone=True):
            measure(f"{name} takes no new connections", lambda: fleet[name].state == "down", began_s)
            until(lambda: all(state == "up" for other, state in fleet.states.items() if other != name))
    except faults.CannotCutOff as error:
        pytest.skip(f"its sockets cannot be reached here: {error}")
    until(lambda: fleet[name].state == "up")
