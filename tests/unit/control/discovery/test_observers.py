"""Who looks at whom, and whose votes are handed on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.control.discovery import DiscoveryService
from nearcast.control.discovery.observers import OBSERVERS, SILENT_S, Circle, assigned
from nearcast.model.services import AppliancesQuestion, DropQuestion
from nearcast.model.site import ApplianceReport, Site
from nearcast.policy.sight import TOLD_MAX


def report(name: str, site: str = "", **changes: object) -> ApplianceReport:
    address = f"http://{name}.example"
    made = ApplianceReport(id=name, site=site or f"s-{name}", address=address, health_url=f"{address}/healthz", state="up", holdings={})
    return replace(made, **changes)


def observers_of(found: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return {observer for observer, those in found.items() if name in those}


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from(["x", "y", "z"]), min_size=1, max_size=40))
def test_each_has_its_observers_and_none_too_many(sites: dict[str, str]) -> None:
    found = assigned(sites, list(sites), list(sites))
    for name in sites:
        observers = observers_of(found, name)
        assert name not in observers
        assert len(observers) == min(OBSERVERS, len(sites) - 1)
        assert len(found[name]) <= TOLD_MAX


def test_other_sites_come_first() -> None:
    sites = {f"a{number}": "a" for number in range(10)} | {f"b{number}": "b" for number in range(10)}
    found = assigned(sites, list(sites), list(sites))
    for name, site in sites.items():
        assert all(sites[each] != site for each in observers_of(found, name))


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from(["x", "y", "z"]), min_size=1, max_size=40),
    st.sets(st.sampled_from(["x", "y", "z"])),
)
def test_who_only_its_network_reaches_is_looked_at_from_within_alone(networks: dict[str, str], shut: set[str]) -> None:
    closed = {name for name, network in networks.items() if network in shut}
    found = assigned(networks, list(networks), list(networks), closed)
    for name, network in networks.items():
        observers = observers_of(found, name)
        assert name not in observers
        inside = sum(each == network for each in networks.values()) - 1
        if name in closed:
            assert {networks[each] for each in observers} <= {network}
            assert len(observers) == min(OBSERVERS, inside)
        else:
            assert len(observers) == min(OBSERVERS, len(networks) - 1)


def test_observers_are_of_as_many_networks_as_there_are() -> None:
    networks = {f"{network}{number}": network for network in "abcde" for number in range(8)}
    found = assigned(networks, list(networks), list(networks))
    for name in networks:
        assert len({networks[each] for each in observers_of(found, name)}) == OBSERVERS


async def test_the_sites_say_who_is_looked_at_from_where() -> None:
    circle = Circle([Site(name="shut", isp="acme", reach="isp"), Site(name="near", isp="acme"), Site(name="far")])
    there = [report("a", "shut"), report("b", "near"), report("c", "far"), report("d", "unknown")]
    circle.choose(there, 0.0)
    assert "a" in circle.asked("b"), "of the same ISP"
    assert not any("a" in circle.asked(each) for each in "cd")
    assert all("c" in circle.asked(each) for each in "abd")


def test_one_that_comes_or_goes_changes_little() -> None:
    sites = {f"e{number}": f"s{number % 20}" for number in range(200)}
    before = assigned(sites, list(sites), list(sites))
    left = {name: site for name, site in sites.items() if name != "e7"}
    after = assigned(left, list(left), list(left))
    changed = [name for name in left if observers_of(before, name) != observers_of(after, name)]
    assert len(changed) < 20


def test_a_lonely_site_does_not_look_at_everybody() -> None:
    sites = {f"a{number}": "a" for number in range(500)} | {"b": "b"}
    found = assigned(sites, list(sites), list(sites))
    assert len(found["b"]) <= TOLD_MAX
    assert all(len(observers_of(found, name)) == OBSERVERS for name in sites)


def test_who_may_not_be_looked_at_is_not() -> None:
    circle = Circle()
    circle.choose([report("a"), report("b", health_url="http://169.254.169.254/secrets"), report("c")], 0.0)
    assert {name for each in "abc" for name in circle.asked(each)} == {"a", "c"}
    assert circle.asked("nobody") == {}


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.discovery = DiscoveryService(clock=self.clock)

    async def report(self, *reports: ApplianceReport) -> dict[str, dict[str, str]]:
        return {each.id: (await self.discovery.report(each)).probe for each in reports}

    async def votes(self) -> dict[str, dict[str, bool]]:
        found = await self.discovery.appliances(AppliancesQuestion())
        return {each.report.id: each.votes for each in found.appliances} | {name: dict(each) for name, each in found.silent.items()}


async def test_votes_are_handed_on_while_they_are_fresh() -> None:
    world = World()
    all_three = [report(name) for name in "abc"]
    await world.report(*all_three)
    await world.clock.advance(1.0)
    asked = await world.report(*all_three)
    asked = await world.report(*all_three)
    assert asked["a"] == {"b": "http://b.example/healthz", "c": "http://c.example/healthz"}
    await world.report(report("a", seen={"b": False, "c": True}), report("b", seen={"c": True}), report("c"))
    assert await world.votes() == {"a": {}, "b": {"a": False}, "c": {"a": True, "b": True}}
    await world.clock.advance(1.3)
    await world.report(report("b", seen={"c": False}))
    assert await world.votes() == {"a": {}, "b": {}, "c": {"b": False}}


async def test_what_nobody_asked_for_is_cut() -> None:
    world = World()
    await world.report(report("a"), report("b"))
    await world.clock.advance(1.0)
    await world.report(report("a"), report("b"))
    hostile = {f"x{number}": False for number in range(5000)} | {"a": False, "b": False}
    await world.report(report("a", seen=hostile, addresses=tuple(f"203.0.113.{number % 256}" for number in range(5000))))
    (found, _) = (await world.discovery.appliances(AppliancesQuestion())).appliances
    assert found.report.seen == {"b": False}, "not even itself"
    assert len(found.report.addresses) == 16
    assert await world.votes() == {"a": {}, "b": {"a": False}}


async def test_who_falls_silent_is_looked_at_for_a_while_and_who_says_good_bye_is_not() -> None:
    world = World()
    everyone = [report(name) for name in "abcd"]
    for _ in range(3):
        await world.report(*everyone)
        await world.clock.advance(1.0)
    await world.discovery.drop(DropQuestion(id="d"))
    for _ in range(3):
        await world.report(*everyone[:2])
        await world.clock.advance(1.0)
    asked = await world.report(*everyone[:2])
    assert asked == {"a": {"b": "http://b.example/healthz", "c": "http://c.example/healthz"}} | {
        "b": {"a": "http://a.example/healthz", "c": "http://c.example/healthz"}
    }
    await world.report(report("a", seen={"c": True}), report("b", seen={"c": False}))
    assert (await world.votes())["c"] == {"a": True, "b": False}
    await world.clock.advance(SILENT_S)
    await world.report(*everyone[:2])
    await world.clock.advance(1.0)
    asked = await world.report(*everyone[:2])
    assert set(asked["a"]) == {"b"}


async def test_who_is_silent_but_answers_is_looked_at_for_ever() -> None:
    world = World()
    await world.report(*[report(name) for name in "abc"])
    for _ in range(int(2 * SILENT_S)):
        await world.clock.advance(1.0)
        asked = await world.report(report("a", seen={"c": True}), report("b", seen={"c": False}))
    assert set(asked["a"]) == {"b", "c"}
    assert (await world.votes())["c"] == {"a": True, "b": False}
    for _ in range(int(SILENT_S) + 2):
        await world.clock.advance(1.0)
        asked = await world.report(report("a", seen={"c": False}), report("b", seen={"c": False}))
    assert set(asked["a"]) == {"b"}, "nobody reaches it any more"
