from __future__ import annotations

import asyncio

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.model.services import ApplianceList, DropQuestion, InstanceList, Nothing, ReportAnswer
from nearcast.model.site import Appliance, ApplianceReport, Instance
from nearcast.steering.health import FAILED_POLLS, KEPT_S, HealthView

from .making import appliance


class Registry:
    """A discovery that says what the test wants."""

    def __init__(self, *appliances: Appliance) -> None:
        self.now = appliances
        self.dead = False

    async def appliances(self, question: Nothing, /) -> ApplianceList:
        if self.dead:
            raise Unavailable("dead")
        return ApplianceList(appliances=self.now)

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
