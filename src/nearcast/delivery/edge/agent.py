"""The agent of one appliance (`nearcast edge`): runs its nginx, fills its disk as assigned, reports to discovery, accounts to insight.

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
from nearcast.delivery.edge.admin import OwnPage, application
from nearcast.delivery.edge.cat import Exchange
from nearcast.delivery.edge.counting import Counting
from nearcast.delivery.edge.metrics import EdgeMetrics
from nearcast.delivery.edge.misses import local_cause
from nearcast.delivery.edge.neighbours import Neighbours
from nearcast.delivery.edge.orders import Orders
from nearcast.delivery.edge.parent import bundle
from nearcast.delivery.edge.patience import Patience
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.report import Reporter, Signing, Telling
from nearcast.delivery.edge.scrub import Scrub
from nearcast.delivery.edge.server import Server
from nearcast.delivery.edge.status import Status, Watched, compose
from nearcast.delivery.edge.verify import Verifier
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.transfer import Transfers
from nearcast.delivery.settings import EdgeSettings, partitions
from nearcast.model.services import Discovery, DropQuestion, Fill, Insight, ReportAnswer
from nearcast.model.site import ApplianceReport, ApplianceState
from nearcast.model.traffic import MissCause

_log = structlog.get_logger("edge")


class EdgeAgent:
    """One appliance. ``start`` raises what stands in the way; ``run`` works until ``stop`` or cancellation.

    ``folder`` holds everything of the appliance. ``key`` is its MAC key of generation 0 (policy.capability.edge_key), ``origin_token``
    the bearer token of the origin at ``parent_url``. ``peer_ca``: a PEM file of the authority that other appliances' certificates are
    of, beside the public ones. ``discovery``, ``fill`` and ``insight`` may be out of reach at any time.
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
        insight: Insight,
        peer_ca: str = "",
        clock: Clock | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.settings = settings
        self.folder = folder.resolve()
        self._clock = clock or SystemClock()
        self._discovery = discovery
        self._peer_ca = peer_ca
        self._make_sources(parent_url, origin_token)
        self._make_disk()
        self.server = Server(settings, self.folder, key, origin_token, parent_url, self._clock, self.partitions.reactive)
        self.reactive = Reactive(self.folder / "cache" / "slices", self.partitions.reactive, self.server.window)
        self._verifier = Verifier(self.reactive, self._above)
        self._signing = Signing(key, self._clock)
        self._make_loops(fill, insight)
        self.metrics = EdgeMetrics(registry, settings.id) if registry is not None else None
        self.tokens = self._exchange()
        self.page = OwnPage(settings, application(self.status, registry, self.tokens.application() if self.tokens else None))
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._ended = asyncio.Event()

    def _make_sources(self, parent_url: str, origin_token: str) -> None:
        settings = self.settings
        self._secured = source.secured(settings.parent_ca, settings.parent_certificate, settings.parent_key)
        self._client = source.client(self._secured)
        self._peers_tls = source.trusting(self._peer_ca or settings.parent_ca)
        self._peers_client = source.client(self._peers_tls)
        origin = source.HttpSource(self._client, parent_url, origin_token, settings.parent_name)
        self._opener = source.Opener(self._peers_client, origin)
        self._above = source.FirstOf(origin)

    def _make_disk(self) -> None:
        settings = self.settings
        self.disk = Disk(self.folder, settings.disk_reserve_bytes)
        self.partitions = partitions(settings, self.disk.file_system_bytes())
        self.disk.capacity_bytes = self.partitions.placed
        self.transfers = Transfers(
            self.disk,
            self._opener,
            parallel=settings.transfers_max,
            linger_s=settings.linger_s,
            rate_max_bps=settings.fill_max_bps,
            clock=self._clock,
            fetched=lambda *what: self.account.fetch(*what),
        )
        self.scrub = Scrub(self.disk, self.transfers, self.folder / "scrub.json", settings.scrub_bps, self._clock)

    def _make_loops(self, fill: Fill, insight: Insight) -> None:
        settings, clock = self.settings, self._clock
        self.counting = Counting(
            settings,
            self.folder / "logs",
            self.server,
            self.reactive,
            self.disk,
            fill=fill,
            insight=insight,
            clock=clock,
            taken_bytes=lambda: self.transfers.taken_bytes,
            is_filling=lambda: bool(self.transfers.running),
            local=self._cause,
        )
        self.log, self.account = self.counting.log, self.counting.account
        conf = self.folder / "conf"
        self.orders = Orders(settings.id, conf, self.server, self.transfers, self._opener, self._above, fill=fill, clock=clock)
        self._telling = Telling(self.transfers.stock)
        self.neighbours = Neighbours(settings.id, self._peers_tls, self.server.changed.set)
        changed, patience = self.server.changed, Patience(clock)
        self.reporter = Reporter(self._discovery, self.report, self._told, settings.report_s, changed, self._signing, patience)

    def _exchange(self) -> Exchange | None:
        settings = self.settings
        if not settings.cat_keys:
            return None
        keys = Path(settings.cat_keys)
        return Exchange(settings.id, settings.site, settings.public_address, keys, lambda: self.orders.keys, self._clock)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Have nginx serve, and begin to report, to fill and to count."""
        self.log.poll()
        if self._peer_ca:
            self.server.tiers_ca = await asyncio.to_thread(bundle, self.folder / "conf" / "authorities.pem", self._peer_ca)
        await self.orders.remember()
        await self.server.start()
        work: dict[str, Coroutine[Any, Any, None]] = {
            "nginx": self.server.watch(),
            "reports": self.reporter.run(),
            "assignment": self.orders.follow(),
            "orders": self.orders.carry_out(),
            "transfers": self.transfers.run(),
            "scrub": self.scrub.run(),
            "log": self.counting.read(),
            "load": self.counting.weigh(self._measure),
            "traffic": self.account.run(),
            "verification": self._verifier.run(),
            "own page": self.page.run(),
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
        """Tell discovery and insight, end nginx, end everything."""
        self._leaving = True
        with contextlib.suppress(NearcastError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._discovery.drop(DropQuestion(id=self.settings.id))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.account.tell()
        await self._end_tasks()
        await self.server.stop()
        self._ended.set()

    async def leave(self) -> None:
        """End the agent alone; nginx serves on."""
        await self._end_tasks()
        await self.server.leave()
        self._ended.set()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.neighbours.stop()
        self.account.close()
        self.log.close()
        await self.page.stop()
        await self._client.aclose()
        await self._peers_client.aclose()

    def take_certificate(self) -> None:
        """Show the parent the certificate that lies in its place now; nginx finds it by itself. Raises BadSourceCertificate."""
        if self.settings.parent_certificate:
            source.show(self._secured, self.settings.parent_certificate, self.settings.parent_key)

    # --- what is told -------------------------------------------------------------------------------------------------

    def report(self) -> ApplianceReport:
        """What discovery is told now."""
        settings, counting, counts, stock = self.settings, self.counting, self.log.counts, self.transfers.stock
        holdings, digest, base = self._telling.now()
        problem = self.transfers.problem or (self.tokens.problem if self.tokens else None)
        return ApplianceReport(
            id=settings.id,
            site=settings.site,
            address=settings.public_address,
            health_url=f"{settings.public_address}/healthz",
            state=self._state(),
            holdings=holdings,
            holdings_digest=digest,
            holdings_base=base,
            held_bytes=stock.held_bytes,
            missing_bytes=self.transfers.missing_bytes(),
            capacity_bytes=self.partitions.placed,
            reactive_bytes=self.reactive.used_bytes,
            disk_free_bytes=self.disk.free_bytes(),
            sent_bps=counting.sent.bps,
            limit_bps=settings.throughput_max_bps,
            load=self.server.load.level,
            connections=counting.connections,
            connections_max=counting.connections_max,
            fill_bps=counting.filled.bps,
            generation=self.transfers.assignment.generation,
            key_generation=self.orders.keys.current.generation,
            problem=f"{problem.code}: {problem.message}" if problem else "",
            requests_total=counts.requests,
            errors_total=counts.errors,
            sent_bytes_total=counts.sent_bytes,
            placed_bytes_total=counts.placed_bytes,
            reactive_bytes_total=counts.reactive_bytes,
            missed_bytes_total=counts.missed_bytes,
            lease_s=3 * settings.report_s,
            addresses=settings.public_ips,
            seen=self.neighbours.seen,
        )

    def status(self) -> Status:
        """What the appliance's own page shows."""
        watched = Watched(
            settings=self.settings,
            partitions=self.partitions,
            transfers=self.transfers,
            reactive=self.reactive,
            scrub=self.scrub,
            counts=self.log.counts,
            misses=self.counting.misses,
            reporter=self.reporter,
            account=self.account,
            server=self.server,
            tokens=self.tokens,
            history=self.counting.history,
        )
        return compose(self.report(), watched, self._clock.now_s())

    def _cause(self, title_id: str, file: str) -> MissCause | None:
        stock = self.transfers.stock
        return local_cause(
            title_assigned=title_id in stock.titles,
            file_assigned=stock.item((title_id, file)) is not None,
            in_repair=self.transfers.in_repair((title_id, file)),
        )

    def _told(self, report: ApplianceReport, answer: ReportAnswer) -> None:
        self._telling.told(report, answer)
        self.orders.obey(answer)
        self.neighbours.look_at(answer.probe)

    def _measure(self) -> None:
        if self.metrics is not None:
            self.metrics.update(self.status())

    def _state(self) -> ApplianceState:
        if not self.server.healthy:
            return "down"
        return "draining" if self._leaving or self.orders.draining else "up"
