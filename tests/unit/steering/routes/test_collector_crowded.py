"""The collector and ISPs that change much: what its speaker would write is written into its pipe."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from nearcast.base.errors import Unavailable
from nearcast.model.route import Announcement
from nearcast.steering.routes import collector as collector_module
from nearcast.steering.routes import pace as pace_module
from nearcast.steering.routes.pace import BATCH_MAX, BULKS, BULKS_PER_S, TABLES, TURNS, TURNS_PER_S
from nearcast.steering.routes.settings import Isp
from tests.unit.steering.routes.collecting import ONE, PATIENCE_S, House, Told, until
from tests.unit.steering.routes.telling import announce, end_of_rib, state, withdraw

MANY = [f"20.{number // 256}.{number % 256}.0/24" for number in range(1_200)]
LARGE = replace(ONE, prefixes_max=10_000)
CALM = Isp(name="north", asn=64511, routers=("127.0.0.12",), sites=("exchange",), allow=("30.0.0.0/8",))


@pytest.fixture
async def crowded(tmp_path: Path) -> AsyncIterator[House]:
    """Two ISPs; what the first one changes takes the writer as long as ``go`` is not set."""
    made = House(tmp_path, LARGE, CALM, told=Slow())
    await made.collector.start()
    await until(made.pipe.exists)
    ended = [end_of_rib(version, router) for version in (4, 6) for router in ("127.0.0.11", "127.0.0.12")]
    await made.hear(state("up"), state("up", router="127.0.0.12"), *ended)
    await until(lambda: sorted(made.told.replaced) == ["north", "riverbank"])  # whose tables are empty so far
    yield made
    await made.collector.stop()
    assert made.mouth is not None
    made.mouth.close()


class Slow(Told):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.sizes: list[int] = []
        self.failing = 0

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> None:
        announced, withdrawn = tuple(announced), tuple(withdrawn)
        if self.failing:
            self.failing -= 1
            raise Unavailable("the disk is full")
        if any(each.source == "riverbank" for each in (*announced, *withdrawn)):
            self.sizes.append(len(announced) + len(withdrawn))
            assert self.go.wait(PATIENCE_S)
        super().change(announced, withdrawn)


async def test_an_isp_that_flaps_is_followed_within_bounds_and_in_the_end(crowded: House) -> None:
    told = crowded.told
    assert isinstance(told, Slow)
    began_s = time.monotonic()
    with capture_logs() as logs:
        for med in range(1, 30):
            await crowded.hear(announce(*MANY, med=med))
            await asyncio.sleep(0.02)
        sizes, took_s = list(told.sizes), time.monotonic() - began_s
        assert sum(size > BATCH_MAX for size in sizes) <= BULKS + took_s * BULKS_PER_S + TABLES
        assert len(sizes) <= TURNS + took_s * TURNS_PER_S + TABLES
        assert "it changes much" in crowded.collector.sources()[1].problem
        assert crowded.collector.sources()[0].problem == ""
    flapping = [each for each in logs if "on and on" in each["event"]]
    assert [each["isp"] for each in flapping[:1]] == ["riverbank"]
    await crowded.hear(withdraw(*MANY[10:]))
    await until(lambda: {each.med for each in told.rows.values()} == {29} and told.prefixes == set(MANY[:10]))


async def test_a_table_that_is_told_in_many_parts_is_not_called_flapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "TURNS", 1.0)
    monkeypatch.setattr(pace_module, "TURNS_PER_S", 1e-6)  # however slow this machine is
    house = House(tmp_path, LARGE, told=Slow())
    await house.collector.start()
    await until(house.pipe.exists)
    try:
        with capture_logs() as logs:
            await house.hear(state("up"), end_of_rib(4), end_of_rib(6))
            await until(lambda: house.told.replaced == ["riverbank"])  # all of nothing: it begins anew
            await house.hear(state("down", "it was lost"), state("up"), announce(MANY[0]))
            await until(lambda: house.told.prefixes == {MANY[0]})
            await house.hear(announce(*MANY[1:]))
            await until(lambda: house.collector.sources()[0].problem == "it tells its table: 2,398 changes wait for the rest of it")
            await house.hear(end_of_rib(4), end_of_rib(6))
            await until(lambda: house.told.prefixes == set(MANY))
        assert [each for each in logs if "on and on" in each["event"]] == []
    finally:
        await house.collector.stop()
        assert house.mouth is not None
        house.mouth.close()


async def test_nobody_waits_for_an_isp_that_changes_much(crowded: House) -> None:
    told = crowded.told
    assert isinstance(told, Slow)
    await crowded.hear(announce("30.1.0.0/16", router="127.0.0.12"))
    await until(lambda: told.prefixes == {"30.1.0.0/16"})
    told.go.clear()
    await crowded.hear(announce(*MANY))
    await until(lambda: bool(told.sizes))  # and there it stays
    await crowded.hear(withdraw("30.1.0.0/16", router="127.0.0.12"))
    await until(lambda: not told.rows)
    told.go.set()
    await until(lambda: len(told.prefixes) == len(MANY))


async def test_what_the_table_cannot_take_now_it_is_told_again(crowded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "RETRY_S", 0.05)
    told = crowded.told
    assert isinstance(told, Slow)
    told.failing = 3
    with capture_logs() as logs:
        await crowded.hear(announce("20.1.0.0/16"))
        await until(lambda: told.prefixes == {"20.1.0.0/16"})
    assert [each["isp"] for each in logs if "not in the table yet" in each["event"]] == ["riverbank"]


async def test_a_router_that_is_nobodys_is_told_of_once(crowded: House) -> None:
    with capture_logs() as logs:
        await crowded.hear(state("up", router="127.0.0.99"), announce("20.9.0.0/16", router="127.0.0.99"), announce("20.1.0.0/16"))
        await until(lambda: crowded.told.prefixes == {"20.1.0.0/16"})
    assert [each["router"] for each in logs if "none of ours" in each["event"]] == ["127.0.0.99"]
