from __future__ import annotations

import asyncio

from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.control.discovery.service import left_out
from nearcast.model.services import ApplianceList, AppliancesQuestion, DropQuestion, InstanceList, Nothing, OrderQuestion, ReportAnswer
from nearcast.model.site import Appliance, ApplianceReport, Instance, Order
from nearcast.policy.holdings import digest
from nearcast.steering.health import FAILED_POLLS, KEPT_S, HealthView

from .making import appliance


class Registry:
    """A discovery that says what the test wants."""

    def __init__(self, *appliances: Appliance) -> None:
        self.now = appliances
        self.dead = False

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        if self.dead:
            raise Unavailable("dead")
        return ApplianceList(appliances=self.now)

    async def order(self, question: OrderQuestion, /) -> Order:
        return Order(appliance=question.appliance)

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        return ReportAnswer(lease_s=3)

    async def register(self, question: Instance, /) -> ReportAnswer:
        return ReportAnswer(lease_s=3)

    async def instances(self, question: Nothing, /) -> InstanceList:
        return InstanceList(instances=())

    async def drop(self, question: DropQuestion, /) -> Nothing:
        return Nothing()


def source(view: HealthView) -> str:
    return view.source


async def test_reports_age_between_polls() -> None:
    clock = VirtualClock()
    view = HealthView(Registry(appliance("a", age_s=0.5)), poll_s=0.5, clock=clock)
    await view.poll()
    await clock.advance(2.0)
    assert view.source == "live"
    assert [each.age_s for each in view.appliances()] == [2.5]


async def test_the_view_stands_still_while_discovery_is_dead() -> None:
    clock = VirtualClock()
    registry = Registry(appliance("a", age_s=0.5))
    view = HealthView(registry, poll_s=0.5, clock=clock)
    await view.poll()
    registry.dead = True
    for _ in range(FAILED_POLLS):
        assert source(view) == "live"
        await view.poll()
    await clock.advance(600)
    assert source(view) == "last-known"
    assert [(each.report.id, each.age_s) for each in view.appliances()] == [("a", 0.5)]
    registry.dead = False
    await view.poll()
    assert source(view) == "live"


async def test_a_discovery_that_was_just_started_does_not_empty_the_map() -> None:
    registry = Registry(appliance("a"))
    view = HealthView(registry, poll_s=0.5, clock=VirtualClock())
    await view.poll()
    registry.now = ()
    await view.poll()
    await view.poll()
    assert view.source == "last-known"
    assert len(view.appliances()) == 1


async def test_who_departed_is_remembered_for_a_while() -> None:
    clock = VirtualClock()
    registry = Registry(appliance("a", age_s=0.5), appliance("b", age_s=0.5))
    view = HealthView(registry, poll_s=0.5, clock=clock)
    await view.poll()
    await clock.advance(4.0)
    registry.now = (appliance("b", age_s=2.9),)
    await view.poll()
    assert [each.report.id for each in view.appliances()] == ["b"]
    assert [(each.report.id, each.age_s) for each in view.everyone()] == [("b", 2.9), ("a", 4.5)]
    await clock.advance(KEPT_S)
    await view.poll()
    await view.poll()
    assert [each.report.id for each in view.everyone()] == ["b"]
    registry.now = (appliance("a"), appliance("b"))
    await view.poll()
    assert len(view.everyone()) == 2, "who comes back counts once"


async def test_before_anything_was_heard_it_is_not_live() -> None:
    registry = Registry()
    registry.dead = True
    view = HealthView(registry, poll_s=0.5, clock=VirtualClock())
    await view.poll()
    assert view.source == "last-known"
    assert view.appliances() == ()


async def test_it_asks_at_its_interval() -> None:
    clock = VirtualClock()
    registry = Registry(appliance("a"))
    view = HealthView(registry, poll_s=0.5, clock=clock)
    await view.start()
    registry.now = (appliance("b"),)
    await asyncio.sleep(0)
    await clock.advance(0.5)
    await asyncio.sleep(0.01)
    assert [each.report.id for each in view.appliances()] == ["b"]
    await view.stop()


async def test_holdings_are_asked_for_once_and_kept() -> None:
    asked: list[dict[str, str]] = []

    class Sparing(Registry):
        async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
            asked.append(question.known)
            return ApplianceList(appliances=left_out(self.now, question.known))

    first = appliance("a", holds={"t": 5})
    first = replace(first, report=replace(first.report, holdings_digest=digest({"t": 5})))
    view = HealthView(Sparing(first), poll_s=0.5, clock=VirtualClock())
    await view.poll()
    await view.poll()
    assert asked == [{}, {"a": digest({"t": 5})}]
    assert [each.report.holdings for each in view.appliances()] == [{"t": 5}]
