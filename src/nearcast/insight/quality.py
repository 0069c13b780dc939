"""The Quality service of ``model.services``: what players measured, held against what the edges logged, over the last minutes.

All of it is in memory, and bounded. Where it is given a store it is written there every few seconds, and read at the start: what is older
than some minutes by then is forgotten, as if the process had gone on. Where there are more sessions than are
kept, a sample of them is, chosen by the session's tag, so that of those that are kept both claim and proof are.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import zlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

import structlog
from sqlalchemy import Connection

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, NearcastError
from nearcast.insight import kept
from nearcast.insight.belief import Claim, Key, Proof, believed
from nearcast.insight.service import Transactions
from nearcast.model.quality import ApplianceQuality, Measured, QualityReport
from nearcast.model.services import Nothing, QualityList
from nearcast.model.traffic import TrafficReport

BUCKET_S = 60.0
BUCKETS = 5
KEPT_MAX = 20_000
"""Claims, and proofs, of a bucket."""
SESSIONS_PER_ACCOUNT = 32
"""Of one bucket: whoever opens more of them is not heard the louder."""
APPLIANCES_MAX = 20_000
LINES_MAX = 200_000
NAME_MAX = 100
SPAN_MAX_S = 3600.0
FAILURES_MAX = 10_000
FRESH_S = 5.0
"""An answer is given again for so long."""
SAVE_S = 15.0
"""So much at most is lost where the process is killed."""
_log = structlog.get_logger("insight")


class BadQuality(BadInput):
    """A report of what players measured makes no sense."""

    code = "NC4630"
    cure = "run the same version of Nearcast on all hosts; if this one is, please report it"


def check(report: QualityReport) -> None:
    """Raises BadQuality."""
    if len(report.measured) > LINES_MAX:
        raise BadQuality(f"a report of measures has more than {LINES_MAX} lines")
    for each in report.measured:
        names = (each.appliance, each.session, each.account_id)
        if not all(names) or max(map(len, (*names, each.network))) > NAME_MAX:
            raise BadQuality(f"a measure names its appliance, session and account, each in {NAME_MAX} characters at most")
        spans = (each.watched_s, each.stalled_s)
        if not all(0 <= span <= SPAN_MAX_S for span in spans) or not 0 <= each.failures <= FAILURES_MAX:
            raise BadQuality("a measure counts below zero, or more than there can be")
        if not math.isfinite(each.throughput_bps) or each.throughput_bps < 0:
            raise BadQuality("a measure's throughput is no number")


def place(session: str) -> float:
    """Where a session's tag stands between 0 and 1, the same everywhere: which of too many are kept."""
    return zlib.crc32(session.encode()) / 2**32


class Bucket:
    """Claims and proofs of a minute. ``share`` of the sessions are kept; it is halved when they are too many."""

    def __init__(self, began_s: float, began_at: float, share: float = 1.0, most: int = KEPT_MAX) -> None:
        self.began_s, self.began_at = began_s, began_at
        self.share = share
        self.changed = True
        self.claims: dict[Key, Claim] = {}
        self.proofs: dict[Key, Proof] = {}
        self._most = most
        self._sessions: dict[str, int] = {}

    @classmethod
    def of(cls, minute: kept.Minute, began_s: float, most: int) -> Bucket:
        """As it was kept."""
        found = cls(began_s, minute.began_at, minute.share, most)
        found.claims = {(appliance, session): claim for appliance, session, claim in minute.claims}
        found.proofs = {(appliance, session): proof for appliance, session, proof in minute.proofs}
        found._sessions = dict(Counter(each.account_id for each in found.claims.values()))
        found.changed = False
        found._thin()
        return found

    def claim(self, each: Measured) -> None:
        self.changed = True
        key = (each.appliance, each.session)
        made = Claim(each.account_id, each.network, each.watched_s, each.stalled_s, each.failures, each.throughput_bps)
        before = self.claims.get(key)
        if before is not None:
            self.claims[key] = before.plus(made)
            return
        sessions = self._sessions.get(each.account_id, 0)
        if sessions >= SESSIONS_PER_ACCOUNT or place(each.session) >= self.share:
            return
        self._sessions[each.account_id] = sessions + 1
        self.claims[key] = made
        self._thin()

    def prove(self, appliance: str, session: str, made: Proof) -> None:
        self.changed = True
        key = (appliance, session)
        before = self.proofs.get(key)
        if before is None and place(session) >= self.share:
            return
        self.proofs[key] = made if before is None else before.plus(made)
        self._thin()

    def _thin(self) -> None:
        while len(self.claims) > self._most or len(self.proofs) > self._most:
            self.share /= 2
            self.claims = {key: each for key, each in self.claims.items() if place(key[1]) < self.share}
            self.proofs = {key: each for key, each in self.proofs.items() if place(key[1]) < self.share}

    def frozen(self) -> tuple[dict[Key, Claim], dict[Key, Proof]]:
        """As it is now, for another thread."""
        return dict(self.claims), dict(self.proofs)


