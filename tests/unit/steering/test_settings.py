from __future__ import annotations

import math
import re

import msgspec
import pytest

from nearcast.base.config import Unfitting
from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.steering.routes.settings import GeographicSettings, Isp
from nearcast.steering.settings import DEMO_ROUTES, DEMO_SITES, SteeringSettings

NORTH = Isp(name="north", asn=65001, sites=("rack",))


def test_mistakes_are_found_when_the_configuration_is_read() -> None:
    with pytest.raises(ValueError, match=r"'tokio'.*did you mean 'tokyo'"):
        SteeringSettings(sites=(Site(name="tokyo"),), routes=(Route(prefix="::/0", sites=("tokio",)),))
    with pytest.raises(ValueError, match="two sites named a"):
        SteeringSettings(sites=(Site(name="a"), Site(name="a")), routes=())
    north = Isp(name="north", asn=65001, sites=("a",))
    with pytest.raises(ValueError, match=r"no ISP 'nroth'.*did you mean 'north'"):
        SteeringSettings(sites=(Site(name="a", isp="nroth"),), isps=(north,), routes=())
    with pytest.raises(ValueError, match="a stands in the network of south"):
        SteeringSettings(sites=(Site(name="a", isp="south"),), isps=(north, Isp(name="south", asn=65002)), routes=())
    with pytest.raises(ValueError, match="the default route names a, which stands in the network of north"):
        SteeringSettings(sites=(Site(name="a", isp="north"),), isps=(north,), routes=(Route(prefix="::/0", sites=("a",)),))
    with pytest.raises(ValueError, match="no country 'Germany'"):
        SteeringSettings(geographic=GeographicSettings(blocks={"Germany": ("198.51.100.0/24",)}))
    with pytest.raises(ValueError, match="host bits"):
        SteeringSettings(geographic=GeographicSettings(blocks={"DE": ("198.51.100.1/24",)}))
    with pytest.raises(ValueError, match=r"198\.51\.100\.0/24 is given to DE already"):
        SteeringSettings(geographic=GeographicSettings(blocks={"DE": ("198.51.100.0/24",), "FR": ("198.51.100.0/25", "198.51.100.0/24")}))
    with pytest.raises(ValueError, match="two routes"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="::/0", sites=("a",)),) * 2)
    with pytest.raises(ValueError, match="not a prefix"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="ten", sites=("a",)),))
    with pytest.raises(ValueError, match="names a site twice"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="::/0", sites=("a", "a")),))


@pytest.mark.parametrize(
    ("latitude", "longitude", "said"),
    [
        (999.0, 1.0, "999.0 is no latitude"),
        (-90.1, 1.0, "-90.1 is no latitude"),
        (50.0, 180.1, "180.1 is no longitude"),
        (math.nan, 1.0, "nan is no latitude"),
        (50.0, None, "a has no longitude"),
        (None, 8.0, "a has no latitude"),
    ],
)
def test_a_site_is_on_the_earth_or_nowhere(latitude: float | None, longitude: float | None, said: str) -> None:
    with pytest.raises(Unfitting, match=re.escape(said)) as refused:
        SteeringSettings(sites=(Site(name="b"), Site(name="a", latitude=latitude, longitude=longitude)))
    assert refused.value.path[:2] == ("sites", 1)
    assert refused.value.hint


class Counted(str):
    """A name that counts how often it is looked at."""

    __slots__ = ()
    looks = 0

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.looks += 1
        return str.__hash__(self)


def looks_at(count: int) -> int:
    """At the names of so many sites, with as many ISPs."""
    names = [Counted(f"s{number}") for number in range(count)]
    networks = tuple(Counted(f"n{number}") for number in range(count))
    before = Counted.looks
    SteeringSettings(
        sites=tuple(Site(name=name, isp=isp) for name, isp in zip(names, networks, strict=True)),
        isps=tuple(Isp(name=isp, asn=64512, sites=(name,)) for name, isp in zip(names, networks, strict=True)),
        routes=(),
    )
    return Counted.looks - before


def test_ten_times_the_sites_are_ten_times_the_work() -> None:
    assert looks_at(1000) < 11 * looks_at(100)


def test_sites_of_ones_own_need_no_routes() -> None:
    own = SteeringSettings(
        sites=(Site(name="rack", isp="north"), Site(name="x", tier="exchange"), Site(name="b"), Site(name="a")), isps=(NORTH,)
    )
    assert own.routes == (Route(prefix="0.0.0.0/0", sites=("b", "a")), Route(prefix="::/0", sites=("b", "a")))
    assert SteeringSettings(sites=(Site(name="rack", isp="north"),), isps=(NORTH,)).routes == ()
    assert SteeringSettings().routes == SteeringSettings(sites=(*DEMO_SITES, Site(name="b"))).routes == DEMO_ROUTES
    with pytest.raises(Unfitting, match="names the site 'b'"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="::/0", sites=("b",)),))


@pytest.mark.parametrize("told", [{"name": "north\n"}, {"password": "s3cret\n"}])
def test_what_the_speakers_configuration_is_made_of_ends_no_line(told: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="matching regex"):
        msgspec.convert({"name": "north", "asn": 64511, **told}, Isp)
