"""An origin on another host: the edge's nginx and its agent show their certificate, verify the origin's, and are turned away without."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.base.web import Tls
from nearcast.delivery.fill.source import BadSourceCertificate, secured
from nearcast.model.fill import ORIGIN, FillSource
from nearcast.policy import capability
from nearcast.system import issue, tls

from ..making import Edge, Origin, film, publish, running_edge, running_origin, until

NAME = "host.nearcast"
DATA = film(1_500_000, seed=4)


@pytest.fixture
def ours(tmp_path: Path) -> tuple[tls.Authority, Path]:
    """An authority, and a folder with its certificate and one of a host's."""
    now = datetime.datetime.now(datetime.UTC)
    authority = tls.make_authority("test", now)
    (tmp_path / "authority.pem").write_bytes(issue.pem(authority[0]))
    issue.make_host(tmp_path / "host.pem", "spiffe://nearcast/host", NAME, authority, now)
    key = ec.generate_private_key(ec.SECP256R1())
    chain = issue.sign_edge(key.public_key(), "spiffe://nearcast/edge/frankfurt/fra-1", "", authority, now)
    (tmp_path / "edge.pem").write_bytes(chain.encode() + tls.key_pem(key))
    return authority, tmp_path


@asynccontextmanager
async def edge_of(origin: Origin, folder: Path, certificates: Path, **settings: object) -> AsyncIterator[Edge]:
    edge = Edge(folder, origin, parent_ca=str(certificates / "authority.pem"), **settings)
    await edge.agent.start()
    try:
        yield edge
    finally:
        await edge.client.aclose()
        await edge.agent.stop()


async def test_by_mutual_tls_films_are_filled_and_fetched(ours: tuple[tls.Authority, Path], tmp_path: Path) -> None:
    _, folder = ours
    host, own = folder / "host.pem", str(folder / "edge.pem")
    async with running_origin(tls=Tls(certificate=host, key=host, clients=folder / "authority.pem")) as origin:
        held, absent = await publish(origin.store, DATA), await publish(origin.store, film(900_000, seed=5))
        certificate = {"parent_certificate": own, "parent_key": own}
        async with edge_of(origin, tmp_path / "edge", folder, parent_name=NAME, **certificate) as edge:
            await edge.hold(held)
            assert (await edge.get(edge.path(held.file.name))).content == DATA
            assert (await edge.get(edge.path(absent.file.name))).content == film(900_000, seed=5)
        for wrong in ({"parent_name": NAME}, {"parent_name": "other.nearcast", **certificate}):
            async with edge_of(origin, tmp_path / f"wrong-{len(wrong)}", folder, **wrong) as edge:
                before = len(origin.asked)
                assert (await edge.get(edge.path(absent.file.name))).status_code == 502
                edge.orders.set(held)
                await until(lambda: edge.agent.transfers.problem)
                assert len(origin.asked) == before, "the origin was not even asked"


async def test_a_tier_with_a_certificate_of_the_systems_own_authority(ours: tuple[tls.Authority, Path], tmp_path: Path) -> None:
    """As after `up --public`: the origin is on this machine, other appliances are called by https, for the fill and on misses."""
    authority, folder = ours
    certificate, key = tls.make_leaf("cix.example.org", *authority, datetime.datetime.now(datetime.UTC))
    own = folder / "cix.pem"
    own.write_bytes(issue.pem(certificate) + tls.key_pem(key))
    async with running_edge(tmp_path / "tier", id="cix-1", tls_certificate=str(own), tls_key=str(own)) as tier:
        held, absent = await publish(tier.origin.store, DATA), await publish(tier.origin.store, film(900_000, seed=5), "t_absent")
        token = capability.fill_token(tier.key)
        above = FillSource(id="cix-1", kind="tier", url=f"https://localhost:{tier.settings.port}", token=token)
        for authority_path, answered in ((str(folder / "authority.pem"), 200), ("", 502)):
            edge = Edge(tmp_path / f"edge-{answered}", Origin(tier.origin.store))
            edge.peer_ca = authority_path
            edge.agent = edge.make_agent()
            edge.orders.set(held, sources=(above,), parents=(above, ORIGIN))
            try:
                await edge.agent.start()
                conf = edge.folder / "conf" / "nginx.conf"
                await until(lambda: f":{tier.settings.port} " in conf.read_text(), 20.0)  # noqa: B023  (done with before the next round)
                await until(lambda: edge.agent.transfers.problem or not edge.agent.transfers.missing_bytes())  # noqa: B023
                assert (edge.agent.transfers.problem is None) == (answered == 200)
                status = 0
                for _ in range(300):  # nginx takes its parents some seconds after they are written down
                    status = (await edge.get(edge.path(absent.file.name, "t_absent"))).status_code
                    if status == 200 or answered != 200:
                        break
                    await asyncio.sleep(0.05)
                assert status == answered
            finally:
                await edge.client.aclose()
                await edge.agent.stop()


async def test_an_edge_serves_viewers_with_the_certificate_it_joined_with(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority, key = tls.make_authority("test", now), ec.generate_private_key(ec.SECP256R1())
    chain = issue.sign_edge(key.public_key(), "spiffe://nearcast/edge/frankfurt/fra-1", "lon.example.org", authority, now)
    own = tmp_path / "peer.pem"
    own.write_bytes(chain.encode() + tls.key_pem(key))
    async with running_edge(tmp_path / "edge", tls_certificate=str(own), tls_key=str(own)) as edge:
        trusting = ssl.create_default_context(cadata=issue.pem(authority[0]).decode())
        for name, good in (("lon.example.org", True), (NAME, False)):
            async with httpx.AsyncClient(verify=trusting, trust_env=False) as viewer:
                asked = viewer.get(f"{edge.settings.public_address}/healthz", extensions={"sni_hostname": name})
                if good:
                    assert (await asked).text == "fra-1\n"
                else:
                    with pytest.raises(httpx.ConnectError):
                        await asked


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    bad = str(tmp_path / "bad.pem")
    for arguments in ((bad,), (str(tmp_path / "none.pem"),), ("", bad, bad)):
        with pytest.raises(BadSourceCertificate):
            secured(*arguments)
