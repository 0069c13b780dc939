"""Two hosts on this machine, by addresses of their own and with the certificates that hosts and edges have."""

from __future__ import annotations

import datetime
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.base import rpc
from nearcast.base.metrics import Metrics, ScrapeQuestion
from nearcast.base.paths import Home
from nearcast.system import issue, peers, start, tls
from tests.ports import free_port

ELSEWHERE = "127.0.0.2"
"""Stands for an address of another host: to Nearcast only 127.0.0.1 is this machine."""
TOKEN = "right"
EDGE = peers.Appliance("london", "lon-1")
REFUSED = (httpx.HTTPError, ssl.SSLError)
"""A server that speaks TLS 1.3 refuses a certificate only after the handshake, which httpx does not map."""
LATER = datetime.timedelta(days=tls.LEAF_DAYS - tls.RENEW_DAYS + 1)


def main_home(folder: Path) -> Home:
    found = Home(folder / "a")
    start.prepare(found)
    return found


def other_home(tmp_path: Path, secrets_of: Home | None = None) -> Home:
    found = Home(tmp_path / "b")
    if secrets_of:
        shutil.copytree(secrets_of.secrets, found.secrets)
    start.prepare(found)
    return found


def edge_of(home: Home, public_name: str = "", days_ago: float = 0.0) -> rpc.Mutual:
    """The certificate of an edge that has joined the system of ``home`` some days ago."""
    authority = tls.load_authority(home.secrets)
    assert authority
    key = ec.generate_private_key(ec.SECP256R1())
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    chain = issue.sign_edge(key.public_key(), EDGE.uri, public_name, authority, then)
    pem = issue.pem(authority[0])
    return rpc.Mutual(authority=pem, certificate=chain.encode(), key=tls.key_pem(key), server_name=peers.SERVER_NAME)


@asynccontextmanager
async def serving(home: Home, services: dict[type, object], token: str = TOKEN) -> AsyncIterator[str]:
    address = f"{ELSEWHERE}:{free_port(ELSEWHERE)}"
    server = await rpc.serve(services, address, token=token, mutual=peers.mutual(home))
    try:
        yield address
    finally:
        await server.stop(0)


async def scrape(address: str, mutual: rpc.Mutual | None, token: str = TOKEN) -> None:
    channels = rpc.Channels(token=token, mutual=lambda: mutual)
    try:
        await rpc.connect(Metrics, lambda: (address,), channels, timeout_s=3).scrape(ScrapeQuestion())
    finally:
        await channels.close()
