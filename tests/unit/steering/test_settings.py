from __future__ import annotations

import pytest

from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.steering.routes.settings import GeographicSettings, Isp
from nearcast.steering.settings import SteeringSettings


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
    with pytest.raises(ValueError, match="two routes"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="::/0", sites=("a",)),) * 2)
    with pytest.raises(ValueError, match="not a prefix"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="ten", sites=("a",)),))
