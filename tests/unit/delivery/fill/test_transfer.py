"""None"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.delivery.fill import sources
from nearcast.delivery.fill.blocks import CorruptBlocks, block_count, first_run, missing_blocks, read_digests
from nearcast.delivery.fill.source import CorruptSource, SourceDown
from nearcast.model.fill import ORIGIN, Assignment, FillItem, Hop
from nearcast.model.rendition import BLOCK_BYTES
from tests.unit.delivery.fill.copying import BIG, Bench, running_bench

from ..making import TOKEN, describe, digests, film, publish, running_origin, until

# --- pure ----------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 4 * BLOCK_BYTES), st.integers(0, 4 * BLOCK_BYTES))
def test_what_is_missing_of_a_damaged_file(size_bytes: int, broken_at: int) -> None:
    data = film(size_bytes)
    listed = read_digests(digests(data), describe(data))
    count = block_count(size_bytes)
    assert missing_blocks(listed, size_bytes, lambda start, end: data[start:end]) == ()
    assert missing_blocks(listed, size_bytes, lambda start, end: b"") == tuple(range(count))
    if size_bytes:
        at = broken_at % size_bytes
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert missing_blocks(listed, size_bytes, lambda start, end: broken[start:end]) == (at // BLOCK_BYTES,)
        assert missing_blocks(listed, size_bytes, lambda start, end: data[:at][start:end]) == tuple(range(at // BLOCK_BYTES, count))


def test_one_request_fetches_what_is_missing_in_a_row() -> None:
    assert first_run((3,)) == range(3, 4)
    assert first_run((0, 1, 2)) == range(3)
    assert first_run((2, 3, 5, 6)) == range(2, 4)


def test_damaged_digests_are_refused() -> None:
    raw, file = digests(BIG), describe(BIG)
    for wrong in (raw[:-1], raw + b"x", raw[:-32], b"", b"\0" * len(raw)):
        with pytest.raises(CorruptBlocks):
            read_digests(wrong, file)


async def test_files_come_whole_with_their_digests(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        items = [await publish(bench.origin.store, film(size, size), f"t_{size}") for size in (0, 1, BLOCK_BYTES, BLOCK_BYTES + 1)]
        big = await publish(bench.origin.store, BIG)
        await bench.done(big, *items)
        assert bench.placed(big).read_bytes() == BIG
        assert (bench.disk.placed / "t_film" / big.file.blocks_name).read_bytes() == digests(BIG)
        for each in items:
            assert bench.placed(each).stat().st_size == each.file.size_bytes
        assert list(bench.disk.filling.iterdir()) == []
        assert bench.transfers.stock.holdings["t_film"] == len(BIG)
        await until(lambda: bench.transfers.problem is None)
        assert bench.make().stock.held == bench.transfers.stock.held, "a restart finds what is there"


async def test_what_is_no_longer_assigned_goes(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        one, two = await publish(bench.origin.store, film(10)), await publish(bench.origin.store, film(11), "t_two")
        await bench.done(one, two)
        bench.assign(two)
        await until(lambda: not (bench.disk.placed / "t_film").exists())
        assert bench.placed(two).exists()
        assert bench.transfers.stock.holdings == {"t_two": 11}


async def test_a_flipped_byte_is_refused_and_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "WRONG_S", 0.1)
    async with running_bench(tmp_path) as bench:
        good = await publish(bench.origin.store, BIG)
        path = f"titles/t_film/{good.file.name}"
        flipped = bytearray(BIG)
        flipped[3 * BLOCK_BYTES + 7] ^= 1
        await bench.origin.store.put_async(path, bytes(flipped))
        bench.assign(good)
        await until(lambda: isinstance(bench.transfers.problem, CorruptSource))
        assert "block 3" in str(bench.transfers.problem)
        assert not bench.placed(good).exists()
        tried = [span for name, span in bench.origin.requests if name.endswith(".mp4")]
        assert tried[1:3] == [f"bytes={3 * BLOCK_BYTES}-"] * 2, "only from the bad block on, three tries in all"
        await bench.origin.store.put_async(path, BIG)
        await until(lambda: bench.placed(good).exists())
        assert bench.placed(good).read_bytes() == BIG
        await until(lambda: bench.transfers.problem is None)


async def test_a_flipped_byte_does_not_hold_up_others(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        bad, good = await publish(bench.origin.store, film(100)), await publish(bench.origin.store, film(200, 2), "t_good")
        await bench.origin.store.put_async(f"titles/t_film/{bad.file.name}", film(100, 3))
        bench.assign(bad, good)
        await until(lambda: bench.transfers.stock.holdings == {"t_good": 200})
        await until(lambda: isinstance(bench.transfers.problem, CorruptSource))


async def test_damaged_digests_at_the_source(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        bad = await publish(bench.origin.store, film(100))
        await bench.origin.store.put_async(f"titles/t_film/{bad.file.blocks_name}", b"x" * 32)
        bench.assign(bad)
        await until(lambda: isinstance(bench.transfers.problem, CorruptBlocks))
        assert bench.transfers.stock.holdings == {}


async def test_a_dead_source_is_waited_for(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        wanted = await publish(bench.origin.store, BIG)
        await bench.origin.stop()
        bench.assign(wanted)
        await until(lambda: isinstance(bench.transfers.problem, SourceDown))
        assert bench.transfers.missing_bytes() == len(BIG)
        await bench.origin.start()
        await until(lambda: bench.placed(wanted).exists())


async def test_an_assignment_in_the_middle_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy goes on by the new route; and when its source then fails, it is tried again without another assignment."""
    async with running_bench(tmp_path) as bench:
        wanted, gate = await publish(bench.origin.store, BIG), asyncio.Event()
        many = ((Hop(0, 3600.0),), (Hop(0, 3600.0),), (Hop(0),))

        async def halting(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] != "http" or not scope["path"].endswith(".mp4") or gate.is_set():
                await bench.origin.serve(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BIG)).encode())]})
            await send({"type": "http.response.body", "body": BIG[:BLOCK_BYTES], "more_body": True})
            await gate.wait()
            raise ConnectionResetError

        async with bench.origin.instead(halting):
            bench.transfers.assign(Assignment(version=1, items=(replace(wanted, route=2),), routes=many))
            await until(lambda: any(each.done_bytes for each in bench.transfers.running))
            (running,) = bench.transfers.running
            bench.assign(wanted)
            await asyncio.sleep(0.05)
            assert bench.transfers.running == (running,), "the same copy"
            assert running.item == wanted
            gate.set()
            await until(lambda: bench.placed(wanted).exists())
            assert bench.placed(wanted).read_bytes() == BIG


