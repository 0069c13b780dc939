"""The agent of one appliance (`nearcast edge`): runs its nginx, fills its disk as assigned, reports to discovery, accounts to insight.

Films do not need it: nginx serves on when the agent dies, and the next agent takes over the nginx it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.base.web import Application
from nearcast.delivery.edge import load, nginx
from nearcast.delivery.edge.account import Account, Sessions, gather, missed
from nearcast.delivery.edge.admin import OwnPage, application
from nearcast.delivery.edge.cat import Exchange
from nearcast.delivery.edge.kept import KeptParents
from nearcast.delivery.edge.logs import AccessLog, Line
from nearcast.delivery.edge.metrics import EdgeMetrics
from nearcast.delivery.edge.misses import Causes, MissLog
from nearcast.delivery.edge.process import open_files_max
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.report import Rate, Reporter, Telling
from nearcast.delivery.edge.scrub import Scrub
from nearcast.delivery.edge.server import Server
from nearcast.delivery.edge.status import History, Status, Watched, compose
from nearcast.delivery.edge.verify import Verifier
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.transfer import Transfers
from nearcast.delivery.settings import EdgeSettings, partitions
from nearcast.model.services import Discovery, DropQuestion, Fill, FillQuestion, Insight, ReportAnswer
from nearcast.model.site import ApplianceReport, ApplianceState

FOLLOW_WAIT_S = 20.0
RETRY_S = (0.3, 5.0)
LOG_POLL_S = 0.5
LOAD_S = 1.0
ADOPT_S = 300.0
"""How often the reactive partition is compared with what lies on the disk."""
FULL_BYTES = 2 << 20
_log = structlog.get_logger("edge")


def is_full(free_bytes: int, reserve_bytes: int, was_full: bool) -> bool:
    """Is there too little space for nginx to keep what it fetches? It needs some twice that to be called better again."""
    floor = max(FULL_BYTES, reserve_bytes // 8)
    return free_bytes < (2 * floor if was_full else floor)


def connections_max(settings: EdgeSettings, open_files: int, processors: int) -> int:
    """How many connections nginx takes at once, all workers together."""
    by_files = (open_files - nginx.FILES_RESERVED) // nginx.FILES_PER_CONNECTION
    return (settings.worker_processes or processors) * max(64, min(settings.connections_max, by_files))


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
        self._fill = fill
        self._make_sources(parent_url, origin_token, peer_ca)
        self._make_disk()
        self.server = Server(settings, self.folder, key, origin_token, parent_url, self._clock, self.partitions.reactive)
        self.reactive = Reactive(self.folder / "cache" / "slices", self.partitions.reactive, self.server.window)
        self._verifier = Verifier(self.reactive, self._above)
        self.kept = KeptParents(self.folder / "conf" / "parents.json")
        self._make_log(insight)
        self.reporter = Reporter(discovery, self.report, self._obey, settings.report_s, self.server.changed)
        self.metrics = EdgeMetrics(registry, settings.id) if registry is not None else None
        self.history = History()
        self._keys = self.server.keys
        """What nginx takes already: told before, paths would be made that it refuses."""
        self.page = OwnPage(settings, application(self.status, registry, self._exchange()))
        self._telling = Telling(self.transfers.stock)
        self._draining = False
        self._connections = 0
        self._sent, self._filled = Rate(), Rate()
        self._obeyed = asyncio.Event()
        self._key: tuple[int, str] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    def _make_sources(self, parent_url: str, origin_token: str, peer_ca: str) -> None:
        settings = self.settings
        self._secured = source.secured(settings.parent_ca, settings.parent_certificate, settings.parent_key)
        self._client = source.client(self._secured)
        self._peers_client = source.client(source.trusting(peer_ca or settings.parent_ca))
        self._origin = source.HttpSource(self._client, parent_url, origin_token, settings.parent_name)
        self._opener = source.Opener(self._peers_client, self._origin)
        self._above = source.FirstOf(self._origin)

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

    def _make_log(self, insight: Insight) -> None:
        settings, logs = self.settings, self.folder / "logs"
        self.log = AccessLog(logs / "access.log", settings.log_bytes_max, self.server.nginx.reopen_logs, self._read)
        self.account = Account(insight, settings.id, settings.site, self._clock)
        self.causes = Causes(self._fill, settings.id, self._clock)
        self.misses = MissLog(logs / "misses.log", settings.log_bytes_max)
        self._sessions = Sessions()
        self._lines: list[Line] = []

    def _exchange(self) -> Application | None:
        settings = self.settings
        if not settings.cat_keys:
            return None
        return Exchange(settings.id, settings.public_address, Path(settings.cat_keys), lambda: self._keys, self._clock).application()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Have nginx serve, and begin to report, to fill and to count."""
        self.log.poll()
        await self.server.set_parents(self.kept.load())
        await self.server.start()
        work: dict[str, Coroutine[Any, Any, None]] = {
            "nginx": self.server.watch(),
            "reports": self.reporter.run(),
            "assignment": self._follow(),
            "orders": self._carry_out(),
            "transfers": self.transfers.run(),
            "scrub": self.scrub.run(),
            "log": self._read_log(),
            "load": self._weigh(),
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
        """Tell discovery, end nginx, end everything."""
        self._draining = True
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
        counts, settings, stock = self.log.counts, self.settings, self.transfers.stock
        holdings, digest, base = self._telling.now()
        problem = self.transfers.problem
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
            sent_bps=self._sent.bps,
            limit_bps=settings.throughput_max_bps,
            load=self.server.load.level,
            connections=self._connections,
            connections_max=self.connections_max,
            fill_bps=self._filled.bps,
            generation=self.transfers.assignment.generation,
            key_generation=self._keys.current.generation,
            problem=f"{problem.code}: {problem.message}" if problem else "",
            requests_total=counts.requests,
            errors_total=counts.errors,
            sent_bytes_total=counts.sent_bytes,
            placed_bytes_total=counts.placed_bytes,
            reactive_bytes_total=counts.reactive_bytes,
            missed_bytes_total=counts.missed_bytes,
            lease_s=3 * settings.report_s,
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
            misses=self.misses,
            reporter=self.reporter,
            account=self.account,
            server=self.server,
            history=self.history,
        )
        return compose(self.report(), watched, self._clock.now_s())

    @property
    def connections_max(self) -> int:
        settings = self.settings
        wanted = settings.connections_max * nginx.FILES_PER_CONNECTION + nginx.FILES_RESERVED
        return connections_max(settings, open_files_max(wanted), os.cpu_count() or 1)

    def _state(self) -> ApplianceState:
        if not self.server.healthy:
            return "down"
        return "draining" if self._draining else "up"

    # --- what others want ---------------------------------------------------------------------------------------------

    def _obey(self, report: ApplianceReport, answer: ReportAnswer) -> None:
        self._telling.told(report, answer)
        if answer.draining != self._draining:
            _log.warning("draining: nobody new is sent here, films play on" if answer.draining else "no longer draining")
            self._draining = answer.draining
            self.server.changed.set()
        if answer.key and answer.key_generation > self._keys.current.generation and self._key is None:
            self._key = (answer.key_generation, answer.key)
            self._obeyed.set()

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
                tiers = [self._opener(each) for each in answer.parents if each.url and source.is_safe(each)]
                self._above.sources = (*tiers, self._origin)
                self._obeyed.set()

    async def _carry_out(self) -> None:
        """Have nginx take new parents and keys. That takes it seconds, for which nothing else waits."""
        while True:
            await self._obeyed.wait()
            self._obeyed.clear()
            try:
                if self._key is not None:
                    await self.server.set_keys(self.server.keys.rotated(*self._key))
                    self._key, self._keys = None, self.server.keys
                parents = self.transfers.assignment.parents
                if self.transfers.assignment.version != -1:
                    await self.server.set_parents(parents)
                    await asyncio.to_thread(self.kept.save, parents)
            except NearcastError as error:
                _log.error("nginx does not take the change; it is tried again", error=error.message, code=error.code, hint=error.hint)
                await self._clock.sleep(RETRY_S[1])
                self._obeyed.set()

    # --- what nginx did -----------------------------------------------------------------------------------------------

    def _read(self, lines: Sequence[Line]) -> None:
        """New lines of the log, in the thread that reads it."""
        self.reactive.served(lines)
        self._lines.extend(lines)

    async def _read_log(self) -> None:
        adopt_at_s = self._clock.monotonic_s()
        while True:
            await asyncio.to_thread(self.log.poll)
            lines, self._lines = self._lines, []
            await self._count(lines)
            if self._clock.monotonic_s() >= adopt_at_s:
                await asyncio.to_thread(self.reactive.adopt)
                adopt_at_s = self._clock.monotonic_s() + ADOPT_S
            self.server.pass_through(is_full(self.disk.raw_free_bytes(), self.settings.disk_reserve_bytes, self.server.passing_through))
            await self._clock.sleep(LOG_POLL_S)

    async def _count(self, lines: list[Line]) -> None:
        batch = await asyncio.to_thread(gather, lines, self._sessions)
        titles = {title_id for (title_id, _), sent in batch.items() if sent.reactive_bytes or sent.missed_bytes}
        misses = missed(lines) if titles else []
        await self.causes.learn(titles)
        self.account.serve(batch, {each: self.causes.of(each) for each in titles})
        self.account.parents(self.log.counts.parent_bytes_by, self.reactive.written_bytes_total)
        self.history.serve(batch)
        if misses:
            await asyncio.to_thread(self.misses.write, misses, self.causes)

    async def _weigh(self) -> None:
        """How loaded it is, each second, and what nginx is to tell players of that."""
        while True:
            now_s = self._clock.monotonic_s()
            self._sent.see(self.log.counts.sent_bytes, now_s)
            self._filled.see(self.transfers.taken_bytes, now_s)
            self._connections = await self.server.connections() or 0
            most = self.connections_max
            decided = load.decide(self._sent.bps, self.settings.throughput_max_bps, self._connections, most, before=self.server.load)
            if decided != self.server.load:
                self.server.set_load(decided)
            self.history.see(self._clock.now_s(), self._sent.bps, self._filled.bps)
            if self.metrics is not None:
                self.metrics.update(self.status())
            await self._clock.sleep(LOAD_S)
