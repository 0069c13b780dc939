"""The real Routing service over a small table and view in memory."""

from __future__ import annotations

from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement, Route
from nearcast.model.services import (
    ExplainQuestion,
    Explanation,
    Nothing,
    Rehearsal,
    RehearseQuestion,
    RoutingStatus,
    SourceStatus,
)
from nearcast.model.site import Site
from nearcast.steering.routes import Table
from nearcast.steering.routes.settings import BgpSettings, Isp
from nearcast.steering.routing import RoutingService
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View
from tests.fakes.fake import Fake

SETTINGS = SteeringSettings(
    sites=(Site(name="north", zone="n"), Site(name="south", zone="s"), Site(name="rack", zone="r", isp="riverbank")),
    routes=(Route(prefix="0.0.0.0/0", sites=("north", "south")), Route(prefix="203.0.113.0/24", sites=("south", "north"))),
    isps=(Isp(name="riverbank", asn=64511, sites=("rack",), allow=("20.0.0.0/12",)),),
    bgp=BgpSettings(asn=64500),
)
TOLD = (Announcement(prefix="20.1.0.0/16", site="rack", source="riverbank", as_path=(64511,)),)
APPLIANCES = tuple(ApplianceHealth(id=f"{site}-1", site=site, address=f"http://{site}.example") for site in ("north", "south", "rack"))


class FakeRouting(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.compiled_at = 1_700_000_000.0
        self._table = Table.of(SETTINGS.routes, SETTINGS.sites, TOLD, version=3)
        self._view = View(HealthSnapshot(version=1, published_s=1.0, appliances=APPLIANCES), {})
        self.isp = SourceStatus(name="riverbank", kind="bgp", state="up", prefixes=1)
        self._real = RoutingService(SETTINGS, self, self, lambda: (self.isp,), lambda: self.compiled_at)

    def table(self) -> Table:
        return self._table

    def view(self) -> View:
        return self._view

    async def explain(self, question: ExplainQuestion) -> Explanation:
        self.asked(question)
        return await self._real.explain(question)

    async def rehearse(self, question: RehearseQuestion) -> Rehearsal:
        self.asked(question)
        return await self._real.rehearse(question)

    async def status(self, question: Nothing) -> RoutingStatus:
        self.asked(question)
        return await self._real.status(question)
