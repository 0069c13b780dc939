"""What an edge that joined may ask of the main host, and what it may not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.base import rpc
from nearcast.base.clock import SystemClock
from nearcast.base.config import BadConfiguration
from nearcast.base.errors import BadInput, Remote
from nearcast.base.paths import Home
from nearcast.control.discovery import DiscoveryService
from nearcast.delivery.edge.report import Signing
from nearcast.model.fill import Assignment
from nearcast.model.services import (
    AppliancesQuestion,
    Causes,
    CausesQuestion,
    DemandQuestion,
    Discovery,
    DropQuestion,
    Fill,
    FillQuestion,
    Insight,
    Nothing,
    OffloadQuestion,
    OrderQuestion,
)
from nearcast.model.site import ApplianceReport, Instance
from nearcast.model.traffic import TrafficReport
from nearcast.policy import capability
from nearcast.system import admission, dismissal, edge, issue, peers, secrets, settings
from nearcast.system.keyed import KeyedDiscovery
from tests.unit.system.hosts import EDGE, edge_of, main_home, serving


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return main_home(tmp_path)


def report(**changes: str) -> ApplianceReport:
    told = {"id": "lon-1", "site": "london", "address": "http://x", "health_url": "http://x/healthz", "state": "up", **changes}
    return ApplianceReport(holdings={}, **told)  # type: ignore[arg-type]  # all of them are texts


class Answering:
    """A fill and an insight that take whatever they are told."""

    def __init__(self) -> None:
        self.recorded: list[TrafficReport] = []

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        return Assignment(version=1, items=None)

    async def causes(self, question: CausesQuestion, /) -> Causes:
        return Causes(causes={})

    async def record(self, question: TrafficReport, /) -> Nothing:
        self.recorded.append(question)
        return Nothing()


@asynccontextmanager
async def door(
    home: Home, mutual: rpc.Mutual | None, insight: Answering | None = None
) -> AsyncIterator[tuple[Discovery, Fill, admission.Renewal, DiscoveryService]]:
    discovery = DiscoveryService(clock=SystemClock())
    answering: Any = insight or Answering()
    services: dict[type, object] = {
        Discovery: admission.EdgeDiscovery(discovery, home.secrets),
        Fill: admission.EdgeFill(answering, home.secrets),
        Insight: admission.EdgeInsight(answering, home.secrets),
        admission.Renewal: admission.EdgeRenewal(home.secrets),
    }
    async with serving(home, services, token="") as address:
        channels = rpc.Channels(mutual=lambda: mutual)
        yield (
            rpc.connect(Discovery, lambda: (address,), channels),
            rpc.connect(Fill, lambda: (address,), channels),
            rpc.connect(admission.Renewal, lambda: (address,), channels),
            discovery,
        )
        await channels.close()


async def test_an_edge_speaks_for_itself_alone(home: Home) -> None:
    async with door(home, edge_of(home)) as (discovery, fill, _, registry):
        await discovery.report(report())
        mine = Instance(id="edge-lon-1/i_1", service="edge-lon-1", address="unix:x", host="h", started_at=0.0)
        await discovery.register(mine)
        assert [each.report.id for each in (await registry.appliances(AppliancesQuestion())).appliances] == ["lon-1"]
        await fill.assignment(FillQuestion(appliance="lon-1"))
        foreign = Instance(id="edge-lon-10/i_1", service="edge-lon-10", address="unix:x", host="h", started_at=0.0)
        for refused in (
            discovery.report(report(id="fra-1")),
            discovery.report(report(site="frankfurt")),
            discovery.register(foreign),
            discovery.register(msgspec.structs.replace(mine, service="license", address="10.0.0.66:1")),
            discovery.drop(DropQuestion(id="fra-1")),
            discovery.drop(DropQuestion(id=foreign.id)),
            discovery.appliances(AppliancesQuestion()),
            discovery.instances(Nothing()),
            discovery.order(OrderQuestion(appliance="lon-1", draining=True)),
            fill.assignment(FillQuestion(appliance="fra-1")),
            fill.causes(CausesQuestion(appliance="fra-1", title_ids=("t_1",))),
        ):
            with pytest.raises(Remote) as caught:
                await refused
            assert caught.value.code == "NC0219"
        await discovery.drop(DropQuestion(id="edge-lon-1/i_1"))
        await discovery.drop(DropQuestion(id="lon-1"))


async def test_an_edge_tells_of_its_own_traffic_alone(home: Home) -> None:
    answering: Any = Answering()
    services: dict[type, object] = {Insight: admission.EdgeInsight(answering, home.secrets)}
    async with serving(home, services, token="") as address:
        channels = rpc.Channels(mutual=lambda: edge_of(home))
        insight = rpc.connect(Insight, lambda: (address,), channels)
        mine = TrafficReport(appliance="lon-1", site="london", run="r", sequence=0)
        await insight.record(mine)
        assert answering.recorded == [mine]
        for refused in (
            insight.record(msgspec.structs.replace(mine, appliance="lon-2")),
            insight.record(msgspec.structs.replace(mine, site="paris")),
            insight.demand(DemandQuestion(since_day=0)),
            insight.offload(OffloadQuestion()),
        ):
            with pytest.raises(Remote) as caught:
                await refused
            assert caught.value.code == "NC0219"
        await channels.close()
    assert answering.recorded == [mine]


async def test_an_edge_is_given_its_own_key_and_no_newer_one(home: Home) -> None:
    root = bytes(32)
    keyed = KeyedDiscovery(DiscoveryService(clock=SystemClock()), root)
    services: dict[type, object] = {Discovery: admission.EdgeDiscovery(keyed, home.secrets)}
    async with serving(home, services, token="") as address:
        channels = rpc.Channels(mutual=lambda: edge_of(home))
        discovery = rpc.connect(Discovery, lambda: (address,), channels)
        signing = Signing(capability.edge_key(root, "lon-1"), SystemClock())
        assert (await discovery.report(signing.sign(report()))).key == ""
        await keyed.order(OrderQuestion(appliance="lon-1", rotate_key=True))
        answer = await discovery.report(signing.sign(report()))
        assert (answer.key_generation, answer.key) == (1, capability.edge_key(root, "lon-1", 1))
        answer = await discovery.report(signing.sign(msgspec.structs.replace(report(), key_generation=1)))
        assert (answer.key_generation, answer.key) == (1, ""), "who has it is not told it again"
        await channels.close()


async def test_a_host_is_no_edge(home: Home) -> None:
    async with door(home, peers.mutual(home)) as (discovery, _, _, _):
        with pytest.raises(Remote, match="joined"):
            await discovery.report(report())


@pytest.mark.parametrize("public_name", ["", "lon.example.org"])
async def test_a_certificate_is_renewed_under_its_own_names(home: Home, public_name: str) -> None:
    async with door(home, edge_of(home, public_name, days_ago=300)) as (_, _, renewal, _):
        key = ec.generate_private_key(ec.SECP256R1())
        answer = await renewal.renew(admission.RenewQuestion(request=issue.make_request(key)))
        found = x509.load_pem_x509_certificate(answer.chain.encode())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE.uri]
        assert (names.get_values_for_type(x509.DNSName) or [""])[0] == public_name
        with pytest.raises(Remote, match="request"):
            await renewal.renew(admission.RenewQuestion(request="nonsense"))


async def test_a_certificate_that_lasts_is_not_renewed(home: Home) -> None:
    """Otherwise a stolen one would be good for ever."""
    async with door(home, edge_of(home, days_ago=200)) as (_, _, renewal, _):
        with pytest.raises(Remote, match="good for a while") as caught:
            await renewal.renew(admission.RenewQuestion(request=issue.make_request(ec.generate_private_key(ec.SECP256R1()))))
        assert caught.value.code == "NC0003"


async def test_a_dismissed_edge_is_out_at_once(home: Home) -> None:
    now_s = time.time()
    async with door(home, edge_of(home, days_ago=300)) as (discovery, fill, renewal, _):
        await discovery.report(report())
        dismissal.dismiss(home, EDGE.id, now_s)
        for refused in (
            discovery.report(report()),
            discovery.register(Instance(id="edge-lon-1/i", service="edge-lon-1", address="unix:x", host="h", started_at=0.0)),
            fill.assignment(FillQuestion(appliance=EDGE.id)),
            renewal.renew(admission.RenewQuestion(request=issue.make_request(ec.generate_private_key(ec.SECP256R1())))),
        ):
            with pytest.raises(Remote, match="dismissed") as caught:
                await refused
            assert caught.value.code == "NC0230"
    async with door(home, edge_of(home, days_ago=-0.01)) as (discovery, _, _, _):
        await discovery.report(report())  # the certificate of a later join


def test_who_can_be_dismissed(home: Home, tmp_path: Path) -> None:
    for name in ("../root.key", "Lon 1", ""):
        with pytest.raises(BadInput, match="no name"):
            dismissal.dismiss(home, name, 1.0)
    with pytest.raises(dismissal.OwnAppliance):
        dismissal.dismiss(home, "fra-1", 1.0)
    with pytest.raises(secrets.SecretMissing):
        dismissal.dismiss(Home(tmp_path / "bare"), EDGE.id, 1.0)
    dismissal.dismiss(home, EDGE.id, 5.0)
    dismissal.check(home.secrets, EDGE.id, 5.1)
    dismissal.check(home.secrets, "lon-2", 1.0)
    with pytest.raises(dismissal.Dismissed):
        dismissal.check(home.secrets, EDGE.id, 5.0)
    dismissal.dismiss(home, "lon-2", 6.0)
    assert [dismissal.since_s(home.secrets, each) for each in (EDGE.id, "lon-2", "lon-3")] == [5.0, 6.0, None]
    (home.secrets / dismissal.FILE).write_text("")
    with pytest.raises(dismissal.BadList):
        dismissal.check(home.secrets, "lon-3", 6.0)


def test_the_parent_of_an_edge(home: Home, tmp_path: Path) -> None:
    appliance = settings.Settings().appliances[0]
    here = edge.with_parent(home, settings.Settings(), appliance)
    assert (here.parent_url, here.parent_certificate) == ("http://127.0.0.1:8100", "")
    far = settings.load(home, {"NEARCAST_NETWORK__ORIGIN_URL": "https://10.0.0.5:8100"})
    found = edge.with_parent(home, far, appliance)
    assert (found.parent_url, found.parent_name, found.parent_key) == (far.network.origin_url, peers.SERVER_NAME, str(peers.path(home)))
    own = msgspec.structs.replace(appliance, parent_url="https://cdn.example.org")
    assert edge.with_parent(home, far, own) == own
    bare = Home(tmp_path / "bare")
    bare.make()
    with pytest.raises(rpc.Unprotected):
        edge.with_parent(bare, far, appliance)
    with pytest.raises(BadConfiguration):
        settings.load(home, {"NEARCAST_NETWORK__ORIGIN_URL": "http://10.0.0.5:8100"})
