"""Appliances that answer and report, discovery that tells of them, and a watcher of all that. Time is real, and short."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from nearcast.base.errors import Unavailable
from nearcast.control.discovery.service import left_out
from nearcast.model.health import ApplianceHealth
from nearcast.model.quality import ApplianceQuality, QualityReport
from nearcast.model.services import ApplianceList, AppliancesQuestion, Nothing, QualityList
from nearcast.model.site import Appliance, ApplianceReport
from nearcast.policy.holdings import digest
from nearcast.steering.health.published import ViewReader
from nearcast.steering.health.settings import HealthSettings
from nearcast.steering.health.watch import Watcher
from nearcast.steering.settings import SteeringSettings
from tests.fakes.discovery import FakeDiscovery

SETTINGS = SteeringSettings(poll_s=0.1, health=HealthSettings(probe_s=0.05, timeout_s=0.5, publish_s=0.05))


class Edge:
    """An appliance that answers, and reports as long as ``reporting``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reporting = True
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.heard_s = time.monotonic()
        self.votes: dict[str, bool] = {}
        self.looks = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{self.port}"
        held = {f"t-{self.name}": 5}
        self.report = ApplianceReport(
            id=self.name,
            site=f"s-{self.name}",
            address=address,
            health_url=f"{address}/healthz",
            state="up",
            holdings=held,
            holdings_digest=digest(held),
        )

    async def stop(self) -> None:
        self._server.close()
        for each in list(self._writers):
            each.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.looks += 1
                await self.thawed.wait()
                text = f"{self.name}\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class Discovery(FakeDiscovery):
    """Tells of what reports; forgets after a lease, as the real one does."""

    def __init__(self, edges: list[Edge]) -> None:
        super().__init__()
        self.edges = edges
        self.silent: dict[str, dict[str, bool]] = {}
        self.empty = self.dead = False

    async def appliances(self, question: AppliancesQuestion) -> ApplianceList:
        if self.dead:
            raise Unavailable("dead")
        now_s = time.monotonic()
        for each in self.edges:
            each.heard_s = now_s if each.reporting else each.heard_s
        there = [each for each in self.edges if now_s - each.heard_s <= each.report.lease_s and not self.empty]
        found = [Appliance(report=each.report, age_s=now_s - each.heard_s, votes=each.votes) for each in there]
        return ApplianceList(appliances=left_out(found, question.known), silent=self.silent)


class Quality:
    def __init__(self, *found: ApplianceQuality) -> None:
        self.found = found
        self.asked = 0

    async def measured(self, question: QualityReport, /) -> Nothing:
        return Nothing()

    async def quality(self, question: Nothing, /) -> QualityList:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("not yet")
        return QualityList(appliances=self.found)


class World:
    def __init__(self, folder: Path, names: str) -> None:
        self.folder = folder
        self.edges = {name: Edge(name) for name in names}
        self.discovery = Discovery(list(self.edges.values()))
        self.reader = ViewReader(folder)
        self.registry = CollectorRegistry()
        self.quality: Quality | None = None
        self.dismissed: list[str] = []
        self.settings = SETTINGS

    async def watch(self) -> Watcher:
        self.registry = CollectorRegistry()
        watcher = Watcher(
            self.discovery, self.quality, self.settings, self.folder, dismissed=lambda: self.dismissed, registry=self.registry
        )
        await watcher.start()
        return watcher

    def __getitem__(self, name: str) -> ApplianceHealth:
        return self.reader.view().by_id[name]

    def looked_at(self, name: str) -> int:
        return self.edges[name].looks

    def is_(self, name: str, state: str) -> bool:
        return self[name].state == state

    def sends(self, name: str, share: float) -> bool:
        return self[name].share == share

    @property
    def states(self) -> str:
        return " ".join(f"{name}:{each.state}" for name, each in sorted(self.reader.view().by_id.items()))

    @property
    def source(self) -> str:
        return self.reader.view().snapshot.source

    async def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.reader.view().snapshot
            await asyncio.sleep(0.01)


@asynccontextmanager
async def world_of(
    folder: Path, names: str = "abc", quality: Quality | None = None, settings: SteeringSettings = SETTINGS
) -> AsyncIterator[World]:
    world = World(folder, names)
    world.quality, world.settings = quality, settings
    for each in world.edges.values():
        await each.start()
    watcher = await world.watch()
    try:
        yield world
    finally:
        await watcher.stop()
        world.reader.close()
        for each in world.edges.values():
            await each.stop()
