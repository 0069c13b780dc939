"""Reports are believed by their MAC, and once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from nearcast.base.clock import VirtualClock
from nearcast.control.discovery import DiscoveryService
from nearcast.delivery.edge.report import Signing
from nearcast.model.services import AppliancesQuestion
from nearcast.model.site import ApplianceReport
from nearcast.policy import capability
from nearcast.system.keyed import TOLD_S, Forged, KeyedDiscovery

ROOT = bytes(range(32))
REPORT = ApplianceReport(
    id="fra-1",
    site="frankfurt",
    address="http://127.0.0.1:8101",
    health_url="http://127.0.0.1:8101/healthz",
    state="up",
    holdings={"t_one": 5, "t_two": 6},
    seen={"fra-2": True},
)


def key_of(appliance: str) -> str:
    return capability.edge_key(ROOT, appliance)


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.registry = CollectorRegistry()
        self.start()

    def start(self) -> None:
        """Discovery, anew."""
        self.registry = CollectorRegistry()
        self.discovery = KeyedDiscovery(DiscoveryService(clock=self.clock), ROOT, self.clock, registry=self.registry)

    def refused(self, reason: str) -> float:
        return self.registry.get_sample_value("nearcast_discovery_refused_reports_total", {"reason": reason}) or 0.0

    async def states(self) -> dict[str, str]:
        found = await self.discovery.appliances(AppliancesQuestion())
        return {each.report.id: each.report.state for each in found.appliances}


@pytest.fixture
async def world() -> World:
    made = World()
    await made.clock.advance(1.0)
    return made


async def test_a_signed_report_is_taken_in(world: World) -> None:
    answer = await world.discovery.report(Signing(key_of("fra-1"), world.clock).sign(REPORT))
    assert answer.issued_ms == 0
    assert await world.states() == {"fra-1": "up"}


async def test_what_is_not_signed_by_it_is_refused_and_changes_nothing(world: World) -> None:
    signing = Signing(key_of("fra-1"), world.clock)
    await world.discovery.report(signing.sign(REPORT))
    good = signing.sign(replace(REPORT, state="down"))
    other = Signing(key_of("fra-2"), world.clock)
    forged = [
        replace(good, mac=""),
        replace(good, mac="0" * 64),
        replace(good, mac=good.mac.upper()),
        replace(good, mac="é"),
        replace(good, state="up"),
        replace(good, issued_ms=good.issued_ms + 1),
        replace(good, load="full"),
        replace(good, address="http://elsewhere.example"),
        replace(good, seen={"fra-2": False}),
        replace(good, holdings={}),
        other.sign(REPORT),
        Signing(capability.edge_key(bytes(32), "fra-1"), world.clock).sign(REPORT),
    ]
    for each in forged:
        with pytest.raises(Forged):
            await world.discovery.report(each)
    assert await world.states() == {"fra-1": "up"}
    assert world.refused("forged") == len(forged)
    await world.discovery.report(good)
    assert await world.states() == {"fra-1": "down"}


async def test_one_that_is_sent_again_changes_nothing(world: World) -> None:
    signing = Signing(key_of("fra-1"), world.clock)
    first = signing.sign(REPORT)
    await world.discovery.report(first)
    last = signing.sign(replace(REPORT, state="down"))
    await world.discovery.report(last)
    for old in (first, last):
        assert (await world.discovery.report(old)).issued_ms == last.issued_ms
    assert await world.states() == {"fra-1": "down"}
    await world.clock.advance(3600)
    assert await world.states() == {}
    await world.discovery.report(first)
    assert await world.states() == {}, "not even long after the appliance fell silent"
    assert world.refused("old") == 3


async def test_nothing_of_before_a_start_is_played_again(world: World) -> None:
    recorded = Signing(key_of("fra-1"), world.clock).sign(REPORT)
    await world.clock.advance(5.0)
    world.start()
    assert (await world.discovery.report(recorded)).issued_ms > recorded.issued_ms
    assert await world.states() == {}


@pytest.mark.parametrize("off_s", [-1e9, -3600.0, 0.0, 3600.0])
async def test_nobody_is_locked_out_by_a_clock(world: World, off_s: float) -> None:
    """One that is wrong, and one that is set right or back while the agent was down."""
    for offset_s in (off_s, 0.0, off_s):
        clock = VirtualClock(world.clock.now_s() + offset_s)
        signing = Signing(key_of("fra-1"), clock)
        answer = await world.discovery.report(signing.sign(REPORT))
        if answer.issued_ms:
            assert signing.above(answer.issued_ms)
            assert (await world.discovery.report(signing.sign(REPORT))).issued_ms == 0
        assert await world.states() == {"fra-1": "up"}
        await world.clock.advance(2.0)
        assert (await world.discovery.report(signing.sign(REPORT))).issued_ms == 0


async def test_the_log_tells_now_and_then(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(50):
        with pytest.raises(Forged):
            await world.discovery.report(REPORT)
    assert capsys.readouterr().out.count("not believed") == 1
    await world.clock.advance(TOLD_S)
    with pytest.raises(Forged):
        await world.discovery.report(REPORT)
    assert "refused=50" in capsys.readouterr().out


async def test_a_clock_that_is_set_back_while_it_runs() -> None:
    clock = VirtualClock()
    signing = Signing(key_of("fra-1"), clock)
    first = signing.sign(REPORT)
    clock._start_s -= 1000
    assert signing.sign(REPORT).issued_ms == first.issued_ms + 1
    assert not signing.above(5)


@given(st.integers(0, 2**62), st.floats(allow_nan=False), st.dictionaries(st.text(max_size=5), st.integers(0, 2**62)))
def test_the_mac_outlives_the_wire(issued_ms: int, figure: float, held: dict[str, int]) -> None:
    key = capability.report_key(key_of("fra-1"))
    report = replace(REPORT, issued_ms=issued_ms, sent_bps=figure, holdings=held)
    mac = capability.report_mac(key, report)
    received = msgspec.msgpack.decode(msgspec.msgpack.encode(replace(report, mac=mac)), type=ApplianceReport)
    assert capability.report_mac(key, received) == mac
    turned = replace(report, holdings=dict(reversed(list(held.items()))))
    assert capability.report_mac(key, turned) == mac


def test_whole_numbers_in_a_field_of_fractions() -> None:
    key = capability.report_key(key_of("fra-1"))
    assert capability.report_mac(key, replace(REPORT, limit_bps=5)) == capability.report_mac(key, replace(REPORT, limit_bps=5.0))


def test_keys_are_for_one_purpose() -> None:
    first = key_of("fra-1")
    assert len({capability.report_key(first).hex(), capability.fill_token(first), first, capability.report_key(key_of("fra-2")).hex()}) == 4
