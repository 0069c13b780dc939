"""An appliance's data path as it stands, without its agent: the real nginx and what reads its log, over one origin or several parents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from nearcast.base.clock import SystemClock
from nearcast.delivery.edge.logs import PARENT, AccessLog, Line
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.server import Server
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.fill import FillItem, FillSource
from nearcast.model.rendition import BLOCK_BYTES
from nearcast.policy import capability
from tests.ports import free_port

from ..making import ROOT, TITLE, TOKEN, Origin, digests, running_origin

REACTIVE_BYTES = 64 * BLOCK_BYTES


class DataPath:
    """One appliance. ``lines`` are those of its log so far (``read_log``), but for its own fetches."""

    def __init__(self, folder: Path, origin: Origin, reactive_bytes: int = REACTIVE_BYTES, **settings: object) -> None:
        self.folder, self.origin = folder, origin
        self.settings = EdgeSettings(
            **{  # type: ignore[arg-type]  # checked by the constructor
                "id": "fra-1",
                "site": "frankfurt",
                "port": free_port(),
                "health_s": 0.1,
                "health_timeout_s": 0.3,
                "stop_grace_s": 0.5,
                **settings,
            }
        )
        self.key = capability.edge_key(ROOT, self.settings.id)
        self.server = Server(self.settings, folder, self.key, TOKEN, origin.url, SystemClock(), reactive_bytes)
        self.reactive = Reactive(folder / "cache" / "slices", reactive_bytes, self.server.window)
        self.lines: list[Line] = []
        self.log = AccessLog(folder / "logs" / "access.log", self.settings.log_bytes_max, self.server.nginx.reopen_logs, self._take)
        self.client = httpx.AsyncClient(trust_env=False, timeout=60.0, base_url=self.settings.public_address, verify=False)  # noqa: S501
        self.authority = {"authorization": f"Bearer {self.server.fill_token}"}

    def _take(self, lines: Sequence[Line]) -> None:
        self.lines += [each for each in lines if each.door != PARENT]
        self.reactive.served(lines)

    def source(self, **more: object) -> FillSource:
        """This appliance as others name it."""
        given: dict[str, object] = {
            "id": self.settings.id,
            "kind": "tier",
            "url": self.settings.public_address,
            "token": self.server.fill_token,
            **more,
        }
        return FillSource(**given)  # type: ignore[arg-type]

    def path(self, name: str, title_id: str = TITLE, *, generation: int = 0, ttl_s: float = 600.0) -> str:
        key = capability.edge_key(ROOT, self.settings.id, generation)
        return capability.edge_path(key, title_id, int(time.time() + ttl_s), generation) + name

    def place(self, item: FillItem, data: bytes) -> None:
        folder = self.server.folder / "placed" / item.title_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / item.file.name).write_bytes(data)
        (folder / item.file.blocks_name).write_bytes(digests(data))

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    async def read_log(self, count: int) -> list[Line]:
        """Wait until the log has so many lines in all; the last ``count`` of them."""
        deadline_s = time.monotonic() + 60
        while len(self.lines) < count:
            assert time.monotonic() < deadline_s, f"{len(self.lines)} lines of {count}"
            await asyncio.to_thread(self.log.poll)
            await asyncio.sleep(0.05)
        return self.lines


@asynccontextmanager
async def serving(folder: Path, origin: Origin, **settings: object) -> AsyncIterator[DataPath]:
    edge = DataPath(folder, origin, **settings)  # type: ignore[arg-type]
    edge.log.poll()
    await edge.server.start()
    edge.log.poll()
    watch = asyncio.create_task(edge.server.watch())
    try:
        yield edge
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        edge.log.close()
        await edge.client.aclose()
        await edge.server.stop()


@asynccontextmanager
async def serving_alone(folder: Path, **settings: object) -> AsyncIterator[DataPath]:
    """With an origin of its own."""
    async with running_origin() as origin, serving(folder, origin, **settings) as edge:
        yield edge
