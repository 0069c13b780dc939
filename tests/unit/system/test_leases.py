"""Who may not go to discovery's socket is held there by steer, for as long as it gives signs of life."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.paths import Home
from nearcast.base.vital import Sign
from nearcast.model.services import Discovery
from nearcast.system import leases, settings, table
from nearcast.system.part import System, host_name
from nearcast.system.secrets import Keys
from tests.fakes.discovery import FakeDiscovery


class Holding:
    def __init__(self, home: Home) -> None:
        self.clock, self.discovery = VirtualClock(), FakeDiscovery()
        self.system = System(home, settings.load(home), Keys({table.CALLS: bytes(32)}), self.clock)
        self.system.add_local({Discovery: self.discovery})

    async def pass_s(self, duration_s: float, sign: Sign | None = None) -> list[str]:
        """Which services discovery knows after that, with a sign of life at each look."""
        for _ in range(round(duration_s / leases.LOOK_S)):
            if sign is not None:
                sign.give()
            await self.clock.advance(leases.LOOK_S)
            for _ in range(20):  # a call within the process has turns of its own
                await asyncio.sleep(0)
        return [each.service for each in self.discovery.known.values()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.make()
    return found


@pytest.fixture
async def held(home: Home) -> AsyncIterator[Holding]:
    found = Holding(home)
    task = asyncio.create_task(leases.keep_for(found.system, "dns-1"))
    await asyncio.sleep(0)
    yield found
    await leases.end(task)
    assert not found.discovery.known, "its lease goes with the one who holds it"


async def test_a_lease_is_held_while_there_are_signs(home: Home, held: Holding) -> None:
    assert await held.pass_s(10) == []
    sign = Sign(home.sign("dns-1"))
    assert await held.pass_s(10) == [], "it is not ready yet"
    assert await held.pass_s(2, sign) == ["dns-1"]
    ((name, instance),) = held.discovery.known.items()
    assert (instance.address, instance.host) == (f"unix:{home.socket('dns-1')}", host_name())
    assert 0 <= time.time() - instance.started_at < 3600 * 24
    assert await held.pass_s(60, sign) == ["dns-1"]
    assert [*held.discovery.known] == [name]
    assert await held.pass_s(leases.SILENT_LOOKS * leases.LOOK_S - 1) == ["dns-1"], "it may wait for a processor"
    assert await held.pass_s(2) == []
    assert await held.pass_s(2, sign) == ["dns-1"]
    assert name not in held.discovery.known


async def test_what_a_dead_process_has_left_is_no_sign(home: Home) -> None:
    Sign(home.sign("dns-1")).give()
    held = Holding(home)
    task = asyncio.create_task(leases.keep_for(held.system, "dns-1"))
    assert await held.pass_s(30) == []
    await leases.end(task)


async def test_the_next_process_of_that_name_is_another_instance(home: Home, held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    await held.pass_s(2, Sign(home.sign("dns-1")))
    before = [*held.discovery.known]
    monkeypatch.setattr(os, "getpid", os.getppid)
    assert await held.pass_s(3, Sign(home.sign("dns-1"))) == ["dns-1"]
    assert [*held.discovery.known] != before


async def test_discovery_that_is_away_is_told_when_it_is_back(home: Home, held: Holding) -> None:
    sign = Sign(home.sign("dns-1"))
    assert await held.pass_s(5, sign) == ["dns-1"]
    held.discovery.known.clear()  # it began anew
    assert await held.pass_s(5, sign) == ["dns-1"]
