"""The figures of the offload report, on numbers that can be added up by hand."""

from __future__ import annotations

from nearcast.insight.offload import Entry, SiteSums, flows, report, shares
from nearcast.model.site import Site
from nearcast.model.traffic import GenerationFlow

SITES = (Site(name="frankfurt"), Site(name="de-cix", tier="exchange"))


def test_what_a_site_saved_is_what_did_not_come_over_its_link() -> None:
    sums = [
        SiteSums("frankfurt", 700, 200, 100, 130, 30, 250, 0),
        SiteSums("de-cix", 0, 0, 0, 80, 80, 400, 400),
    ]
    found = report(1, sums, {"frankfurt": {"content": 290, "health": 10}}, [], SITES)
    exchange, edge = found.sites
    assert (edge.sent_bytes, edge.entered_bytes, edge.saved_bytes) == (1000, 380, 620)
    assert (edge.tier, exchange.tier, exchange.sent_bytes) == ("edge", "exchange", 0)
    assert edge.misses == {"content": 290, "health": 10}
    assert (found.sent_bytes, found.origin_bytes) == (1000, 30 + 80 + 400), "what the fill took from the origin counts against it"


def test_how_often_a_file_entered_a_site() -> None:
    ledger = [
        Entry(7, "frankfurt", "t_1", "a", "tier", 600, 1000),
        Entry(7, "frankfurt", "t_1", "a", "origin", 400, 1000),
        Entry(7, "frankfurt", "t_1", "a", "peer", 3000, 1000),
        Entry(7, "frankfurt", "t_1", "b", "origin", 1500, 1000),
        Entry(7, "mumbai", "t_1", "a", "peer", 10, 1000),
        Entry(6, "mumbai", "t_1", "new", "tier", 10, 0),
    ]
    assert flows(ledger) == (
        GenerationFlow(generation=7, site="frankfurt", peer_bytes=3000, tier_bytes=600, origin_bytes=1900, most_times=1.5),
        GenerationFlow(generation=7, site="mumbai", peer_bytes=10, tier_bytes=0, origin_bytes=0, most_times=0.0),
        GenerationFlow(generation=6, site="mumbai", peer_bytes=0, tier_bytes=10, origin_bytes=0, most_times=0.0),
    )


def test_shares_of_renditions_by_region_and_of_all() -> None:
    found = shares({("europe", "1080p"): 60, ("europe", "audio"): 20, ("asia", "360p"): 20})
    assert found == {"europe": {"1080p": 0.75, "audio": 0.25}, "asia": {"360p": 1.0}, "": {"1080p": 0.6, "audio": 0.2, "360p": 0.2}}
    assert shares({("europe", "1080p"): 0}) == {}
