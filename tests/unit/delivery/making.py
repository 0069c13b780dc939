"""Published films, an origin, and an edge with the real nginx, for the tests of this room."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from obstore.store import MemoryStore, ObjectStore

from nearcast.base.errors import NearcastError
from nearcast.base.web import Application, Tls, WebServer, serve_asgi
from nearcast.delivery.edge.agent import EdgeAgent
from nearcast.delivery.origin import application
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.fill import Assignment, FillItem
from nearcast.model.rendition import BLOCK_BYTES, File
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    Causes,
    CausesQuestion,
    Demand,
    DemandQuestion,
    DropQuestion,
    FillQuestion,
    InstanceList,
    Nothing,
    OffloadQuestion,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import Appliance, ApplianceReport, Instance, Order
from nearcast.model.traffic import MissCause, OffloadReport, TrafficReport
from nearcast.policy import capability, holdings
from tests.ports import free_port as free_port

ROOT = b"s" * 32
TOKEN = "0123abcd"
TITLE = "t_film"


def film(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def digests(data: bytes) -> bytes:
    return b"".join(hashlib.sha256(data[at : at + BLOCK_BYTES]).digest() for at in range(0, len(data), BLOCK_BYTES))


def describe(data: bytes, extension: str = "mp4") -> File:
    return File(root=hashlib.sha256(digests(data)).hexdigest(), extension=extension, size_bytes=len(data))


def item(data: bytes, title_id: str = TITLE, extension: str = "mp4") -> FillItem:
    return FillItem(title_id=title_id, file=describe(data, extension))


async def publish(store: ObjectStore, data: bytes, title_id: str = TITLE, extension: str = "mp4") -> FillItem:
    """Put a file into the store as ingest does."""
    made = item(data, title_id, extension)
    await store.put_async(f"titles/{title_id}/{made.file.name}", data)
    await store.put_async(f"titles/{title_id}/{made.file.blocks_name}", digests(data))
    return made


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come about in time"
        await asyncio.sleep(0.02)


class Origin:
    """The real origin at a port, with its requests counted; it can be made slow or wrong."""

    def __init__(self, store: ObjectStore, tls: Tls | None = None) -> None:
        self.store = store
        self.tls = tls
        self.port = free_port()
        self.requests: list[tuple[str, str]] = []
        self.delay_s = 0.0
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.serve: Application = application(store, TOKEN)
        self._instead: Application | None = None
        self._server: WebServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Requests for films and what belongs to them, without those for digests, which come when they will."""
        return [each for each in self.requests if not each[0].endswith(".blocks")]

    async def start(self) -> None:
        self._server = await serve_asgi(self._serve, "127.0.0.1", self.port, tls=self.tls)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0.2)
            self._server = None

    async def _serve(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            self.requests.append((scope["path"], headers.get(b"range", b"").decode()))
            await asyncio.sleep(self.delay_s)
            wrong = self.answer
            if wrong is not None:
                status, extra, body = wrong
                await send(
                    {
                        "type": "http.response.start",
                        "status": status,
                        "headers": [(key.encode(), value.encode()) for key, value in extra.items()],
                    }
                )
                await send({"type": "http.response.body", "body": body})
                return
        await (self._instead or self.serve)(scope, receive, send)

    @asynccontextmanager
    async def instead(self, app: Application) -> AsyncIterator[None]:
        """Have ``app`` answer for a while."""
        self._instead = app
        try:
            yield
        finally:
            self._instead = None


class Registry:
    """A discovery that remembers reports, and answers as the test says."""

    def __init__(self) -> None:
        self.reports: list[ApplianceReport] = []
        self.dropped: list[str] = []
        self.answer = ReportAnswer(lease_s=3)
        self.failing: NearcastError | None = None

    @property
    def state(self) -> str:
        return self.reports[-1].state if self.reports else ""

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        if self.failing is not None:
            raise self.failing
        self.reports.append(question)
        return self.answer

    async def order(self, question: OrderQuestion, /) -> Order:
        return Order(appliance=question.appliance)

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        return ApplianceList(appliances=tuple(Appliance(report=each, age_s=0) for each in self.reports[-1:]))

    async def register(self, question: Instance, /) -> ReportAnswer:
        return ReportAnswer(lease_s=3)

    async def instances(self, question: Nothing, /) -> InstanceList:
        return InstanceList(instances=())

    async def drop(self, question: DropQuestion, /) -> Nothing:
        self.dropped.append(question.id)
        return Nothing()


class Orders:
    """A fill service whose assignment and causes the test sets."""

    def __init__(self) -> None:
        self._now = Assignment(version=0, items=None)
        self._changed = asyncio.Event()
        self.known: dict[str, MissCause] = {}
        self.asked: list[CausesQuestion] = []

    def set(self, *items: FillItem, **more: object) -> None:
        self._now = Assignment(version=self._now.version + 1, items=items, **more)  # type: ignore[arg-type]  # checked by the constructor
        self._changed.set()
        self._changed = asyncio.Event()

    async def causes(self, question: CausesQuestion, /) -> Causes:
        self.asked.append(question)
        return Causes(causes={each: self.known[each] for each in question.title_ids if each in self.known})

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        if self._now.items is None or self._now.version == question.after:
            await self._changed.wait()
        return self._now


class Books:
    """An insight that remembers traffic."""

    def __init__(self) -> None:
        self.reports: list[TrafficReport] = []
        self.failing: NearcastError | None = None

    async def record(self, question: TrafficReport, /) -> Nothing:
        if self.failing is not None:
            raise self.failing
        self.reports.append(question)
        return Nothing()

    async def demand(self, question: DemandQuestion, /) -> Demand:
        return Demand(days=(), today=0, today_share=0.0, rungs={})

    async def offload(self, question: OffloadQuestion, /) -> OffloadReport:
        return OffloadReport(days=question.days, sites=(), sent_bytes=0, origin_bytes=0)


class Edge:
    """One appliance with the real nginx, its origin and the clients' side of things."""

    def __init__(self, folder: Path, origin: Origin, **settings: object) -> None:
        self.origin = origin
        self.folder = folder
        self.settings = EdgeSettings(
            **{  # type: ignore[arg-type]  # checked by the constructor
                "id": "fra-1",
                "site": "frankfurt",
                "port": free_port(),
                "admin_port": free_port(),
                "report_s": 0.2,
                "health_s": 0.1,
                "health_timeout_s": 0.3,
                "linger_s": 0.0,
                "stop_grace_s": 1.0,
                **settings,
            }
        )
        self.key = capability.edge_key(ROOT, self.settings.id)
        self.registry, self.orders, self.books = Registry(), Orders(), Books()
        self.peer_ca = ""
        self.agent = self.make_agent()
        self.client = httpx.AsyncClient(trust_env=False, timeout=60.0, base_url=self.settings.public_address)

    def make_agent(self) -> EdgeAgent:
        return EdgeAgent(
            self.settings,
            self.folder,
            key=self.key,
            origin_token=TOKEN,
            parent_url=self.origin.url,
            discovery=self.registry,
            fill=self.orders,
            insight=self.books,
            peer_ca=self.peer_ca,
        )

    def path(self, name: str, title_id: str = TITLE, *, key: str = "", ttl_s: float = 600.0) -> str:
        return capability.edge_path(key or self.key, title_id, int(time.time() + ttl_s)) + name

    async def hold(self, *items: FillItem) -> None:
        """Have these placed, and wait for it."""
        self.orders.set(*items)
        await until(lambda: self.agent.transfers.assigned == items and not self.agent.transfers.missing_bytes())

    @property
    def told(self) -> dict[str, int]:
        """The holdings that discovery has put together from the reports."""
        known: dict[str, int] = {}
        for report in self.registry.reports:
            known = holdings.merged(known if report.holdings_base else {}, report.holdings)
        return known

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()})


@asynccontextmanager
async def running_origin(store: ObjectStore | None = None, tls: Tls | None = None) -> AsyncIterator[Origin]:
    origin = Origin(store if store is not None else MemoryStore(), tls)
    await origin.start()
    try:
        yield origin
    finally:
        await origin.stop()


@asynccontextmanager
async def running_edge(folder: Path, **settings: object) -> AsyncIterator[Edge]:
    async with running_origin() as origin:
        edge = Edge(folder, origin, **settings)
        await edge.agent.start()
        try:
            yield edge
        finally:
            await edge.client.aclose()
            await edge.agent.stop()
