"""Each rule of the ranking has its words."""

from __future__ import annotations

from msgspec.structs import replace

from nearcast.model.route import Candidate
from nearcast.steering.standings import standings


def way(site: str, prefix: str = "20.0.0.0/8", source: str = "isp", **said: object) -> Candidate:
    return replace(Candidate(site=site, source=source, prefix=prefix, as_path=(1,)), **said)


def test_each_way_is_told_by_the_first_rule_that_put_it_there() -> None:
    ways = (
        way("a", "20.1.0.0/16", "config", as_path=()),
        way("b", "20.1.0.0/16"),
        way("c", "20.1.0.0/16", as_path=(1, 2)),
        way("d", "20.1.0.0/16", as_path=(1, 2), med=5),
        way("e", "20.1.0.0/16", as_path=(1, 2), med=5, order=1),
        way("f", "20.1.0.0/16", as_path=(1, 2), med=5, order=1, distance_km=10),
        way("a", "20.1.0.0/16", as_path=(1, 2), med=5, order=1, distance_km=20),
        way("g"),
        way("h", "20.0.0.0/9", "geography", as_path=()),
        way("i", "0.0.0.0/0", "config", as_path=()),
    )
    assert standings(ways) == [
        "longest prefix",
        "told by BGP, not by the configuration",
        "longer AS path",
        "higher MED",
        "later in the order",
        "farther",
        "named above",
        "shorter prefix",
        "nearest of those that no route names",
        "default",
    ]
