"""The Steering service: an address and a title go in, a few signed edge addresses in distinct sites come out."""

from __future__ import annotations

from functools import lru_cache, partial

from nearcast.base.clock import Clock
from nearcast.base.errors import Unavailable
from nearcast.model.route import EdgeChoice
from nearcast.model.services import Discovery, SteerAnswer, SteerQuestion
from nearcast.model.site import Appliance
from nearcast.policy import capability
from nearcast.steering.health import HealthView
from nearcast.steering.rank import rank
from nearcast.steering.routes import Table
from nearcast.steering.settings import SteeringSettings

COUNT_MAX = 16


class NoEdge(Unavailable):
    """No edge was ever heard of, so that there is nobody to send a viewer to."""

    code = "NC3002"
    cure = "start an edge (`nearcast status` shows which are there)"


class SteeringService:
    """Implements the Steering protocol. ``root`` is the system's root secret, from which each appliance's MAC key comes."""

    def __init__(self, settings: SteeringSettings, discovery: Discovery, root: bytes, clock: Clock | None = None) -> None:
        self._settings = settings
        self._table = Table.of(settings.routes, settings.sites)
        self.health = HealthView(discovery, poll_s=settings.poll_s, clock=clock)
        self._key = lru_cache(maxsize=65536)(partial(capability.edge_key, root))

    async def start(self) -> None:
        await self.health.start()

    async def stop(self) -> None:
        await self.health.stop()

    async def choose(self, question: SteerQuestion, /) -> SteerAnswer:
        """Up to ``count`` edges, best first. Raises NoEdge when none was ever heard of."""
        match = self._table.match(question.client_address)
        count = max(1, min(question.count, COUNT_MAX))
        ranked = partial(rank, match.sites, title_id=question.title_id, count=count, stale_s=self._settings.stale_s)
        ranking = ranked(self.health.appliances())
        if not ranking.healthy:
            ranking = ranked(self.health.everyone())
        if not ranking.appliances:
            raise NoEdge("no edge is known")
        source = self.health.source if ranking.healthy else "last-known"
        edges = tuple(self._choice(each, question.title_id, question.expires_at) for each in ranking.appliances)
        return SteerAnswer(edges=edges, prefix=match.prefix, source=source)

    def _choice(self, appliance: Appliance, title_id: str, expires_at: int) -> EdgeChoice:
        report = appliance.report
        key = self._key(report.id, report.key_generation)
        path = capability.edge_path(key, title_id, expires_at, report.key_generation)
        return EdgeChoice(pathway=report.id, site=report.site, appliance=report.id, base_url=report.address.rstrip("/") + path)