async def test_a_damaged_file_does_not_wait_for_those_that_come_slowly(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        held = await publish(bench.origin.store, film(100), "t_held")
        slow = [await publish(bench.origin.store, film(3 * BLOCK_BYTES, seed), f"t_{seed}") for seed in (1, 2, 3)]
        await bench.done(held)
        ended = asyncio.Event()

        async def halting(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] == "http" and "t_held" not in scope["path"]:
                await ended.wait()
            await bench.origin.serve(scope, receive, send)

        async with bench.origin.instead(halting):
            bench.assign(held, *slow)
            await until(lambda: len(bench.transfers.running) == 2)
            bench.transfers.repair((held.title_id, held.file.name))
            assert not bench.placed(held).exists()
            await until(lambda: bench.placed(held).exists())
            assert (len(bench.transfers.running), bench.transfers.repaired_total) == (2, 1)
            ended.set()
            await until(lambda: bench.transfers.missing_bytes() == 0)


async def test_what_is_wanted_again_while_it_is_being_given_up(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        wanted = await publish(bench.origin.store, BIG)
        bench.origin.delay_s = 0.2
        bench.assign(wanted)
        await until(lambda: bool(bench.transfers.running))
        bench.assign()
        await bench.done(wanted)
        assert bench.placed(wanted).read_bytes() == BIG


def test_routes_stay_with_the_files_that_name_them(tmp_path: Path) -> None:
    book = sources.Book(VirtualClock())
    one = FillItem(title_id="t_1", file=describe(BIG), route=1)
    book.take(Assignment(version=1, items=(one,), routes=((Hop(0, 9.0),), (Hop(0),))))
    book.take(Assignment(version=2, items=None))
    assert book.choose(one).source == ORIGIN


CHILD = """
import asyncio, sys
from pathlib import Path
import msgspec
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.transfer import Transfers
from nearcast.model.fill import ORIGIN, Assignment, FillItem, Hop

async def main():
    folder, url, token, raw = sys.argv[1:]
    client = source.client()
    transfers = Transfers(Disk(Path(folder)), source.Opener(client, source.HttpSource(client, url, token)))
    transfers.assign(Assignment(version=1, items=(msgspec.json.decode(raw, type=FillItem),)))
    await transfers.run()

asyncio.run(main())
"""


async def test_killed_in_the_middle_it_goes_on_after_the_last_whole_block(tmp_path: Path) -> None:
    """A real process, kill -9, with the source cut after two and a half blocks so that the moment is certain."""
    async with running_origin() as origin:
        wanted = await publish(origin.store, BIG)
        gate = asyncio.Event()
        half = 2 * BLOCK_BYTES + BLOCK_BYTES // 2

        async def stalled(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            if scope["type"] != "http" or not scope["path"].endswith(".mp4") or gate.is_set():
                await origin.serve(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BIG)).encode())]})
            await send({"type": "http.response.body", "body": BIG[:half], "more_body": True})
            await gate.wait()

        async with origin.instead(stalled):
            arguments = [str(tmp_path), origin.url, TOKEN, msgspec.json.encode(wanted).decode()]
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, *arguments)
            part = tmp_path / "filling" / f"t_film.{wanted.file.name}"
            await until(lambda: part.exists() and part.stat().st_size == 2 * BLOCK_BYTES)
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()
            gate.set()
        with part.open("ab") as torn:
            torn.write(b"torn" * 1000)  # what a crash may leave behind the last whole block
        origin.requests.clear()
        bench = Bench(origin, tmp_path)
        bench.start()
        try:
            await bench.done(wanted)
            assert bench.placed(wanted).read_bytes() == BIG
        finally:
            await bench.stop()
        assert origin.requests == [(f"/titles/t_film/{wanted.file.name}", f"bytes={2 * BLOCK_BYTES}-")]


async def test_no_more_than_two_at_once(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        items = [await publish(bench.origin.store, film(100, seed), f"t_{seed}") for seed in range(6)]
        bench.origin.delay_s = 0.1
        bench.assign(*items)
        most = 0
        deadline_s = time.monotonic() + 60
        while bench.transfers.missing_bytes() and time.monotonic() < deadline_s:
            most = max(most, sum(not each.whole for each in bench.transfers.running))
            await asyncio.sleep(0.005)
        assert most == 2
        assert len(bench.transfers.stock.holdings) == 6
