"""Transfers whose source talks nonsense and whose disk is full, refuses or breaks."""

import errno
from pathlib import Path

import pytest

from nearcast.delivery.fill import transfer
from nearcast.delivery.fill.disk import Disk, DiskBroken, DiskFull, PartitionFull, mapped
from nearcast.delivery.fill.source import SourceWrong
from nearcast.model.fill import FillItem
from nearcast.model.rendition import BLOCK_BYTES
from tests.unit.delivery.fill.copying import BIG, Bench, running_bench

from ..making import film, publish, running_origin, until


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, b""),
        (200, {"content-length": "5"}, b"12345"),
        (206, {"content-range": "bytes 0-99/100"}, b"x" * 100),
        (302, {"location": "/"}, b""),
    ],
)
async def test_a_source_that_talks_nonsense(tmp_path: Path, answer: tuple[int, dict[str, str], bytes]) -> None:
    async with running_bench(tmp_path) as bench:
        wanted = await publish(bench.origin.store, film(100))
        bench.origin.answer = answer
        bench.assign(wanted)
        await until(lambda: isinstance(bench.transfers.problem, SourceWrong))
        assert bench.transfers.stock.holdings == {}


async def test_a_full_disk_pauses_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DISK_RETRY_S", 0.1)
    async with running_bench(tmp_path) as bench:
        wanted = await publish(bench.origin.store, BIG)
        room = 2 * BLOCK_BYTES
        write = bench.disk.write

        def limited(each: FillItem, start: int, data: bytes) -> None:
            if start + len(data) > room:
                raise mapped(OSError(errno.ENOSPC, "full"), Path("film"))
            write(each, start, data)

        bench.disk.write = limited  # type: ignore[method-assign, assignment]  # a disk of 2 MiB
        bench.assign(wanted)
        await until(lambda: isinstance(bench.transfers.problem, DiskFull))
        assert not bench.placed(wanted).exists()
        assert bench.transfers.missing_bytes() == len(BIG) - room
        room = 10 * BLOCK_BYTES
        await until(lambda: bench.placed(wanted).exists())
        assert bench.placed(wanted).read_bytes() == BIG
        ranges = [span for name, span in bench.origin.requests if name.endswith(".mp4")]
        assert ranges[-1] == f"bytes={2 * BLOCK_BYTES}-", "what was verified is kept"


async def test_the_placed_partition_is_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DISK_RETRY_S", 0.05)
    async with running_origin() as origin:
        bench = Bench(origin, tmp_path, Disk(tmp_path, capacity_bytes=2500))
        bench.start()
        one, two, three = [await publish(origin.store, film(1000, seed), f"t_{seed}") for seed in (1, 2, 3)]
        bench.assign(one, two, three)
        await until(lambda: isinstance(bench.transfers.problem, PartitionFull))
        await until(lambda: bench.transfers.stock.holdings == {"t_1": 1000, "t_2": 1000})
        bench.assign(three, two)
        await until(lambda: bench.transfers.stock.holdings == {"t_2": 1000, "t_3": 1000})
        await until(lambda: bench.transfers.problem is None)
        await bench.stop()


async def test_too_little_room_is_seen_beforehand(tmp_path: Path) -> None:
    async with running_origin() as origin:
        bench = Bench(origin, tmp_path, Disk(tmp_path, reserve_bytes=1 << 60))
        bench.start()
        bench.assign(await publish(origin.store, film(10)))
        await until(lambda: isinstance(bench.transfers.problem, DiskFull))
        assert origin.requests == []
        await bench.stop()


@pytest.mark.parametrize("method", ["check_room", "discard_parts", "load_digests", "place"])
async def test_a_disk_that_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(transfer, "DISK_RETRY_S", 0.05)
    async with running_bench(tmp_path) as bench:
        wanted = await publish(bench.origin.store, BIG)
        with monkeypatch.context() as patched:

            def refuse(*_: object) -> None:
                raise OSError(errno.EIO, "no") if method != "discard_parts" else DiskBroken("no")

            patched.setattr(bench.disk, method, refuse)
            bench.assign(wanted)
            if method == "discard_parts":
                await until(lambda: bench.placed(wanted).exists())
            else:
                await until(lambda: isinstance(bench.transfers.problem, DiskBroken))
                assert not bench.placed(wanted).exists()
        await until(lambda: bench.placed(wanted).exists() and bench.transfers.problem is None)
        assert bench.task is not None
        assert not bench.task.done()


async def test_a_defect_is_not_taken_for_a_broken_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_bench(tmp_path) as bench:
        monkeypatch.setattr(bench.disk, "check_room", lambda *_: 1 / 0)
        bench.assign(await publish(bench.origin.store, BIG))
        assert bench.task is not None
        with pytest.raises(ZeroDivisionError):
            await bench.task


async def test_what_cannot_be_removed_is_still_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DISK_RETRY_S", 0.05)
    async with running_bench(tmp_path) as bench:
        old, new = await publish(bench.origin.store, film(10)), await publish(bench.origin.store, film(11), "t_new")
        await bench.done(old)
        with monkeypatch.context() as patched:

            def refuse(*_: object) -> None:
                raise mapped(OSError(errno.EROFS, "read-only"), Path("film"))

            patched.setattr(bench.disk, "remove", refuse)
            await bench.done(new)
            await until(lambda: isinstance(bench.transfers.problem, DiskBroken))
            assert bench.transfers.stock.holdings == {"t_film": 10, "t_new": 11}
        await until(lambda: bench.transfers.stock.holdings == {"t_new": 11} and bench.transfers.problem is None)
