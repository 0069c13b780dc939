"""A fill with what it asks: a library, an audience, discovery, and its store on the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nearcast.base.clock import SystemClock
from nearcast.base.errors import Unavailable
from nearcast.control.discovery import DiscoveryService
from nearcast.delivery.fill.service import FillService
from nearcast.delivery.fill.store import SqlitePlacements
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Assignment
from nearcast.model.services import (
    Demand,
    DemandQuestion,
    FillQuestion,
)
from nearcast.model.site import ApplianceReport, Site
from nearcast.model.traffic import DemandDay

from .library import Library

SITES = (Site(name="paris", region="eu"), Site(name="dallas", region="us"))
DAY_S = 86_400


class Audience:
    """An insight that says what the test wants."""

    def __init__(self) -> None:
        self.days: list[DemandDay] = []
        self.dead = False

    async def demand(self, question: DemandQuestion, /) -> Demand:
        if self.dead:
            raise Unavailable("dead")
        now_s = time.time()
        return Demand(days=tuple(self.days), today=int(now_s // DAY_S), today_share=0.5, rungs={})

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the fill has no business with {name}")


class House:
    """Everything that the fill listens to, and as many planners as the test wants."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.library, self.audience = Library(), Audience()
        self.discovery = DiscoveryService(clock=SystemClock())
        self.settings = FillSettings(window="00:00-23:59", **settings)  # type: ignore[arg-type]
        self.dismissed: dict[str, float] = {}
        self._path = path

    @asynccontextmanager
    async def fill(self, discovery: Any = None, **more: Any) -> AsyncIterator[FillService]:
        store = SqlitePlacements(self._path)
        service = FillService(
            catalog=self.library,
            discovery=discovery or self.discovery,
            insight=self.audience,
            store=store,
            settings=self.settings,
            sites=SITES,
            token=lambda appliance: f"of {appliance}",
            dismissed=lambda: self.dismissed,
            **more,
        )
        await service.start()
        try:
            yield service
        finally:
            await service.stop()
            store.close()

    async def report(self, name: str, site: str = "paris", capacity_bytes: int = 10_000, **more: object) -> None:
        told = {"id": name, "site": site, "address": f"http://{name}", "health_url": "", "state": "up", "holdings": {}, **more}
        await self.discovery.report(ApplianceReport(capacity_bytes=capacity_bytes, lease_s=300, **told))  # type: ignore[arg-type]


def titles(made: Assignment) -> set[str]:
    assert made.items is not None
    return {each.title_id for each in made.items}


async def assigned(fill: FillService, appliance: str, wanted: set[str], after: int = -1) -> Assignment:
    """The assignment once it has these titles: news may come in several steps."""
    async with asyncio.timeout(60):
        while True:
            made = await fill.assignment(FillQuestion(appliance=appliance, after=after, wait_s=10))
            if made.items is not None and titles(made) == wanted:
                return made
            after = made.version


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  (what it waits for is somebody else's)
            await asyncio.sleep(0.02)


class Shifted(SystemClock):
    """The machine's clock, set to an hour of today (UTC)."""

    def __init__(self, hour: float) -> None:
        self.set(hour)

    def set(self, hour: float) -> None:
        self.ahead_s = hour * 3600 - time.time() % DAY_S

    def now_s(self) -> float:
        return time.time() + self.ahead_s
