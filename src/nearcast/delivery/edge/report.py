"""What an appliance tells discovery twice a second, and what it does with the answer.

Holdings are told by what changed since the last report that was taken in (policy/holdings). A discovery that does not answer changes
nothing for viewers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.patience import Patience
from nearcast.delivery.fill.stock import Stock
from nearcast.model.services import Discovery, ReportAnswer
from nearcast.model.site import ApplianceReport
from nearcast.policy import capability, holdings

SMOOTH_S = 3.0
PACE_S = 10.0
_log = structlog.get_logger("edge")


class Rate:
    """Bits a second from a total that only grows, averaged with a past that fades: after SMOOTH_S it counts for a third (1/e)."""

    def __init__(self) -> None:
        self.bps = 0.0
        self._last: tuple[float, int] | None = None

    def see(self, total_bytes: int, now_s: float) -> float:
        """``now_s`` is monotonic."""
        if self._last is None:
            self._last = (now_s, total_bytes)
        span_s = now_s - self._last[0]
        if span_s > 0:
            fresh = 8 * (total_bytes - self._last[1]) / span_s
            self.bps = fresh + (self.bps - fresh) * math.exp(-span_s / SMOOTH_S)
            self._last = (now_s, total_bytes)
        return self.bps


class Pace:
    """Bits a second over the last PACE_S in which something was under way, so that what is left at this pace takes as long as it says;
    exactly 0 while nothing is."""

    def __init__(self) -> None:
        self.bps = 0.0
        self._seen: deque[tuple[float, int]] = deque()
        """When (in monotonic seconds) how much was there, since the work began."""

    def see(self, total_bytes: int, now_s: float, under_way: bool) -> float:
        grew = bool(self._seen) and total_bytes > self._seen[-1][1]
        self._seen.append((now_s, total_bytes))
        if not (under_way or grew):
            self._seen = deque([(now_s, total_bytes)])
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - PACE_S:
            self._seen.popleft()
        span_s = now_s - self._seen[0][0]
        self.bps = 8 * max(0, total_bytes - self._seen[0][1]) / span_s if span_s > 0 else 0.0
        return self.bps


class Telling:
    """What discovery is told of the holdings of ``stock``, and knows of them already."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self._revision = -1
        self._digest = holdings.EMPTY
        self._known: dict[str, int] = {}
        self._known_digest = holdings.EMPTY

    def now(self) -> tuple[dict[str, int], str, str]:
        """Holdings (what changed of them), digest and base, as ApplianceReport has them."""
        if self._stock.revision != self._revision:
            self._revision, self._digest = self._stock.revision, holdings.digest(self._stock.holdings)
        if self._known_digest == self._digest:
            return {}, self._digest, self._known_digest
        changed = holdings.changes(self._known, self._stock.holdings) if self._known_digest else dict(self._stock.holdings)
        return changed, self._digest, self._known_digest

    def told(self, report: ApplianceReport, answer: ReportAnswer) -> None:
        """``report`` was taken in, or the whole is wanted."""
        if answer.holdings_wanted:
            self._known, self._known_digest = {}, holdings.EMPTY
        else:
            self._known = holdings.merged(self._known if report.holdings_base else {}, report.holdings)
            self._known_digest = report.holdings_digest


class Signing:
    """Signs reports, each later than the one before whatever the clock does. ``first_key``: the appliance's key of generation 0."""

    def __init__(self, first_key: str, clock: Clock) -> None:
        self._key = capability.report_key(first_key)
        self._clock = clock
        self._last_ms = 0

    def sign(self, report: ApplianceReport) -> ApplianceReport:
        self._last_ms = max(self._last_ms + 1, int(self._clock.now_s() * 1000))
        dated = replace(report, issued_ms=self._last_ms, mac="")
        return replace(dated, mac=capability.report_mac(self._key, dated))

    def above(self, issued_ms: int) -> bool:
        """Sign above this from now on. Whether that is news."""
        news = issued_ms >= self._last_ms
        self._last_ms = max(self._last_ms, issued_ms)
        return news


class Reporter:
    """``compose`` makes the report of now, ``told`` is given each answer to one that was taken in; ``changed`` set means: at once."""

    def __init__(
        self,
        discovery: Discovery,
        compose: Callable[[], ApplianceReport],
        told: Callable[[ApplianceReport, ReportAnswer], None],
        interval_s: float,
        changed: asyncio.Event,
        signing: Signing,
        patience: Patience,
    ) -> None:
        self._discovery = discovery
        self._signing = signing
        self._compose = compose
        self._told = told
        self._interval_s = interval_s
        self._changed = changed
        self._patience = patience
        self.answered = True

    async def run(self) -> None:
        while True:
            self._changed.clear()
            report = self._signing.sign(self._compose())
            try:
                async with asyncio.timeout(2 * self._interval_s):
                    answer = await self._discovery.report(report)
                self.answered = True
                self._patience.answered()
                if answer.issued_ms:
                    if self._signing.above(answer.issued_ms):
                        continue
                else:
                    self._told(report, answer)
            except (NearcastError, TimeoutError) as error:
                self.answered = False
                if self._patience.lost():
                    _log.warning("discovery does not answer; films are served all the same", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._changed.wait()
