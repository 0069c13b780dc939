"""Damage on the disk is found, served no more, and healed by the blocks that were wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.delivery.edge import scrub as module
from nearcast.delivery.edge.scrub import PASS_S, DamagedFile, ForeignFile, Progress, Scrub, to_read
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.source import HttpSource, Opener
from nearcast.delivery.fill.transfer import Transfers
from nearcast.model.fill import Assignment, FillItem
from nearcast.model.rendition import BLOCK_BYTES

from ..making import TOKEN, Origin, film, publish, running_edge, running_origin, until

BIG = film(3 * BLOCK_BYTES + 777)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)


class Held:
    """A disk that is filled from an origin, and its scrub."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.origin, self.folder = origin, folder
        self.client = source.client()
        self.disk = Disk(folder)
        self.transfers = Transfers(self.disk, Opener(self.client, HttpSource(self.client, origin.url, TOKEN)), linger_s=0.0)

    def scrub(self, bps: float = 1e12, clock: SystemClock | VirtualClock | None = None) -> Scrub:
        return Scrub(self.disk, self.transfers, self.folder / "scrub.json", bps, clock or SystemClock())

    async def hold(self, *items: FillItem) -> None:
        self.transfers.assign(Assignment(version=1, items=items))
        await until(lambda: not self.transfers.missing_bytes())

    def placed(self, item: FillItem) -> Path:
        return self.disk.placed / item.title_id / item.file.name

    async def one_pass(self, scrub: Scrub) -> None:
        task = asyncio.create_task(scrub.run())
        await until(lambda: scrub.progress.done and scrub.progress.began_at > 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def holding(folder: Path) -> AsyncIterator[Held]:
    async with running_origin() as origin:
        held = Held(folder, origin)
        task = asyncio.create_task(held.transfers.run())
        try:
            yield held
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await held.client.aclose()


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


async def test_a_flipped_byte_is_found_and_its_block_alone_comes_again(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        item, other = await publish(held.origin.store, BIG), await publish(held.origin.store, film(500, 2), "t_other")
        await held.hold(item, other)
        flip(held.placed(item), 2 * BLOCK_BYTES + 9)
        held.origin.requests.clear()
        scrub = held.scrub()
        await held.one_pass(scrub)
        await until(lambda: held.placed(item).exists() and held.transfers.repaired_total == 1)
        assert held.placed(item).read_bytes() == BIG
        assert held.origin.requests == [(f"/titles/t_film/{item.file.name}", f"bytes={2 * BLOCK_BYTES}-{3 * BLOCK_BYTES - 1}")]
        assert scrub.found == {"damaged": 1, "foreign": 0}
        assert isinstance(scrub.last, DamagedFile)
        assert "block 2" in scrub.last.message


@pytest.mark.parametrize("harm", ["shorter", "longer", "gone", "digests gone", "digests wrong", "last byte"])
async def test_whatever_happens_to_a_file_it_comes_whole_again(tmp_path: Path, harm: str) -> None:
    async with holding(tmp_path) as held:
        item = await publish(held.origin.store, BIG)
        await held.hold(item)
        path, blocks = held.placed(item), held.placed(item).with_name(item.file.blocks_name)
        if harm == "shorter":
            path.write_bytes(BIG[:-1])
        elif harm == "longer":
            path.write_bytes(BIG + b"x")
        elif harm == "gone":
            path.unlink()
        elif harm == "digests gone":
            blocks.unlink()
        elif harm == "digests wrong":
            flip(blocks, 40)
        else:
            flip(path, len(BIG) - 1)
        scrub = held.scrub()
        await held.one_pass(scrub)
        await until(lambda: path.exists() and held.transfers.repaired_total == 1)
        assert path.read_bytes() == BIG
        assert scrub.found["damaged"] == 1


async def test_a_damaged_file_that_is_assigned_no_more_goes(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        item = await publish(held.origin.store, BIG)
        await held.hold(item)
        held.transfers.stock.assign(())
        flip(held.placed(item), 5)
        held.transfers._linger_s = 3600.0
        await held.one_pass(held.scrub())
        assert not held.placed(item).parent.exists()
        assert held.transfers.stock.held == {}


async def test_strangers_are_taken_away_when_they_stay(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        item = await publish(held.origin.store, BIG)
        await held.hold(item)
        clock = VirtualClock()
        scrub = held.scrub(bps=0.0, clock=clock)
        (held.disk.placed / "t_film" / "notes.txt").write_text("x")
        (held.disk.placed / "README").write_text("x")
        (held.disk.placed / "a folder!").mkdir()
        (held.disk.placed / "t_film" / f"{'b' * 64}.mp4").symlink_to("/etc/passwd")
        await scrub.look()
        assert scrub.found["foreign"] == 0, "it may be just coming"
        await clock.advance(module.SETTLED_S)
        await scrub.look()
        assert scrub.found["foreign"] == 4
        assert isinstance(scrub.last, ForeignFile)
        assert sorted(each.name for each in held.disk.placed.rglob("*")) == sorted(["t_film", item.file.name, item.file.blocks_name])
        assert Path("/etc/passwd").exists()


async def test_a_pass_goes_on_where_the_last_agent_was(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        items = [await publish(held.origin.store, film(1000 + seed, seed), f"t_{seed}") for seed in range(4)]
        await held.hold(*items)
        first = held.scrub()
        for _ in range(2):
            name = first._due()
            assert name is not None
            await first._read(name)
        second = held.scrub()
        assert (second.progress.after, second.progress.done) == (("t_1", items[1].file.name), False)
        await held.one_pass(second)
        assert second.read_bytes_total == 1002 + 1003
        assert second.progress.read_bytes == 1000 + 1001 + 1002 + 1003
        third = held.scrub()
        assert third._due() is None, "once a day is enough"
        third.progress.began_at -= PASS_S
        assert third._due() == ("t_0", items[0].file.name)
        third.progress.began_at += 10 * PASS_S
        assert third._due() is not None, "a clock that was wrong holds nothing up"


async def test_a_state_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        (tmp_path / "scrub.json").write_text("{broken")
        assert held.scrub().progress == Progress()


async def test_switched_off_it_only_looks(tmp_path: Path) -> None:
    async with holding(tmp_path) as held:
        await held.hold(await publish(held.origin.store, BIG))
        assert held.scrub(bps=0.0)._due() is None


@given(
    st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))),
    st.none() | st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")),
)
def test_what_is_still_to_be_read(names: set[tuple[str, str]], after: tuple[str, str] | None) -> None:
    left = to_read(names, after)
    assert left == sorted(left, reverse=True)
    assert set(left) == {each for each in names if after is None or each > after}


async def test_on_a_real_edge_a_damaged_film_is_served_by_way_of_the_parent_until_it_is_whole(tmp_path: Path) -> None:
    async with running_edge(tmp_path, scrub_bps=1e12) as edge:
        item = await publish(edge.origin.store, BIG)
        edge.orders.set(item, window_open=False, window_turns_s=3600.0)
        await until(lambda: edge.agent.transfers.assigned == (item,))
        edge.orders.set(item)
        await until(lambda: not edge.agent.transfers.missing_bytes())
        flip(tmp_path / "placed" / "t_film" / item.file.name, 100)
        edge.agent.scrub.progress = Progress()
        for _ in range(200):
            answer = await edge.get(edge.path(item.file.name))
            assert answer.status_code == 200
            if edge.agent.scrub.found["damaged"]:
                break
            await asyncio.sleep(0.05)
        await until(lambda: edge.agent.transfers.repaired_total == 1)
        assert (await edge.get(edge.path(item.file.name))).content == BIG
