"""What is absent comes from the tier, and from the origin when the tier cannot: once for all who wait, and never wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from nearcast.delivery.edge import server
from nearcast.delivery.edge.reactive import flag_of, slice_name
from nearcast.model.fill import ORIGIN, FillSource
from nearcast.model.rendition import BLOCK_BYTES
from tests.ports import free_port

from ..making import TOKEN, film, publish, running_origin, until
from .serving import DataPath, serving

DATA = film(2_500_000)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is kept alive here over an exchange of workers."""
    monkeypatch.setattr(server, "CLOSING_S", 0.0)


@asynccontextmanager
async def tiered(folder: Path) -> AsyncIterator[tuple[DataPath, DataPath]]:
    """An edge whose parent is an exchange, both over one origin."""
    async with (
        running_origin() as origin,
        serving(folder / "exchange", origin, id="lon-1") as exchange,
        serving(folder / "edge", origin) as edge,
    ):
        await edge.server.set_parents((exchange.source(), ORIGIN))
        yield edge, exchange


async def test_the_tier_is_asked_and_asks_the_origin_in_turn(tmp_path: Path) -> None:
    async with tiered(tmp_path) as (edge, exchange):
        file = (await publish(edge.origin.store, DATA)).file
        assert (await edge.get(edge.path(file.name))).content == DATA
        assert (await edge.get(edge.path(file.name), Range="bytes=100-200")).content == DATA[100:201]
        assert len(edge.origin.asked) == 3, "each slice once"
        first, second = (await edge.read_log(2))[:2]
        assert (first.parent, first.source, first.zone) == ("lon-1", "parent", "landing")
        assert second.source == "cache"
        assert edge.log.counts.parent_bytes_by.keys() == {"lon-1"}
        assert edge.log.counts.parent_bytes == len(DATA)
        assert all(each.door == "titles" and each.parent == "origin" for each in await exchange.read_log(3))


async def test_a_dead_tier_and_one_that_comes_back(tmp_path: Path) -> None:
    async with tiered(tmp_path) as (edge, exchange):
        pid = exchange.server.nginx.pid
        for each in exchange.server.nginx.processes():
            os.kill(each, signal.SIGSTOP)
        for number in range(4):
            data = film(1000, seed=number)
            file = (await publish(edge.origin.store, data)).file
            assert (await edge.get(edge.path(file.name))).content == data
        assert {each.parent for each in await edge.read_log(4)} == {"origin"}
        for each in exchange.server.nginx.processes():
            os.kill(each, signal.SIGCONT)
        assert exchange.server.nginx.pid == pid
        for number in range(100, 200):
            data = film(1000, seed=number)
            file = (await publish(edge.origin.store, data)).file
            assert (await edge.get(edge.path(file.name))).content == data
            if (await edge.read_log(5 + number - 100))[-1].parent == "lon-1":
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the tier is not asked again")


@pytest.mark.parametrize("status", [500, 502, 503, 404, 403, 401, 429, 301, 200])
async def test_a_tier_that_refuses(tmp_path: Path, status: int) -> None:
    async with running_origin() as origin, running_origin() as tier, serving(tmp_path, origin) as edge:
        tier.answer = (status, {"content-length": "4", "location": "http://127.0.0.1:1/"}, b"nope")
        await edge.server.set_parents((FillSource(id="lon-1", kind="tier", url=tier.url, token=TOKEN),))
        file = (await publish(origin.store, DATA)).file
        answers = await asyncio.gather(*(edge.get(edge.path(file.name), Range="bytes=0-1000") for _ in range(20)))
        if status == 200:  # a whole file that is none: nothing wrong is served as a part of it, and nothing is kept
            assert all(each.status_code != 206 for each in answers)
            tier.answer = None
            await publish(tier.store, DATA)
            assert (await edge.get(edge.path(file.name))).content == DATA
            return
        assert all((each.status_code, each.content) == (206, DATA[:1001]) for each in answers)
        assert len(origin.asked) == 1
        assert tier.asked
        assert (await edge.read_log(20))[-1].parent in ("origin", "")


