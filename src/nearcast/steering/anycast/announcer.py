"""Announces the service addresses of this host for as long as the service is well: looks, decides, tells the routers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Gauge

from nearcast.base.clock import Clock
from nearcast.base.processes import write_atomically
from nearcast.steering.anycast import addresses
from nearcast.steering.anycast.bfd import Bfd
from nearcast.steering.anycast.check import Checker, Row, after
from nearcast.steering.anycast.decide import START, Offer, Phase, Seen, Stand, decide, offer
from nearcast.steering.anycast.load import UNKNOWN, SiteLoad
from nearcast.steering.anycast.settings import AnycastSettings
from nearcast.steering.anycast.speaker import Speaker

LOAD_S = 0.5
STATUS_S = 1.0
SILENT_S = 5.0
"""A status older than that is of an announcer that is dead or frozen."""
_log = structlog.get_logger("anycast")


class AnycastStatus(Struct, frozen=True, kw_only=True):
    """What ``nearcast anycast status`` prints. ``since`` is Unix time; ``offer`` None: withdrawn, and ``why``. ``sessions`` and ``bfd``:
    whether each is up, by the router's address."""

    at: float
    addresses: tuple[str, ...]
    phase: Phase
    since: float
    level: int
    offer: Offer | None
    why: str
    share: float | None
    sessions: dict[str, bool]
    bfd: dict[str, bool]
    exabgp_restarts: int


class Announcer:
    """``run`` until cancelled. ``load`` tells the site's load now. While the file ``drain`` is there, the site drains."""

    def __init__(
        self,
        settings: AnycastSettings,
        speaker: Speaker,
        bfd: Bfd | None,
        checker: Checker,
        load: Callable[[], Awaitable[SiteLoad]],
        drain: Path,
        status: Path,
        clock: Clock,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.settings, self.speaker, self.bfd = settings, speaker, bfd
        self.stand: Stand = START
        self.row = Row()
        self.load: SiteLoad = UNKNOWN
        self._checker, self._ask_load, self._clock = checker, load, clock
        self._drain, self._status_path = drain, status
        self._hosts = addresses.hosts(settings.addresses)
        self._gauges = {
            name: Gauge(f"nearcast_anycast_{name}", text, registry=registry)
            for name, text in (
                ("announced", "1 while the service addresses are announced"),
                ("level", "Steps by which the site makes itself less wanted"),
                ("sessions_up", "BGP sessions with routers that are up"),
            )
            if registry is not None
        }

    async def run(self) -> None:
        parts = [self.speaker.run(), self._watch(), self._follow_load(), self._tell_status()]
        if self.bfd is not None:
            parts.append(self.bfd.run())
        async with asyncio.TaskGroup() as group:
            for each in parts:
                group.create_task(each)

    async def stop(self) -> None:
        """Withdraw, end ExaBGP and then BIRD, so that no router takes the silence for a fault. ``run`` is still going on."""
        await self.speaker.stop()
        if self.bfd is not None:
            await self.bfd.stop()

    async def close(self) -> None:
        await self._checker.close()
        self._status_path.unlink(missing_ok=True)

    @property
    def offer(self) -> Offer | None:
        return offer(self.settings, self.stand)

    @property
    def why(self) -> str:
        """Why the addresses are not announced, or less wanted; empty: all is well."""
        if self.stand.phase == "down":
            return self.row.why or ("no appliance of the site is up" if self.load.down else "the service was not seen well for long enough")
        if self.stand.phase in ("draining", "drained"):
            return "drained by order" if self._drain.exists() else "the appliances of the site drain"
        return f"the site is at {self.load.share or 0:.0%} of its limit" if self.stand.level else ""

    async def _watch(self) -> None:
        """Look, decide, tell: every ``check_s``."""
        due_s = self._clock.monotonic_s()
        while True:
            look = await self._checker.look()
            known = [f"{each} is not an address of this machine" for each in addresses.missing(self._hosts)]
            known += ["no appliance of the site is up"] if self.load.down else []
            self.row = after(self.row, replace(look, failures=(*look.failures, *known), slow=look.slow and not known))
            now_s = self._clock.monotonic_s()
            seen = Seen(
                passed=self.row.passed,
                failed=self.row.failed,
                draining=self._drain.exists() or self.load.draining,
                share=self.load.share,
            )
            self._take(decide(self.settings, self.stand, seen, now_s))
            due_s = max(due_s + self.settings.check_s, now_s)
            await self._clock.sleep(due_s - now_s)

    def _take(self, stand: Stand) -> None:
        if stand == self.stand:
            return
        self.stand = stand
        told = self.offer
        self.speaker.tell(told)
        tell = _log.info if told is not None else _log.warning
        tell("announced" if told else "withdrawn", phase=stand.phase, level=stand.level, why=self.why, addresses=self.settings.addresses)

    async def _follow_load(self) -> None:
        while True:
            self.load = await self._ask_load()
            await self._clock.sleep(LOAD_S)

    async def _tell_status(self) -> None:
        while True:
            found = await self.bfd.sessions() if self.bfd is not None else {}
            now_s, at_s = self._clock.now_s(), self._clock.monotonic_s()
            status = AnycastStatus(
                at=now_s,
                addresses=self.settings.addresses,
                phase=self.stand.phase,
                since=now_s - max(0.0, min(at_s - self.stand.since_s, now_s)),
                level=self.stand.level,
                offer=self.offer,
                why=self.why,
                share=self.load.share,
                sessions=dict(self.speaker.sessions),
                bfd=found,
                exabgp_restarts=self.speaker.keeper.restarts,
            )
            try:
                write_atomically(self._status_path, msgspec.json.encode(status))
            except OSError as error:  # a full disk is no reason to withdraw
                _log.error("the status cannot be written", error=error.strerror)
            self._measure(status)
            await self._clock.sleep(STATUS_S)

    def _measure(self, status: AnycastStatus) -> None:
        if self._gauges:
            self._gauges["announced"].set(status.offer is not None)
            self._gauges["level"].set(status.level)
            self._gauges["sessions_up"].set(sum(status.sessions.values()))
