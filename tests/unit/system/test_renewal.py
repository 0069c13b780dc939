"""An edge's certificate while it runs: renewed in time, taken by all that dials, and told of when it lapses."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import structlog.testing
from cryptography import x509

from nearcast.base import rpc
from nearcast.base.clock import VirtualClock
from nearcast.base.paths import Home
from nearcast.system import admission, checks, part, peers, renewal, secrets, tls
from nearcast.system.serve import open_system
from tests.ports import free_port
from tests.unit.system.hosts import EDGE, ELSEWHERE, edge_of, main_home, serving

__all__ = ["home"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return main_home(tmp_path)


def joined_home(tmp_path: Path, mutual: rpc.Mutual, address: str = f"{ELSEWHERE}:1") -> Home:
    """The home of an edge that joined; the fleet is at ``address``."""
    away = Home(tmp_path / "away")
    away.make()
    secrets.write(away.secrets / tls.AUTHORITY, mutual.authority)
    secrets.write(peers.path(away), mutual.certificate + mutual.key)
    given = secrets.Joined(appliance=EDGE.id, site=EDGE.site, keys={"rpc": "00" * 32})
    secrets.write(away.secrets / secrets.JOINED, msgspec.json.encode(given))
    away.config.write_text(f'[network.addresses]\nfleet = "{address}"\n')
    return away


async def test_an_edge_has_its_certificate_renewed_a_while_before_it_ends(home: Home, tmp_path: Path) -> None:
    services: dict[type, object] = {admission.Renewal: admission.EdgeRenewal(home.secrets)}
    async with serving(home, services, token="") as address:
        away = joined_home(tmp_path, edge_of(home, days_ago=200), address)
        system = open_system(away)
        assert not await renewal.renew(system), "there is time"
        mutual = edge_of(home, days_ago=tls.LEAF_DAYS * 2 / 3 + 1)
        secrets.write(peers.path(away), mutual.certificate + mutual.key)
        assert await renewal.renew(system)
        assert not await renewal.renew(system), "once is enough"
    renewed = peers.mutual(away)
    assert renewed
    assert renewed != mutual
    names = x509.load_pem_x509_certificate(renewed.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE.uri]
    secrets.write(peers.path(away), mutual.certificate + mutual.key)
    assert not await renewal.renew(system), "nobody answers: the old one stays"
    assert peers.mutual(away) == mutual
    await system.channels.close()
    assert not await renewal.renew(open_system(home)), "a host makes its own"


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.01)


async def test_an_edge_that_runs_renews_when_the_main_host_is_back(home: Home, tmp_path: Path) -> None:
    """Its start was months ago, the main host was away for a while, and all that dials takes the new certificate."""
    mutual = edge_of(home, days_ago=300)
    address = f"{ELSEWHERE}:{free_port()}"
    away = joined_home(tmp_path, mutual, address)
    clock = VirtualClock(time.time())
    opened = open_system(away)
    system = part.System(away, opened.settings, secrets.keys_for(away.secrets, ("rpc",)), clock)
    taken: list[rpc.Mutual | None] = []
    keeper = asyncio.create_task(renewal.keep(system, lambda: taken.append(peers.mutual(away))))
    await until(lambda: bool(clock._sleepers))
    await clock.advance(renewal.LOOK_S)
    await until(lambda: bool(clock._sleepers))
    assert not taken, "nobody answers yet"
    dialled = system.channels.at(address)
    server = await rpc.serve({admission.Renewal: admission.EdgeRenewal(home.secrets)}, address, mutual=peers.mutual(home))
    try:
        async with asyncio.timeout(60):
            while not taken:
                if clock._sleepers:
                    await clock.advance(renewal.LOOK_S)
                await asyncio.sleep(0.05)
        assert taken[0] != mutual
        await until(lambda: bool(clock._sleepers))
        assert system.channels.at(address) is not dialled, "calls show the new one"
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await system.channels.close()
        await server.stop(0)


async def test_an_edge_whose_certificate_has_lapsed_says_so_and_takes_the_next_join(home: Home, tmp_path: Path) -> None:
    away = joined_home(tmp_path, edge_of(home, days_ago=400))
    clock = VirtualClock(time.time())
    system = part.System(away, open_system(away).settings, secrets.keys_for(away.secrets, ("rpc",)), clock)
    taken: list[str] = []
    keeper = asyncio.create_task(renewal.keep(system, lambda: taken.append("new")))
    with structlog.testing.capture_logs() as lines:
        await until(lambda: bool(clock._sleepers))
        await clock.advance(renewal.LOOK_S)
        await until(lambda: bool(clock._sleepers))
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=10)
    assert [(each["event"], each["ended"]) for each in lines] == [("the certificate has lapsed", f"{ended:%Y-%m-%d}")]
    assert "nearcast edge invite lon-1 --site london" in lines[0]["hint"]
    fresh = edge_of(home)
    secrets.write(peers.path(away), fresh.certificate + fresh.key)
    await clock.advance(renewal.LOOK_S)
    await until(lambda: bool(taken))
    keeper.cancel()
    await asyncio.wait([keeper])
    await system.channels.close()


def test_what_doctor_says_of_a_certificate() -> None:
    now = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
    edge_joined = secrets.Joined(appliance=EDGE.id, site=EDGE.site, keys={})
    for days, state in ((31, "good"), (29, "note"), (-1, "bad")):
        ends = now + datetime.timedelta(days=days)
        host, away = (checks.certificate_check("certificate", ends, now, joined) for joined in (None, edge_joined))
        assert (host.state, away.state) == (state, state)
        assert f"{ends:%Y-%m-%d}" in host.found
        if state != "good":
            assert "nearcast up" in host.cure
            assert "nearcast edge invite lon-1 --site london" in away.cure


def test_doctor_looks_at_the_certificate(home: Home, tmp_path: Path) -> None:
    away = joined_home(tmp_path, edge_of(home, days_ago=400))
    for where, state in ((home, "good"), (away, "bad")):
        peers.prepare(where)
        assert [each.state for each in checks.run(where) if each.name == "certificate"] == [state]
