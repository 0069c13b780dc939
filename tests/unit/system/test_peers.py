"""Between hosts: mutual TLS by the system's own authority, and nothing without it."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import grpc.aio
import httpx
import pytest
from cryptography import x509

from nearcast.base import rpc
from nearcast.base.errors import Unavailable
from nearcast.base.metrics import Metrics, ProcessMetrics
from nearcast.base.paths import Home
from nearcast.base.web import Receive, Scope, Send, serve_asgi
from nearcast.delivery.fill import source
from nearcast.system import issue, peers, start, tls
from tests.ports import free_port
from tests.unit.system.hosts import EDGE, ELSEWHERE, LATER, REFUSED, TOKEN, edge_of, main_home, other_home, scrape, serving


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return main_home(tmp_path)


async def test_hosts_that_hold_the_same_secrets_call_each_other(home: Home, tmp_path: Path) -> None:
    async with serving(home, {Metrics: ProcessMetrics("x")}) as address:
        await scrape(address, peers.mutual(other_home(tmp_path, home)))


async def test_nobody_else_is_answered(home: Home, tmp_path: Path) -> None:
    async with serving(home, {Metrics: ProcessMetrics("x")}) as address:
        with pytest.raises(Unavailable):
            await scrape(address, peers.mutual(other_home(tmp_path)))
        with pytest.raises(Unavailable, match="secret"):
            await scrape(address, edge_of(home), token="")  # the system's authority, but an edge knows no secret
        anybody = grpc.ssl_channel_credentials((home.secrets / tls.AUTHORITY).read_bytes())
        options = [("grpc.ssl_target_name_override", peers.SERVER_NAME)]
        for channel in (grpc.aio.insecure_channel(address), grpc.aio.secure_channel(address, anybody, options=options)):
            async with channel:
                ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/nearcast.Metrics/scrape")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ask(b"", timeout=3, metadata=(("nearcast-token", TOKEN),))
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_edge_cannot_pass_for_a_host(home: Home) -> None:
    """Callers look for the one name that servers bear, and no edge is given it."""
    address = f"{ELSEWHERE}:{free_port(ELSEWHERE)}"
    server = await rpc.serve({Metrics: ProcessMetrics("x")}, address, token="right", mutual=edge_of(home, "lon.example.org"))
    try:
        with pytest.raises(Unavailable):
            await scrape(address, peers.mutual(home))
    finally:
        await server.stop(0)


async def test_without_certificates_nothing_listens_or_is_called_past_this_machine(tmp_path: Path) -> None:
    bare = Home(tmp_path / "bare")
    bare.make()
    assert peers.mutual(bare) is None
    for address in (f"{ELSEWHERE}:{free_port(ELSEWHERE)}", f"0.0.0.0:{free_port(ELSEWHERE)}", f"host.example:{free_port(ELSEWHERE)}"):
        with pytest.raises(rpc.Unprotected) as caught:
            await rpc.serve({Metrics: ProcessMetrics("x")}, address, token="right")
        assert caught.value.code == "NC0015"
        assert "nearcast edge join" in caught.value.hint
        with pytest.raises(rpc.Unprotected):
            await scrape(address, None)
    with pytest.raises(rpc.Unprotected):
        peers.web_tls(bare)


@pytest.mark.parametrize(
    ("address", "past"),
    [
        ("unix:/run/x.sock", False),
        ("127.0.0.1:1", False),
        ("[::1]:1", False),
        ("localhost:1", False),
        ("127.0.0.2:1", True),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("10.0.0.5:1", True),
        ("fleet.example:1", True),
    ],
)
def test_elsewhere(address: str, past: bool) -> None:
    assert rpc.elsewhere(address) is past


def test_our_certificate_is_kept_while_it_lasts(home: Home) -> None:
    first = peers.mutual(home)
    assert stat.S_IMODE(peers.path(home).stat().st_mode) == 0o600
    assert peers.mutual(home) == first
    assert peers.mutual(home, datetime.datetime.now(datetime.UTC) + LATER) != first
    (home.secrets / tls.AUTHORITY_KEY).unlink()
    (home.secrets / tls.AUTHORITY).unlink()
    start.prepare(home)
    renewed = peers.mutual(home)
    assert renewed
    assert first
    assert renewed.authority != first.authority, "one of another authority is of no use"
    x509.load_pem_x509_certificate(renewed.certificate).verify_directly_issued_by(x509.load_pem_x509_certificate(renewed.authority))


def test_what_a_certificate_says_of_its_holder() -> None:
    assert peers.appliance_of(EDGE.uri) == EDGE
    for uri in (peers.HOST, "", "spiffe://nearcast/edge/london", EDGE.uri + "/x", "spiffe://other/edge/london/lon-1"):
        assert peers.appliance_of(uri) is None


# --- the origin -------------------------------------------------------------------------------------------------------


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_a_web_server_for_peers_answers_nobody_else(home: Home) -> None:
    server = await serve_asgi(hello, ELSEWHERE, 0, tls=peers.web_tls(home))
    try:
        trusting = ssl.create_default_context(cafile=str(home.secrets / tls.AUTHORITY))
        for certificate in ("", str(peers.path(home))):
            if certificate:
                trusting.load_cert_chain(certificate)
            async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
                asked = client.get(server.url, extensions={"sni_hostname": peers.SERVER_NAME})
                if certificate:
                    assert (await asked).text == "hello"
                else:
                    with pytest.raises(REFUSED):
                        await asked
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(REFUSED):
                await client.get(server.url.replace("https", "http"))
    finally:
        await server.stop(0.2)


async def test_an_agents_client_shows_a_renewed_certificate(home: Home, tmp_path: Path) -> None:
    """The context is the client's for the life of the process; the certificate is not."""
    server = await serve_asgi(hello, ELSEWHERE, 0, tls=peers.web_tls(home))
    lapsed, fresh = edge_of(home, days_ago=400), edge_of(home)
    shown = tmp_path / "peer.pem"
    shown.write_bytes(lapsed.certificate + lapsed.key)
    context = source.secured(str(home.secrets / tls.AUTHORITY), str(shown), str(shown))
    try:
        async with source.client(context) as client:
            with pytest.raises(REFUSED):
                await client.get(server.url, extensions={"sni_hostname": peers.SERVER_NAME})
            shown.write_bytes(fresh.certificate + fresh.key)
            source.show(context, str(shown), str(shown))
            assert (await client.get(server.url, extensions={"sni_hostname": peers.SERVER_NAME})).text == "hello"
            shown.write_text("nonsense")
            with pytest.raises(source.BadSourceCertificate):
                source.show(context, str(shown), str(shown))
    finally:
        await server.stop(0.2)


async def test_a_certificate_for_viewers_is_none_for_peers(home: Home, tmp_path: Path) -> None:
    """What `--public` makes is of the same authority, but only for serving."""
    authority = tls.load_authority(home.secrets)
    assert authority
    leaf, key = tls.make_leaf("films.example.org", *authority, datetime.datetime.now(datetime.UTC))
    own = tmp_path / "own.pem"
    own.write_bytes(issue.pem(leaf) + tls.key_pem(key))
    trusting = ssl.create_default_context(cafile=str(home.secrets / tls.AUTHORITY))
    trusting.load_cert_chain(own)
    server = await serve_asgi(hello, ELSEWHERE, 0, tls=peers.web_tls(home))
    try:
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            with pytest.raises(REFUSED):
                await client.get(server.url, extensions={"sni_hostname": peers.SERVER_NAME})
    finally:
        await server.stop(0.2)
