"""Files that come from several sources: peers that have them not yet, die, crawl or lie; what the window and urgency let through."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.delivery.fill import copying, source, sources
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.source import HttpSource, Opener, OtherLength, SourceDown, UnsafeSource
from nearcast.delivery.fill.stock import name_of
from nearcast.delivery.fill.transfer import REPAIR_GENERATION, Transfers, is_window_open
from nearcast.model.fill import ORIGIN, Assignment, FillItem, FillSource, Hop
from nearcast.model.rendition import BLOCK_BYTES

from ..making import TOKEN, Origin, digests, film, publish, running_origin, until

BIG = film(5 * BLOCK_BYTES + 4321)
OLD = Assignment(version=1, items=())


class Several:
    """Transfers over a folder, with an origin and a peer that holds what the test puts into ``held``."""

    def __init__(self, folder: Path, origin: Origin, peer: Origin) -> None:
        self.origin, self.peer = origin, peer
        self.held: set[str] = set()
        self.client = source.client()
        self.disk = Disk(folder)
        self.fetched: Counter[tuple[int, str]] = Counter()
        opener = Opener(self.client, HttpSource(self.client, origin.url, TOKEN))
        self.transfers = Transfers(self.disk, opener, linger_s=0.0, fetched=self._count)
        self.sources = (FillSource(id="fra-2", kind="peer", url=peer.url, token=TOKEN, held_only=True), ORIGIN)
        self.version = 0

    def _count(self, generation: int, item: FillItem, given: FillSource, size_bytes: int) -> None:
        self.fetched[generation, given.id] += size_bytes

    async def doors(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        """What an appliance's ``/held`` answers, by the origin's own code."""
        if scope["type"] == "http":
            door, _, rest = scope["path"].removeprefix("/").partition("/")
            there = door == "held" and rest.partition("/")[2].partition(".")[0] in {each.partition(".")[0] for each in self.held}
            scope = {**scope, "path": f"/titles/{rest}" if there else "/nothing"}
        await self.peer.serve(scope, receive, send)

    def assign(self, *items: FillItem, after_s: float = 3600.0, **more: object) -> None:
        self.version += 1
        routes = ((Hop(0, 0.0, True), Hop(1, after_s)),)
        fields = {"version": self.version, "items": items, "generation": 7, "sources": self.sources, "routes": routes, **more}
        self.transfers.assign(Assignment(**fields))  # type: ignore[arg-type]  # checked by the constructor

    async def whole(self, item: FillItem) -> bytes:
        path = self.disk.placed / item.title_id / item.file.name
        await until(lambda: path.exists() and (item.title_id, item.file.name) in self.transfers.stock.held)
        return path.read_bytes()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Several]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_origin())
        peer = await stack.enter_async_context(running_origin(origin.store))
        several = Several(folder, origin, peer)
        await stack.enter_async_context(peer.instead(several.doors))
        task = asyncio.create_task(several.transfers.run())
        try:
            yield several
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await several.client.aclose()


async def test_the_peer_is_waited_for_and_the_origin_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "NOT_YET_S", (0.02, 0.05))
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.assign(item)
        await until(lambda: len(several.peer.requests) > 5)
        assert several.transfers.problem is None, "not there yet is no problem"
        several.held.add(item.file.name)
        assert await several.whole(item) == BIG
        assert several.origin.requests == []
        assert several.fetched == {(7, "fra-2"): len(BIG)}


async def test_a_peer_that_dies_in_the_middle_is_replaced_where_it_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        half = 2 * BLOCK_BYTES + BLOCK_BYTES // 2

        async def dying(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] != "http" or scope["path"].endswith(".blocks"):
                await several.doors(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BIG)).encode())]})
            await send({"type": "http.response.body", "body": BIG[:half], "more_body": True})
            raise ConnectionResetError

        several.held.add(item.file.name)
        async with several.peer.instead(dying):
            several.assign(item, after_s=0.0)
            assert await several.whole(item) == BIG
        assert several.fetched == {(7, "fra-2"): 2 * BLOCK_BYTES, (7, "origin"): len(BIG) - 2 * BLOCK_BYTES}
        assert several.origin.requests == [(f"/titles/t_film/{item.file.name}", f"bytes={2 * BLOCK_BYTES}-")]


async def test_a_peer_that_crawls_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "SLOW_S", 0.3)
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.held.add(item.file.name)
        forever = asyncio.Event()

        async def crawling(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] != "http" or scope["path"].endswith(".blocks"):
                await several.doors(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BIG)).encode())]})
            await send({"type": "http.response.body", "body": BIG[: BLOCK_BYTES + 9], "more_body": True})
            await forever.wait()

        async with several.peer.instead(crawling):
            several.assign(item, after_s=0.0)
            assert await several.whole(item) == BIG
            forever.set()
        assert several.fetched == {(7, "fra-2"): BLOCK_BYTES, (7, "origin"): len(BIG) - BLOCK_BYTES}


async def test_a_lying_peer_is_replaced_block_by_block(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        garbage = film(len(BIG), 9)

        async def lying(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] != "http" or scope["path"].endswith(".blocks"):
                await several.doors(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BIG)).encode())]})
            await send({"type": "http.response.body", "body": BIG[:BLOCK_BYTES] + garbage[BLOCK_BYTES:]})

        several.held.add(item.file.name)
        async with several.peer.instead(lying):
            several.assign(item, after_s=0.0)
            assert await several.whole(item) == BIG
        assert several.fetched == {(7, "fra-2"): BLOCK_BYTES, (7, "origin"): len(BIG) - BLOCK_BYTES}
        assert several.transfers.problem is None


@pytest.mark.parametrize(
    "answer", [(200, {"content-length": "5"}, b"12345"), (500, {}, b""), (401, {}, b""), (302, {"location": "/"}, b"")]
)
async def test_a_peer_that_talks_nonsense_is_passed_over(tmp_path: Path, answer: tuple[int, dict[str, str], bytes]) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.peer.answer = answer
        several.assign(item, after_s=0.0)
        assert await several.whole(item) == BIG
        assert several.fetched == {(7, "origin"): len(BIG)}


async def test_a_dead_peer_opens_the_origin_after_the_delay_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        await several.peer.stop()
        several.assign(item)
        await until(lambda: isinstance(several.transfers.problem, SourceDown))
        assert several.origin.requests == []
        several.assign(item, after_s=0.01)
        assert await several.whole(item) == BIG
        assert several.transfers.problem is None


async def test_a_secret_is_not_sent_in_the_clear(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.sources = (replace(several.sources[0], url="http://192.0.2.1:8101"), ORIGIN)
        several.assign(item, after_s=3600.0)
        await until(lambda: isinstance(several.transfers.problem, UnsafeSource))
        several.assign(item, after_s=0.0)
        assert await several.whole(item) == BIG


async def test_a_repair_fetches_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.held.add(item.file.name)
        several.assign(item)
        await several.whole(item)
        path = several.disk.placed / "t_film" / item.file.name
        with path.open("r+b") as file:
            file.seek(3 * BLOCK_BYTES + 5)
            file.write(bytes([BIG[3 * BLOCK_BYTES + 5] ^ 1]))
        several.peer.requests.clear()
        several.assign(item, window_open=False)
        several.transfers.repair(name_of(item))
        assert not path.exists(), "nobody is served it from this moment on"
        assert several.transfers.stock.holdings == {}
        assert await several.whole(item) == BIG
        assert several.peer.requests == [(f"/held/t_film/{item.file.name}", f"bytes={3 * BLOCK_BYTES}-{4 * BLOCK_BYTES - 1}")]
        assert several.fetched[REPAIR_GENERATION, "fra-2"] == BLOCK_BYTES
        assert several.transfers.repaired_total == 1
        several.transfers.repair(("t_film", "no such file"))


async def test_a_file_of_another_length_is_served_no_more(tmp_path: Path) -> None:
    """What lies there since before is longer or shorter than what is assigned."""
    async with running_origin() as origin:
        item = await publish(origin.store, BIG)
        for wrong in (BIG[:-1], BIG + b"x"):
            placed = tmp_path / str(len(wrong)) / "placed" / "t_film"
            placed.mkdir(parents=True)
            (placed / item.file.name).write_bytes(wrong)
            (placed / item.file.blocks_name).write_bytes(digests(BIG))
            async with running(tmp_path / str(len(wrong))) as several:
                await publish(several.origin.store, BIG)
                several.assign(item, after_s=0.0)
                assert not (placed / item.file.name).exists()
                assert await several.whole(item) == BIG
                assert sum(several.fetched.values()) == (4321 if len(wrong) < len(BIG) else 0), "its right blocks were kept"


async def test_a_file_without_digests_is_verified_before_it_is_served(tmp_path: Path) -> None:
    placed = tmp_path / "placed" / "t_film"
    placed.mkdir(parents=True)
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        (placed / item.file.name).write_bytes(BIG)
        again = Several(tmp_path, several.origin, several.peer)
        assert not (placed / item.file.name).exists()
        assert again.transfers.stock.held == {}
        several.held.add(item.file.name)
        several.assign(item)
        assert await several.whole(item) == BIG
        assert several.fetched == {}, "nothing but the digests had to come"


async def test_outside_the_window_only_urgent_files_come(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        calm = await publish(several.origin.store, film(100, 1), "t_calm")
        urgent = replace(await publish(several.origin.store, film(200, 2), "t_urgent"), urgent=True)
        several.assign(calm, urgent, after_s=0.0, window_open=False)
        await until(lambda: several.transfers.stock.holdings == {"t_urgent": 200})
        assert not several.transfers.window_open
        several.assign(calm, urgent, after_s=0.0, window_open=False, window_turns_s=0.2)
        await until(lambda: several.transfers.stock.holdings == {"t_urgent": 200, "t_calm": 100})


def test_the_window_turns_once_without_further_word() -> None:
    is_open, closed = replace(OLD, window_open=True), replace(OLD, window_open=False)
    assert [is_window_open(is_open, 10.0, now_s) for now_s in (9.9, 10.0, 99.0)] == [True, False, False]
    assert [is_window_open(closed, 10.0, now_s) for now_s in (9.9, 10.0, 99.0)] == [False, True, True]
    assert is_window_open(is_open, float("inf"), 1e9)


async def test_items_none_keeps_what_is_held_and_takes_the_rest(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        several.assign(item, after_s=0.0)
        await several.whole(item)
        several.transfers.assign(replace(several.transfers.assignment, version=99, items=None, rate_bps=5e6))
        assert several.transfers.assigned == (item,)
        assert several.transfers.rate_bps == 5e6


def test_the_slower_of_two_paces_holds(tmp_path: Path) -> None:
    transfers = Transfers(Disk(tmp_path), lambda each: HttpSource(source.client(), "", ""), rate_max_bps=3e6, clock=VirtualClock())
    assert transfers.rate_bps == 3e6
    for told_bps, kept_bps in ((1e6, 1e6), (9e6, 3e6), (0.0, 3e6)):
        transfers.assign(replace(OLD, rate_bps=told_bps))
        assert transfers.rate_bps == kept_bps


async def test_another_length_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as several:
        item = await publish(several.origin.store, BIG)
        await several.origin.store.put_async(f"titles/t_film/{item.file.name}", BIG[:-1])
        several.sources = (ORIGIN, ORIGIN)
        several.assign(item, after_s=0.0)
        await until(lambda: isinstance(several.transfers.problem, OtherLength))
