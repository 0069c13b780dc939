"""Sites, ISPs, and what they have told: what is in force before a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network

from nearcast.model.route import Route
from nearcast.model.services import PlannedIsp, RehearseQuestion
from nearcast.model.site import Site
from nearcast.steering.planned import Present, rehearsed
from nearcast.steering.routes import Table
from nearcast.steering.routes.bgp import Update
from nearcast.steering.routes.places import geography_of
from nearcast.steering.routes.rib import Rib
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp
from nearcast.steering.settings import SteeringSettings

SITES = (
    Site(name="north", zone="n", latitude=60.0, longitude=10.0),
    Site(name="south", zone="s", latitude=40.0, longitude=10.0),
    Site(name="rack", zone="r", isp="riverbank"),
)
RIVERBANK = Isp(name="riverbank", asn=64511, sites=("rack", "north"), allow=("20.0.0.0/12",), prefixes_max=3)
HILLSIDE = Isp(name="hillside", asn=64512, sites=("south",), allow=("30.0.0.0/8",))
IN_FORCE = SteeringSettings(
    sites=SITES,
    routes=(Route(prefix="0.0.0.0/0", sites=("north", "south")),),
    isps=(RIVERBANK, HILLSIDE),
    bgp=BgpSettings(asn=64500),
    geographic=GeographicSettings(blocks={"NO": ("50.0.0.0/8",)}),
)
TOLD = {"riverbank": ("20.1.0.0/16", "20.2.0.0/16", "21.0.0.0/8"), "hillside": ("30.1.0.0/16",)}


def ribs(isps: Iterable[Isp], asn: int, told: Mapping[str, Sequence[str]]) -> dict[str, Rib]:
    """What the routers told, taken in as the collector does."""
    found = {each.name: Rib(each, asn) for each in isps}
    for name, rib in found.items():
        for prefix in told.get(name, ()):
            rib.apply(Update("127.0.0.11", (ip_network(prefix),), (), (ASNS[name],)))
        rib.changes()
    return found


ASNS = {"riverbank": 64511, "hillside": 64512, "lakeside": 64513}


def in_force(steering: SteeringSettings, told: Mapping[str, Sequence[str]], *, refused: bool = True) -> Present:
    """As it is once all routers told everything. ``refused``: as where ISPs change, not only plan."""
    taken = ribs(steering.isps, steering.bgp.asn, told) if steering.bgp.asn else {}
    announced = [each for rib in taken.values() for each in rib.everything()]
    table = Table.of(steering.routes, steering.sites, announced, geography=geography_of(steering.geographic.blocks))
    held = {name: tuple(rib.held(refused=refused)) for name, rib in taken.items()}
    return Present(steering, table, {name: rib.prefixes for name, rib in taken.items()}, held)


PRESENT = in_force(IN_FORCE, TOLD)


def planned(isp: Isp) -> PlannedIsp:
    return PlannedIsp(name=isp.name, asn=isp.asn, sites=isp.sites, allow=isp.allow, prefixes_max=isp.prefixes_max)


def moved(question: RehearseQuestion) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(each.prefix, each.before, each.after) for each in rehearsed(PRESENT, question, 100).moved]
