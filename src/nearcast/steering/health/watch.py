"""The watcher of a host: hears reports and votes from discovery, looks by itself, merges, and publishes the one view.

It asks discovery at its interval, and at once and more often for a while after one of its own looks changed its mind: what others saw
then decides. When discovery is dead the view goes on by our own looks; an empty answer of one that has just started changes nothing, as
silence alone kills nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Counter, Gauge

from nearcast.base import ports
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.services import AppliancesQuestion, Discovery, Nothing, Quality
from nearcast.model.site import Appliance, ApplianceReport, ApplianceState, Load, ReachedBy
from nearcast.policy import holdings, load
from nearcast.policy.sight import witness_s
from nearcast.steering.health import merge
from nearcast.steering.health.probe import Looks
from nearcast.steering.health.published import NotPublished, ViewReader, ViewWriter, digest_of
from nearcast.steering.quality import Demoting

if TYPE_CHECKING:
    from nearcast.steering.settings import SteeringSettings

FAILED_POLLS = 2
"""One answer that fails to come is not yet an outage."""
KEPT_S = 600.0
"""Appliances that are down, and of which discovery does not tell while it answers, are remembered for so long."""
VOTES_KEPT_S = 2.0
SETTLED_S = 2.0
"""A discovery that answers again has heard of all that live by then."""
HURRIED_S, HURRY_S = 0.12, 2.0
"""How often discovery is asked, and for how long, after a look of ours changed."""
GAP_S = 0.02
"""Changes that come together are merged together."""
QUALITY_S = 5.0
_log = structlog.get_logger("health")


@dataclass
class Member:
    """An appliance as it is remembered. ``heard_s``: when its report was issued, monotonic; ``silent_s``: how long discovery, while it
    answered, has not told of it, and it was down.
    """

    report: ApplianceReport
    heard_s: float = -math.inf
    votes: Mapping[str, bool] = field(default_factory=dict)
    silent_s: float = 0.0
    state: ApplianceState | None = None
    why: str = ""
    heard: bool = True
    load: Load = "normal"
    up_since_s: float = 0.0

    @property
    def witness_s(self) -> float:
        return witness_s(self.report.lease_s / 3)

    @property
    def near(self) -> bool:
        return near(self.report.health_url)


@lru_cache(maxsize=65536)
def near(url: str) -> bool:
    """Whether it is on this machine."""
    try:
        return ports.on_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def remembered(each: ApplianceHealth, held: Mapping[str, int], same_run: bool) -> Member:
    """A member as an earlier watcher published it; ``same_run`` of the machine, so that its monotonic times still mean something."""
    address = each.address.rstrip("/")
    report = ApplianceReport(
        id=each.id,
        site=each.site,
        address=each.address,
        addresses=each.addresses,
        health_url=f"{address}/healthz",
        state=each.state,
        holdings=dict(held),
        holdings_digest=holdings.digest(held),
        sent_bps=each.sent_bps,
        limit_bps=each.limit_bps,
        load=each.load,
        key_generation=each.key_generation,
    )
    since_s = each.up_since_s if same_run else 0.0
    return Member(report, state=each.state, why=each.why, heard=each.heard, load=each.load, up_since_s=since_s)


def health(name: str, member: Member) -> ApplianceHealth:
    """As it is published. Figures are rounded, so that a quiet appliance changes nothing."""
    report = member.report
    return ApplianceHealth(
        id=name,
        site=report.site,
        address=report.address,
        addresses=report.addresses,
        state=member.state or "up",
        why=member.why,
        load=member.load,
        share=round(load.share(report.sent_bps, report.limit_bps), 3),
        sent_bps=float(f"{report.sent_bps:.3g}") if math.isfinite(report.sent_bps) else 0.0,
        limit_bps=report.limit_bps if math.isfinite(report.limit_bps) else 0.0,
        key_generation=report.key_generation,
        up_since_s=member.up_since_s,
        heard=member.heard,
        holdings_digest=digest_of(report.holdings, report.holdings_digest),
    )


class Watcher:
    """Publishes the view in ``folder`` from ``start`` to ``stop``. Raises NotPublished at the start.

    ``quality`` None: nobody tells what players measured. ``tls``: how appliances on https are believed. ``dismissed``: appliances that
    were shut out; unless they are heard all the same, nobody vouches for them.
    """

    def __init__(
        self,
        discovery: Discovery,
        quality: Quality | None,
        settings: SteeringSettings,
        folder: Path,
        clock: Clock | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        dismissed: Callable[[], Collection[str]] = tuple,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._discovery = discovery
        self._quality = quality
        self._settings = settings
        self._folder = folder
        self._clock = clock or SystemClock()
        self._tls = tls
        self._dismissed = dismissed
        self._shut_out: frozenset[str] = frozenset()
        self._writer = ViewWriter(folder, self._clock)
        self._members: dict[str, Member] = {}
        self._sites = {each.name: each for each in settings.sites}
        self._failures = FAILED_POLLS
        self._polled_s = self._answering_s = -math.inf
        self._hurry_s = -math.inf
        self._demoting = Demoting(settings.sites)
        self._demoted: dict[str, float] = {}
        self._blind = False
        self._discredited: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics = _Metrics(registry) if registry is not None else None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Remember what was published last, ask discovery once, publish, and go on."""
        await asyncio.to_thread(self._writer.open)
        await asyncio.to_thread(self._remember)
        self._changed, self._soon = asyncio.Event(), asyncio.Event()
        self._looks = Looks(self._settings.health, self._sight_changed, self._tls)
        self._look()
        await self.poll()
        self._published = await asyncio.to_thread(self._writer.publish, self.merged(), self._holdings())
        work: dict[str, Coroutine[Any, Any, None]] = {"polls": self._run_polls(), "view": self._run_view()}
        if self._quality is not None:
            work["quality"] = self._run_quality(self._quality)
        self._tasks = [asyncio.create_task(each, name=f"health: {name}") for name, each in work.items()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._looks.stop()
        self._writer.close()

    async def wait(self) -> None:
        """Returns when one of the loops ends, and raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _remember(self) -> None:
        reader = ViewReader(self._folder, self._clock)
        view = reader.view()
        reader.close()
        same_run = math.isfinite(reader.published_s)
        for each in view.snapshot.appliances:
            self._members[each.id] = remembered(each, view.holdings.get(each.id, {}), same_run)

    # --- what is heard ------------------------------------------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """Whether discovery answers."""
        return self._failures < FAILED_POLLS

    async def poll(self) -> None:
        """Ask discovery once."""
        known = [Appliance(report=each.report, age_s=0.0) for each in self._members.values()]
        try:
            async with asyncio.timeout(max(1.0, 2 * self._settings.poll_s)):
                answer = await self._discovery.appliances(AppliancesQuestion(known=holdings.digests(known)))
        except (NearcastError, TimeoutError) as error:
            self._failures += 1
            if self._failures == FAILED_POLLS:
                _log.warning("discovery does not answer; going on with what we see ourselves", error=str(error))
            return
        if self._failures >= FAILED_POLLS:
            _log.info("discovery answers", appliances=len(answer.appliances))
        now_s = self._clock.monotonic_s()
        self._take_in(holdings.completed(answer.appliances, known), answer.silent, now_s)
        self._answering_s = now_s if self._failures else self._answering_s
        self._failures, self._polled_s = 0, now_s
        self._look_at_list()
        self._changed.set()

    def _take_in(self, found: tuple[Appliance, ...], silent: Mapping[str, Mapping[str, bool]], now_s: float) -> None:
        fresh_map = not self._members
        silent_s = min(now_s - self._polled_s, 2 * self._settings.poll_s) if self.answering else 0.0
        for each in found:
            member = self._members.get(each.report.id)
            if member is None:
                member = self._members[each.report.id] = Member(each.report, up_since_s=0.0 if fresh_map else now_s)
            member.report, member.heard_s, member.votes, member.silent_s = each.report, now_s - each.age_s, each.votes, 0.0
        told = {each.report.id for each in found}
        for name in [name for name in self._members if name not in told]:
            member = self._members[name]
            member.votes = silent.get(name, {})
            # Silence alone is the report's failure: who is reached is there.
            member.silent_s = member.silent_s + silent_s if member.state == "down" else 0.0
            if member.silent_s > KEPT_S:
                _log.warning("nothing was heard of an appliance for long; it is forgotten", id=name)
                del self._members[name]
        self._look()

    def _look(self) -> None:
        """At all that could be reached from here."""
        self._looks.watch([each.report for each in self._members.values() if each.near or self._reached_by(each) != "isp"])

    def _reached_by(self, member: Member) -> ReachedBy:
        site = self._sites.get(member.report.site)
        return site.reached_by if site else "either"

    def _network(self, member: Member) -> str:
        site = self._sites.get(member.report.site)
        return site.network if site else f"site {member.report.site}"

    def _silent(self, member: Member) -> bool:
        """Whether discovery, in its right mind for a while, has not told of it: it, or the way to it, and not discovery is gone."""
        return self._polled_s - member.heard_s > member.witness_s and self._polled_s - self._answering_s > SETTLED_S

    def _look_at_list(self) -> None:
        try:
            self._shut_out = frozenset(self._dismissed())
        except NearcastError as error:
            _log.error("it is not known who was dismissed", error=error.message, code=error.code, hint=error.hint)

    def _sight_changed(self, name: str) -> None:
        self._hurry_s = self._clock.monotonic_s() + HURRY_S
        self._soon.set()
        self._changed.set()

    async def _run_polls(self) -> None:
        while True:
            hurried = self._clock.monotonic_s() < self._hurry_s
            await self._clock.sleep(HURRIED_S)
            if not hurried:
                self._soon.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._settings.poll_s - HURRIED_S)):
                        await self._soon.wait()
            await self.poll()

    async def _run_quality(self, quality: Quality) -> None:
        while True:
            try:
                found = (await quality.quality(Nothing())).appliances
            except NearcastError:
                found = ()
            self._demoted = self._demoting.look(found, self._clock.monotonic_s())
            await self._clock.sleep(QUALITY_S)

    # --- what is made of it -------------------------------------------------------------------------------------------

    def evidence(self, now_s: float) -> dict[str, merge.Evidence]:
        votes_count = now_s - self._polled_s <= VOTES_KEPT_S
        return {
            name: merge.Evidence(
                told=each.report.state,
                fresh=now_s - each.heard_s <= each.witness_s,
                sight=self._looks.sight(name),
                looked=self._looks.looked(name),
                votes=each.votes if votes_count else {},
                near=each.near,
                shut_out=name in self._shut_out,
                before=each.state,
                network=self._network(each),
                reach=self._reached_by(each),
                silent=self._silent(each),
            )
            for name, each in self._members.items()
        }

    def merged(self) -> HealthSnapshot:
        """The view of now, and what changed in it in the log."""
        now_s = self._clock.monotonic_s()
        found = merge.merge(self.evidence(now_s))
        for name, verdict in found.verdicts.items():
            self._settle(name, self._members[name], verdict, now_s)
        self._say(found)
        known = any(self._looks.sight(name).reached is not None for name in self._members)
        lost = any(each.held for each in found.verdicts.values()) or not (self.answering or known)
        return HealthSnapshot(
            version=0,
            published_s=0.0,
            appliances=tuple(health(name, self._members[name]) for name in sorted(self._members)),
            demoted=self._demoted,
            source="last-known" if lost else "live",
        )

    def _settle(self, name: str, member: Member, verdict: merge.Verdict, now_s: float) -> None:
        if not self.answering and verdict.state == "up" and member.heard and not verdict.held:
            verdict = merge.Verdict("up")  # nobody can be heard, which is no fault of its own
        if verdict.state != member.state:
            if member.state is not None:
                (_log.info if verdict.state == "up" else _log.warning)("appliance", id=name, state=verdict.state, why=verdict.why)
                member.up_since_s = now_s if verdict.state == "up" else member.up_since_s
            if self._metrics is not None:
                self._metrics.changes.labels(verdict.state).inc()
        member.state, member.why, member.heard = verdict.state, verdict.why, verdict.heard
        member.load = load.level(load.share(member.report.sent_bps, member.report.limit_bps), member.report.load, member.load)

    def _say(self, found: merge.Merged) -> None:
        if found.blind != self._blind:
            self._blind = found.blind
            if found.blind:
                _log.error("this host reaches less than half of the appliances: what it sees itself does not count")
            else:
                _log.info("this host reaches the appliances again")
        for name in found.discredited - self._discredited:
            _log.warning("an observer is cut off itself; its votes do not count", observer=name or "this host")
        self._discredited = found.discredited
        if self._metrics is not None:
            states = [each.state for each in self._members.values()]
            for state in ("up", "draining", "down"):
                self._metrics.appliances.labels(state).set(states.count(state))
            self._metrics.blind.set(found.blind)

    def _holdings(self) -> dict[str, Mapping[str, int]]:
        return {name: each.report.holdings for name, each in self._members.items()}

    async def _run_view(self) -> None:
        """Publish what changed at once, and a beat at the interval."""
        broken = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.health.publish_s):
                    await self._changed.wait()
                    await self._clock.sleep(GAP_S)
            self._changed.clear()
            now = self.merged()
            try:
                same = replace(now, version=self._published.version, published_s=self._published.published_s) == self._published
                if not same or not self._writer.there():
                    self._published = await asyncio.to_thread(self._writer.publish, now, self._holdings())
                else:
                    self._writer.beat()
                broken = False
            except NotPublished as error:
                if not broken:
                    _log.error("the health view is not published", error=error.message, code=error.code, hint=error.hint)
                broken = True


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.appliances = Gauge("nearcast_health_appliances", "Appliances by state, as this host sees them.", ["state"], registry=registry)
        self.blind = Gauge("nearcast_health_blind", "1 while this host reaches less than half of the appliances.", registry=registry)
        self.changes = Counter("nearcast_health_changes", "Changes of an appliance's state, by the new one.", ["state"], registry=registry)
