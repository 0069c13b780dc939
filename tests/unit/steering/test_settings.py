from __future__ import annotations

import pytest

from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.steering.settings import SteeringSettings


def test_mistakes_are_found_when_the_configuration_is_read() -> None:
    with pytest.raises(ValueError, match=r"'tokio'.*did you mean 'tokyo'"):
        SteeringSettings(sites=(Site(name="tokyo"),), routes=(Route(prefix="::/0", sites=("tokio",)),))
    with pytest.raises(ValueError, match="two sites named a"):
        SteeringSettings(sites=(Site(name="a"), Site(name="a")), routes=())
    with pytest.raises(ValueError, match="not a prefix"):
        SteeringSettings(sites=(Site(name="a"),), routes=(Route(prefix="ten", sites=("a",)),))
