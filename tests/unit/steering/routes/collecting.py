"""A collector with its speaker, and a table that is a dict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path

from msgspec.structs import replace

from nearcast.model.route import Announcement
from nearcast.steering.routes.collector import Collector
from nearcast.steering.routes.settings import BgpSettings, Isp
from tests.ports import free_port
from tests.unit.steering.routes.telling import ISP, OURS

PATIENCE_S = 90.0
ONE = replace(ISP, routers=("127.0.0.11",))


class Told:
    """What of a TableWriter the collector needs, kept in a dict."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Announcement] = {}
        self.replaced: list[str] = []

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> None:
        for each in withdrawn:
            del self.rows[each.prefix, each.site]
        for each in announced:
            self.rows[each.prefix, each.site] = each

    def replace(self, source: str, announcements: Iterable[Announcement]) -> None:
        self.replaced.append(source)
        self.rows = {key: each for key, each in self.rows.items() if each.source != source}
        self.change(announcements, ())

    @property
    def prefixes(self) -> set[str]:
        return {prefix for prefix, _ in self.rows}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110  (what is waited for lies in other processes)
            await asyncio.sleep(0.01)


class House:
    def __init__(self, folder: Path, *isps: Isp, told: Told | None = None, listen: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.told = told or Told()
        self.log = folder / "exabgp.log"
        self.pipe = folder / "bgp.pipe"
        self.mouth: FileIO | None = None
        settings = BgpSettings(asn=OURS, router_id="127.0.0.1", listen=(listen,), port=self.port)
        self.collector = Collector(settings, isps or (ONE,), self.told, folder, self.log)

    async def hear(self, *lines: bytes) -> None:
        """As the speaker's helper writes them. The pipe stays open: its end would be the speaker's."""
        if self.mouth is None:
            self.mouth = await asyncio.to_thread(self.pipe.open, "wb", 0)
        await asyncio.to_thread(self.mouth.write, b"".join(each + b"\n" for each in lines))

    @property
    def state(self) -> str:
        return self.collector.sources()[0].state
