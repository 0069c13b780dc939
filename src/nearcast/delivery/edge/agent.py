"""The agent of one appliance (`nearcast edge`): runs its nginx, fills its disk as assigned, reports to discovery.

Films do not need it: nginx serves on when the agent dies, and the next agent takes over the nginx it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.logs import AccessLog
from nearcast.delivery.edge.metrics import EdgeMetrics
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.server import Server
from nearcast.delivery.edge.verify import Verifier
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.transfer import Transfers
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.services import Discovery, DropQuestion, Fill, FillQuestion
from nearcast.model.site import ApplianceReport, ApplianceState

FOLLOW_WAIT_S = 20.0
RETRY_S = (0.3, 5.0)
LOG_POLL_S = 1.0
ADOPT_S = 300.0
"""How often the reactive partition is compared with what lies on the disk."""
FULL_BYTES = 2 << 20
_log = structlog.get_logger("edge")


def is_full(free_bytes: int, reserve_bytes: int, was_full: bool) -> bool:
    """Is there too little space for nginx to keep what it fetches? It needs some twice that to be called better again."""
    floor = max(FULL_BYTES, reserve_bytes // 8)
    return free_bytes < (2 * floor if was_full else floor)


class EdgeAgent:
    """One appliance. ``start`` raises what stands in the way; ``run`` works until ``stop`` or cancellation.

    ``folder`` holds everything of the appliance. ``key`` is its MAC key (policy.capability.edge_key), ``origin_token`` the
    bearer token of its parent at ``parent_url``. ``discovery`` and ``fill`` may be out of reach at any time.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        folder: Path,
        *,
        key: str,
        origin_token: str,
        parent_url: str,
        discovery: Discovery,
        fill: Fill,
        clock: Clock | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.settings = settings
        self.folder = folder.resolve()
        self._clock = clock or SystemClock()
        self._discovery = discovery
        self._fill = fill
        self._secured = source.secured(settings.parent_ca, settings.parent_certificate, settings.parent_key)
        self._client = source.client(self._secured)
        self.server = Server(settings, self.folder, key, origin_token, parent_url, self._clock)
        self._disk = Disk(self.folder, settings.disk_reserve_bytes)
        parent = source.HttpSource(self._client, parent_url, origin_token, settings.parent_name)
        self.transfers = Transfers(
            self._disk,
            source.Opener(self._client, parent),
            parallel=settings.transfers_max,
            linger_s=settings.linger_s,
            clock=self._clock,
        )
        self.reactive = Reactive(self.folder / "cache" / "slices", settings.cache_bytes_max)
        self._verifier = Verifier(self.reactive, parent)
        self.log = AccessLog(
            self.folder / "logs" / "access.log", settings.log_bytes_max, self.server.nginx.reopen_logs, self.reactive.served
        )
        self._metrics = EdgeMetrics(registry, settings.id) if registry is not None else None
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Have nginx serve, and begin to report, to fill and to count."""
        self.log.poll()
        await self.server.start()
        work: dict[str, Coroutine[Any, Any, None]] = {
            "nginx": self.server.watch(),
            "reports": self._report(),
            "assignment": self._follow(),
            "transfers": self.transfers.run(),
            "log": self._read_log(),
            "verification": self._verifier.run(),
        }
        self._tasks = [asyncio.create_task(each, name=f"{self.settings.id} {name}") for name, each in work.items()]
        _log.info("edge serves", id=self.settings.id, site=self.settings.site, address=self.settings.public_address)

    async def run(self) -> None:
        """Start, then work until ``stop`` is called. A defect in one of the tasks ends the agent, and nginx serves on."""
        await self.start()
        await self.wait()

    async def wait(self) -> None:
        """Return after ``stop`` or ``leave``. Raises what ended one of the tasks."""
        ended = asyncio.create_task(self._ended.wait())
        try:
            done, _ = await asyncio.wait([ended, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            ended.cancel()
            await self._end_tasks()

    async def stop(self) -> None:
        """Tell discovery, end nginx, end everything."""
        self._draining = True
        with contextlib.suppress(NearcastError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._discovery.drop(DropQuestion(id=self.settings.id))
        await self._end_tasks()
        await self.server.stop()
        self._ended.set()

    async def leave(self) -> None:
        """End the agent alone; nginx serves on."""
        await self._end_tasks()
        await self.server.leave()
        self._ended.set()

    def take_certificate(self) -> None:
        """Show the parent the certificate that lies in its place now; nginx finds it by itself. Raises BadSourceCertificate."""
        if self.settings.parent_certificate:
            source.show(self._secured, self.settings.parent_certificate, self.settings.parent_key)

    def report(self) -> ApplianceReport:
        """What discovery is told now."""
        counts = self.log.counts
        return ApplianceReport(
            id=self.settings.id,
            site=self.settings.site,
            address=self.settings.public_address,
            health_url=f"{self.settings.public_address}/healthz",
            state=self._state(),
            holdings=self.transfers.stock.holdings,
            held_bytes=self.transfers.stock.held_bytes,
            missing_bytes=self.transfers.missing_bytes(),
            disk_free_bytes=self._disk.free_bytes(),
            requests_total=counts.requests,
            sent_bytes_total=counts.sent_bytes,
            lease_s=3 * self.settings.report_s,
        )

    def _state(self) -> ApplianceState:
        if not self.server.healthy:
            return "down"
        return "draining" if self._draining else "up"

    async def _report(self) -> None:
        """Each ``report_s``, and at once when nginx's health turns."""
        failed = False
        while True:
            self.server.changed.clear()
            try:
                async with asyncio.timeout(2 * self.settings.report_s):
                    await self._discovery.report(self.report())
                failed = False
            except (NearcastError, TimeoutError) as error:
                if not failed:
                    _log.warning("discovery does not answer; films are served all the same", error=str(error))
                failed = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.report_s):
                    await self.server.changed.wait()

    async def _follow(self) -> None:
        """Keep the assignment up to date; what is held stays while nobody answers."""
        version, delay_s, failed = -1, RETRY_S[0], False
        while True:
            try:
                answer = await self._fill.assignment(FillQuestion(appliance=self.settings.id, after=version, wait_s=FOLLOW_WAIT_S))
            except NearcastError as error:
                if not failed:
                    _log.warning("the fill service does not answer; held films stay", error=error.message, code=error.code)
                failed = True
                await self._clock.sleep(delay_s)
                delay_s = min(RETRY_S[1], delay_s * 2)
                continue
            delay_s, failed = RETRY_S[0], False
            if answer.version != version:
                version = answer.version
                self.transfers.assign(answer)

    async def _read_log(self) -> None:
        adopt_at_s = self._clock.monotonic_s()
        while True:
            await asyncio.to_thread(self.log.poll)
            if self._clock.monotonic_s() >= adopt_at_s:
                await asyncio.to_thread(self.reactive.adopt)
                adopt_at_s = self._clock.monotonic_s() + ADOPT_S
            self.server.pass_through(is_full(self._disk.raw_free_bytes(), self.settings.disk_reserve_bytes, self.server.passing_through))
            if self._metrics is not None:
                self._metrics.update(
                    self.report(), self.log.counts, self.reactive, self.transfers.fetched_bytes_total, self.server.restarts
                )
            await self._clock.sleep(LOG_POLL_S)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.log.close()
        await self._client.aclose()
