"""Discovery as a service: reports, ages, leases, and reports that make no sense."""

from __future__ import annotations

import msgspec
import pytest
import structlog

from nearcast.base.clock import VirtualClock
from nearcast.control.discovery import DiscoveryService
from nearcast.control.discovery.service import BadReport
from nearcast.model.services import AppliancesQuestion, DropQuestion, Nothing
from nearcast.model.site import ApplianceReport, Instance
from nearcast.policy.holdings import digest

REPORT = ApplianceReport(
    id="fra-1",
    site="frankfurt",
    address="http://127.0.0.1:8101",
    health_url="http://127.0.0.1:8101/h",
    state="up",
    holdings={"t_one": 5},
)
INSTANCE = Instance(id="play-1", service="playback", address="unix:/run/play.sock", host="here", started_at=1.0)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def discovery(clock: VirtualClock) -> DiscoveryService:
    return DiscoveryService(clock=clock)


async def test_an_appliance_is_there_with_its_age_until_its_lease_is_over(discovery: DiscoveryService, clock: VirtualClock) -> None:
    assert (await discovery.report(REPORT)).lease_s == 1.5
    await clock.advance(1.2)
    (appliance,) = (await discovery.appliances(AppliancesQuestion())).appliances
    assert (appliance.report, appliance.age_s) == (msgspec.structs.replace(REPORT, holdings_digest=digest(REPORT.holdings)), 1.2)
    await discovery.report(msgspec.structs.replace(REPORT, state="draining"))
    await clock.advance(1.2)
    assert [each.report.state for each in (await discovery.appliances(AppliancesQuestion())).appliances] == ["draining"]
    await clock.advance(0.4)
    assert (await discovery.appliances(AppliancesQuestion())).appliances == ()


async def test_instances_and_appliances_are_dropped_by_id(discovery: DiscoveryService) -> None:
    await discovery.report(REPORT)
    await discovery.register(INSTANCE)
    assert (await discovery.instances(Nothing())).instances == (INSTANCE,)
    for entry_id in ("fra-1", "play-1", "nobody"):
        await discovery.drop(DropQuestion(id=entry_id))
    assert (await discovery.instances(Nothing())).instances == ()
    assert (await discovery.appliances(AppliancesQuestion())).appliances == ()


@pytest.mark.parametrize(
    ("asked_s", "given_s"), [(0.0, 1.0), (-5.0, 1.0), (1e12, 300.0), (float("nan"), 1.0), (float("inf"), 300.0), (2.0, 2.0)]
)
async def test_a_lease_is_bounded(discovery: DiscoveryService, asked_s: float, given_s: float) -> None:
    assert (await discovery.report(msgspec.structs.replace(REPORT, lease_s=asked_s))).lease_s == given_s


@pytest.mark.parametrize("field", ["id", "site", "address"])
@pytest.mark.parametrize("value", ["", "x" * 201])
async def test_a_report_without_its_names_is_refused(discovery: DiscoveryService, field: str, value: str) -> None:
    with pytest.raises(BadReport, match=field):
        await discovery.report(msgspec.structs.replace(REPORT, **{field: value}))
    assert (await discovery.appliances(AppliancesQuestion())).appliances == ()


async def test_addresses_that_are_none_are_told_of_once(discovery: DiscoveryService) -> None:
    with structlog.testing.capture_logs() as lines:
        for addresses in (("foo",), ("foo",), ("192.0.2.1",), ("bar",), ("bar",)):
            await discovery.report(msgspec.structs.replace(REPORT, addresses=addresses))
    assert [each["left_out"] for each in lines if each["log_level"] == "warning"] == [("foo",), ("bar",)]
    (appliance,) = (await discovery.appliances(AppliancesQuestion())).appliances
    assert appliance.report.addresses == ()