def merged(buckets: Iterable[tuple[dict[Key, Claim], dict[Key, Proof]]]) -> tuple[dict[Key, Claim], dict[Key, Proof]]:
    claims: dict[Key, Claim] = {}
    proofs: dict[Key, Proof] = {}
    for some_claims, some_proofs in buckets:
        for key, claim in some_claims.items():
            claims[key] = claims[key].plus(claim) if key in claims else claim
        for key, proof in some_proofs.items():
            proofs[key] = proofs[key].plus(proof) if key in proofs else proof
    return claims, proofs


class QualityService:
    """Fits ``model.services.Quality``; ``delivered`` is given the reports of edges that insight has taken in.

    After ``start`` it is kept in insight's store; ``close`` writes what is not there yet.
    """

    def __init__(self, clock: Clock, *, kept_max: int = KEPT_MAX) -> None:
        self._clock = clock
        self._kept_max = kept_max
        self._buckets: deque[Bucket] = deque()
        self._appliances: OrderedDict[str, kept.Told] = OrderedDict()
        self._transactions: Transactions | None = None
        self._saving: asyncio.Task[None] | None = None
        self._answer: tuple[ApplianceQuality, ...] = ()
        self._answered_s = -math.inf
        self._asking = asyncio.Lock()

    async def start(self, transactions: Transactions) -> None:
        """Go on with what is in the store, whose tables are there (``tables.prepare``). Raises what the store raises."""
        now_at, now_s = self._clock.now_s(), self._clock.monotonic_s()
        found = await transactions.read(lambda connection: kept.load(connection, now_at - BUCKET_S * BUCKETS, now_at))
        self._buckets = deque(Bucket.of(each, now_s - (now_at - each.began_at), self._kept_max) for each in found.minutes)
        self._appliances = OrderedDict((each.appliance, each) for each in found.appliances)
        self._transactions = transactions
        self._saving = asyncio.create_task(self._save_again(), name="insight keeps what players measured")

    async def close(self) -> None:
        if self._saving is None:
            return
        self._saving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._saving
        try:
            await self.save()
        except NearcastError as error:
            _log.warning("what players measured last is lost with this process", error=error.message, code=error.code)

    async def save(self) -> None:
        """Raises what the store raises; what was not written is written the next time."""
        if self._transactions is None:
            return
        self._forget(self._clock.monotonic_s())
        changed = [each for each in self._buckets if each.changed]
        if not changed:
            return
        found = [(each.began_at, each.share, *each.frozen()) for each in changed]
        appliances = [kept.Told(each.appliance, each.site, each.run, each.sequence) for each in self._appliances.values()]
        since = self._clock.now_s() - BUCKET_S * BUCKETS

        def work(connection: Connection) -> None:
            minutes = [
                kept.Minute(at, share, [(*key, each) for key, each in claims.items()], [(*key, each) for key, each in proofs.items()])
                for at, share, claims, proofs in found
            ]
            kept.save(connection, kept.Kept(minutes, appliances), since)

        for each in changed:
            each.changed = False
        try:
            await self._transactions.write(work)
        except BaseException:
            for each in changed:
                each.changed = True
            raise

    async def _save_again(self) -> None:
        failed = False
        while True:
            await self._clock.sleep(SAVE_S)
            try:
                await self.save()
                failed = False
            except NearcastError as error:
                if not failed:
                    _log.warning("what players measured is in memory alone", error=error.message, code=error.code)
                failed = True

    async def measured(self, question: QualityReport, /) -> Nothing:
        """Raises BadQuality."""
        check(question)
        bucket = self._bucket()
        for each in question.measured:
            bucket.claim(each)
        return Nothing()

    def delivered(self, report: TrafficReport) -> None:
        """A report that comes twice counts once."""
        last = self._appliances.get(report.appliance)
        if last is not None and last.run == report.run and report.sequence <= last.sequence:
            return
        self._appliances[report.appliance] = kept.Told(report.appliance, report.site, report.run, report.sequence)
        self._appliances.move_to_end(report.appliance)
        if len(self._appliances) > APPLIANCES_MAX:
            self._appliances.popitem(last=False)
        bucket = self._bucket()
        for each in report.sessions:
            bucket.prove(report.appliance, each.session, Proof(each.bytes, each.busy_s, each.failed))

    async def quality(self, question: Nothing, /) -> QualityList:
        async with self._asking:
            now_s = self._clock.monotonic_s()
            if now_s - self._answered_s >= FRESH_S:
                self._forget(now_s)
                buckets = [each.frozen() for each in self._buckets]
                sites = {appliance: told.site for appliance, told in self._appliances.items()}
                self._answer = await asyncio.to_thread(lambda: believed(*merged(buckets), sites))
                self._answered_s = now_s
        return QualityList(appliances=self._answer)

    def _bucket(self) -> Bucket:
        now_s = self._clock.monotonic_s()
        self._forget(now_s)
        if not self._buckets or now_s - self._buckets[-1].began_s >= BUCKET_S:
            # After a thinning it is tried whether more can be kept again.
            share = min(1.0, 2 * self._buckets[-1].share) if self._buckets else 1.0
            self._buckets.append(Bucket(now_s, self._clock.now_s(), share, self._kept_max))
        return self._buckets[-1]

    def _forget(self, now_s: float) -> None:
        while self._buckets and now_s - self._buckets[0].began_s >= BUCKET_S * BUCKETS:
            self._buckets.popleft()
