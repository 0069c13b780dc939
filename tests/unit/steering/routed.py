"""A routing service over a table and a view as readers have them."""

from __future__ import annotations

from msgspec.structs import replace

from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement, Route
from nearcast.model.services import RehearseQuestion, SourceStatus
from nearcast.model.site import Site
from nearcast.steering.routes import Table
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp
from nearcast.steering.routing import RoutingService
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View

ISP = Isp(name="riverbank", asn=64511, sites=("rack", "north"), allow=("20.0.0.0/12", "2a00:100::/24"), prefixes_max=2)
SETTINGS = SteeringSettings(
    sites=(Site(name="north", zone="n"), Site(name="south", zone="s"), Site(name="rack", zone="r", isp="riverbank")),
    routes=(Route(prefix="0.0.0.0/0", sites=("north", "south")), Route(prefix="30.0.0.0/8", sites=("south", "north"))),
    isps=(ISP,),
    bgp=BgpSettings(asn=64500),
    geographic=GeographicSettings(blocks={"DE": ("50.0.0.0/8",)}),
)
TOLD = (
    Announcement(prefix="20.1.0.0/16", site="rack", source="riverbank", as_path=(64511,), order=0),
    Announcement(prefix="20.1.0.0/16", site="north", source="riverbank", as_path=(64511,), order=1),
)


def appliance(site: str, **said: object) -> ApplianceHealth:
    return replace(ApplianceHealth(id=f"{site}-1", site=site, address=f"http://{site}", limit_bps=1e9, holdings_digest="x"), **said)


VIEW = View(
    HealthSnapshot(version=7, published_s=5.0, appliances=(appliance("north"), appliance("south", state="draining"), appliance("rack"))),
    {each: {"t": 100} for each in ("north-1", "south-1", "rack-1")},
)


COMPILED_AT = 1_700_000_000.0


class Sight:
    """A table and a view, as readers have them."""

    def __init__(self, view: View = VIEW) -> None:
        self._table, self._view = Table.of(SETTINGS.routes, SETTINGS.sites, TOLD, version=3), view

    def table(self) -> Table:
        return self._table

    def view(self) -> View:
        return self._view


def service(sight: Sight | None = None) -> RoutingService:
    sight = sight or Sight()
    isp = SourceStatus(name="riverbank", kind="bgp", state="up", prefixes=1, refused=4)
    return RoutingService(SETTINGS, sight, sight, lambda: (isp,), lambda: COMPILED_AT)


EVERYWHERE = RehearseQuestion(routes=(Route(prefix="0.0.0.0/0", sites=("south", "north")), SETTINGS.routes[1]))
PREFIXES, ROUNDS, PATIENCE_S = 1_000, 20, 120.0
