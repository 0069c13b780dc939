"""Transfers over a folder, from the real origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.source import HttpSource, Opener
from nearcast.delivery.fill.transfer import Transfers
from nearcast.model.fill import Assignment, FillItem
from nearcast.model.rendition import BLOCK_BYTES

from ..making import TOKEN, Origin, film, running_origin, until

BIG = film(5 * BLOCK_BYTES + 4321)


class Bench:
    """Transfers over a folder, from the real origin."""

    def __init__(self, origin: Origin, folder: Path, disk: Disk | None = None) -> None:
        self.origin = origin
        self.client = source.client()
        self.disk = disk or Disk(folder)
        self.transfers = self.make()
        self.task: asyncio.Task[None] | None = None

    def make(self) -> Transfers:
        return Transfers(self.disk, Opener(self.client, HttpSource(self.client, self.origin.url, TOKEN)), linger_s=0.0)

    def start(self) -> None:
        self.task = asyncio.create_task(self.transfers.run())

    def assign(self, *items: FillItem) -> None:
        self.transfers.assign(Assignment(version=1, items=items))

    async def done(self, *items: FillItem) -> None:
        self.assign(*items)
        await until(lambda: self.transfers.missing_bytes() == 0)

    def placed(self, each: FillItem) -> Path:
        return self.disk.placed / each.title_id / each.file.name

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.client.aclose()


@asynccontextmanager
async def running_bench(folder: Path) -> AsyncIterator[Bench]:
    async with running_origin() as origin:
        bench = Bench(origin, folder)
        bench.start()
        try:
            yield bench
        finally:
            await bench.stop()