@pytest.mark.parametrize("said", [b"\x00\x01 what?\r\n\r\n" * 50, b"HTTP/1.1 2x6 Odd\r\n\r\n", b"HTTP/1.1 206 OK\r\nbroken\r\n\r\n", b""])
async def test_a_tier_that_talks_nonsense(tmp_path: Path, said: bytes) -> None:
    """nginx takes what has no head for an answer of HTTP/0.9: that is broken off, and the rest comes from the origin."""
    asked = 0

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    port = free_port()
    async with running_origin() as origin, serving(tmp_path, origin) as edge, await asyncio.start_server(babble, "127.0.0.1", port):
        await edge.server.set_parents((FillSource(id="lon-1", kind="tier", url=f"http://127.0.0.1:{port}", token="x"),))
        file = (await publish(origin.store, DATA)).file
        try:
            answer = await edge.get(edge.path(file.name))
        except httpx.RemoteProtocolError:
            pass
        else:
            assert (answer.status_code, answer.content) in [(200, DATA), (502, answer.content)]
        assert asked
        await edge.server.set_parents(())
        assert (await edge.get(edge.path(file.name))).content == DATA, "nothing of it was kept"


async def test_a_slow_tier_is_left_for_the_origin_and_then_spared(tmp_path: Path) -> None:
    async with running_origin() as origin, running_origin() as tier, serving(tmp_path, origin) as edge:
        tier.delay_s = 30.0
        await edge.server.set_parents((FillSource(id="lon-1", kind="tier", url=tier.url, token=TOKEN),))
        for number in range(6):
            data = film(5000, seed=number)
            file = (await publish(origin.store, data)).file
            assert (await edge.get(edge.path(file.name))).content == data
        assert 1 <= len(tier.asked) < 6, "who keeps others waiting is not asked for some seconds"
        assert len(origin.asked) == 6


async def test_appliances_that_name_each_other_do_not_go_in_circles(tmp_path: Path) -> None:
    async with tiered(tmp_path) as (edge, exchange):
        await exchange.server.set_parents((edge.source(),))
        file = (await publish(edge.origin.store, DATA)).file
        assert (await edge.get(edge.path(file.name), Range="bytes=0-99")).content == DATA[:100]
        assert len(edge.origin.asked) == 1


async def test_one_that_is_asked_for_what_it_holds_alone(tmp_path: Path) -> None:
    async with tiered(tmp_path) as (edge, exchange):
        held, absent = await publish(edge.origin.store, DATA), await publish(edge.origin.store, film(900, 5))
        exchange.place(held, DATA)
        await edge.server.set_parents((exchange.source(held_only=True),))
        assert (await edge.get(edge.path(held.file.name))).content == DATA
        assert (await edge.get(edge.path(absent.file.name))).content == film(900, 5)
        assert [each.parent for each in await edge.read_log(2)] == ["lon-1", "origin"]


async def test_the_same_parents_again_change_nothing(tmp_path: Path) -> None:
    async with tiered(tmp_path) as (edge, exchange):
        workers = edge.server.nginx.workers()
        await edge.server.set_parents((exchange.source(), ORIGIN))
        assert edge.server.nginx.workers() == workers
        await edge.server.set_parents(())
        assert edge.server.nginx.workers() != workers
        file = (await publish(edge.origin.store, DATA)).file
        assert (await edge.get(edge.path(file.name), Range="bytes=0-99")).content == DATA[:100]
        assert (await edge.read_log(1))[0].parent == "origin"


async def test_what_was_admitted_comes_from_memory_and_is_kept_on_the_disk(tmp_path: Path) -> None:
    async with running_origin() as origin, serving(tmp_path, origin) as edge:
        file = (await publish(origin.store, DATA)).file
        path, slices = edge.path(file.name), edge.server.folder / "cache" / "slices"
        first = slice_name("t_film", file.name, 0)

        def on_disk() -> int:
            return sum(each.stat().st_size > BLOCK_BYTES for each in slices.rglob("*") if each.is_file())

        assert (await edge.get(path, Range="bytes=0-999999")).status_code == 206
        await edge.read_log(1)
        assert not on_disk(), "what is asked for but once is not written"
        assert (await edge.get(path, Range="bytes=0-999999")).status_code == 206
        await edge.read_log(2)
        assert (edge.server.window.admitted / flag_of(first)).exists()
        assert (await edge.get(path, Range="bytes=0-999999")).content == DATA[:1_000_000]
        await until(lambda: on_disk() == 1)
        third = (await edge.read_log(3))[2]
        assert (third.zone, third.cache, third.parent, third.source) == ("slices", "MISS", "memory", "cache")
        assert edge.reactive.written_bytes_total == edge.reactive.used_bytes > BLOCK_BYTES
        assert len(origin.asked) == 1, "it was fetched once"
        await until(lambda: not list(edge.server.window.landing.rglob("?" * 32)))
        assert (await edge.get(path, Range="bytes=5-10")).content == DATA[5:11]
        assert len(origin.asked) == 1
