"""From where the page may fetch: the edges, and nobody who only says so."""

from __future__ import annotations

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.control.gateway.application import application
from nearcast.control.gateway.origins import EDGES_MAX, POLL_S, Origins, allowed, joined
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.model.site import ApplianceReport
from tests.fakes import FakeDiscovery, World
from tests.unit.control.gateway.conftest import client_of

OWN = ("https://films.example.org", "https://films.example.org:8090")
EDGE = "https://fra.example.org:8101"


def report(name: str, address: str) -> ApplianceReport:
    return ApplianceReport(id=name, site="s", address=address, health_url="http://x/h", state="up", holdings={})


@pytest.mark.parametrize(
    "address",
    [
        "http://x; script-src *",
        "http://x http://y",
        "https://*",
        "javascript:alert(1)",
        "http://",
        "http://x/path",
        "http://x:1\r\nx: y",
        "",
    ],
)
def test_what_an_edge_says_of_itself_does_not_write_the_policy(address: str) -> None:
    assert joined((EDGE,), [address]) == (EDGE,)


def test_addresses_of_every_form_are_taken_once() -> None:
    found = joined((EDGE,), ["http://127.0.0.1:8101/", "http://[::1]:8101", "https://edge-1.example.org", EDGE])
    assert found == (EDGE, "http://127.0.0.1:8101", "http://[::1]:8101", "https://edge-1.example.org")


def test_none_known_or_too_many_is_anywhere() -> None:
    assert allowed(OWN, (EDGE,)) == (*OWN, EDGE)
    assert allowed(OWN, ()) == ()
    assert allowed(OWN, tuple(f"https://e{number}.example.org" for number in range(EDGES_MAX + 1))) == ()


async def test_edges_that_join_are_learnt_of_and_kept() -> None:
    discovery, clock = FakeDiscovery(), VirtualClock()
    origins = Origins(discovery, OWN, [EDGE], clock)
    await origins.start()
    try:
        await discovery.report(report("bom-1", "https://bom.example.org"))
        await clock.advance(POLL_S)
        assert origins() == (*OWN, EDGE, "https://bom.example.org")
        discovery.down = True
        await clock.advance(POLL_S)
        discovery.down = False
        discovery.reports.clear()
        await clock.advance(POLL_S)
        assert "https://bom.example.org" in origins(), "an edge that is away for a while is allowed when it comes back"
    finally:
        await origins.stop()


async def test_the_policy_of_every_answer_follows(world: World, clock: VirtualClock) -> None:
    origins = Origins(world.discovery, OWN, [EDGE], clock)
    app = application(GatewaySettings(), world.clients, None, world.keys, clock, origins=origins)
    async with client_of(app) as client:
        policy = (await client.get("/healthz")).headers["content-security-policy"]
        (sources,) = (each.split()[1:] for each in policy.split("; ") if each.startswith("connect-src "))
        assert {*OWN, EDGE} < set(sources)
        assert not {"http:", "https:"} & set(sources)
        await world.discovery.report(report("bom-1", "https://bom.example.org"))
        await origins.poll()
        assert "https://bom.example.org" in (await client.get("/healthz")).headers["content-security-policy"]
