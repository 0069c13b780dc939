"""What nginx did, read from its log: told to insight, logged by cause of miss, and held against what the appliance can do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from nearcast.base.clock import Clock
from nearcast.delivery.edge import load, nginx
from nearcast.delivery.edge.account import Account, Sessions, gather, missed
from nearcast.delivery.edge.delivered import delivered
from nearcast.delivery.edge.journal import Journal
from nearcast.delivery.edge.logs import AccessLog, Line
from nearcast.delivery.edge.misses import Causes, Local, MissLog
from nearcast.delivery.edge.process import open_files_max
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.report import Pace, Rate
from nearcast.delivery.edge.server import Server
from nearcast.delivery.edge.status import History
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.services import Fill, Insight
from nearcast.model.site import Load
from nearcast.policy import load as steered

POLL_S = 0.5
LOAD_S = 1.0
ADOPT_S = 300.0
"""How often the reactive partition is compared with what lies on the disk."""
FULL_BYTES = 2 << 20


def is_full(free_bytes: int, reserve_bytes: int, was_full: bool) -> bool:
    """Is there too little space for nginx to keep what it fetches? It needs some twice that to be called better again."""
    floor = max(FULL_BYTES, reserve_bytes // 8)
    return free_bytes < (2 * floor if was_full else floor)


def connections_max(settings: EdgeSettings, open_files: int, processors: int) -> int:
    """How many connections nginx takes at once, all workers together."""
    by_files = (open_files - nginx.FILES_RESERVED) // nginx.FILES_PER_CONNECTION
    return (settings.worker_processes or processors) * max(64, min(settings.connections_max, by_files))


class Counting:
    """Two loops: ``read`` the log, and ``weigh`` the load.

    ``taken_bytes`` tells what the fill has fetched so far, ``is_filling`` whether it is fetching now; ``local``: see Causes.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        logs: Path,
        server: Server,
        reactive: Reactive,
        disk: Disk,
        *,
        fill: Fill,
        insight: Insight,
        clock: Clock,
        taken_bytes: Callable[[], int],
        is_filling: Callable[[], bool],
        local: Local,
    ) -> None:
        self._settings = settings
        self._server = server
        self._reactive = reactive
        self._disk = disk
        self._clock = clock
        self._taken_bytes = taken_bytes
        self._is_filling = is_filling
        self._sessions = Sessions()
        self._lines: list[Line] = []
        self.log = AccessLog(logs / "access.log", settings.log_bytes_max, server.nginx.reopen_logs, self._read)
        self.account = Account(insight, settings.id, settings.site, clock, Journal(logs.parent))
        self.causes = Causes(fill, settings.id, clock, local)
        self.misses = MissLog(logs / "misses.log", settings.log_bytes_max)
        self.history = History()
        self.connections = 0
        wanted = settings.connections_max * nginx.FILES_PER_CONNECTION + nginx.FILES_RESERVED
        self.connections_max = connections_max(settings, open_files_max(wanted), os.cpu_count() or 1)
        self.sent, self.filled = Rate(), Pace()
        self._level: Load = "normal"

    def _read(self, lines: Sequence[Line]) -> None:
        """New lines of the log, in the thread that reads it."""
        self._reactive.served(lines)
        self._lines.extend(lines)

    def _poll(self) -> tuple[int, float]:
        """What was sent so far by the log, and when it was read to its end: of a machine that is busy, neither is known later."""
        self.log.poll()
        return self.log.counts.sent_bytes, self._clock.monotonic_s()

    def _tell_level(self) -> None:
        """A level by which steering sends newcomers elsewhere, or here again, is reported at once."""
        share = steered.share(self.sent.bps, self._settings.throughput_max_bps)
        before, self._level = self._level, steered.level(share, self._server.load.level, self._level)
        if self._level != before:
            self._server.changed.set()

    async def read(self) -> None:
        adopt_at_s = self._clock.monotonic_s()
        while True:
            self.sent.see(*await asyncio.to_thread(self._poll))
            self._tell_level()
            lines, self._lines = self._lines, []
            await self._count(lines)
            if self._clock.monotonic_s() >= adopt_at_s:
                await asyncio.to_thread(self._reactive.adopt)
                adopt_at_s = self._clock.monotonic_s() + ADOPT_S
            reserve_bytes, was_full = self._disk.reserve_bytes, self._server.passing_through
            self._server.pass_through(is_full(self._disk.raw_free_bytes(), reserve_bytes, was_full))
            await self._clock.sleep(POLL_S)

    async def _count(self, lines: list[Line]) -> None:
        batch = await asyncio.to_thread(gather, lines, self._sessions)
        self.account.deliveries.add(await asyncio.to_thread(delivered, lines))
        absent = [each for each, sent in batch.items() if sent.reactive_bytes or sent.missed_bytes]
        misses = missed(lines) if absent else []
        await self.causes.learn({each[0] for each in absent if self.causes.local(*each) is None})
        self.account.serve(batch, {each: self.causes.of(*each) for each in absent})
        self.account.parents(self.log.counts.parent_bytes_by, self._reactive.written_bytes_total)
        self.history.serve(batch)
        if misses:
            await asyncio.to_thread(self.misses.write, misses, self.causes)

    async def weigh(self, seen: Callable[[], None]) -> None:
        """How loaded it is, each second, and what nginx is to tell players of that. Then ``seen`` is called."""
        while True:
            self.filled.see(self._taken_bytes(), self._clock.monotonic_s(), self._is_filling())
            self.connections = await self._server.connections() or 0
            decided = self._decide()
            if decided != self._server.load:
                self._server.set_load(decided)
            self.history.see(self._clock.now_s(), self.sent.bps, self.filled.bps)
            seen()
            await self._clock.sleep(LOAD_S)

    def _decide(self) -> load.LoadState:
        limit_bps = self._settings.throughput_max_bps
        return load.decide(self.sent.bps, limit_bps, self.connections, self.connections_max, before=self._server.load)
