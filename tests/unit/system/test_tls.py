"""Certificates of the own authority: a TLS client that trusts it, and nothing else, is content."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from nearcast.base.paths import Home
from nearcast.system import settings, tls

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)


def public(home: Home, name: str = "films.example.org") -> settings.Settings:
    return settings.load(home, {"NEARCAST_NETWORK__PUBLIC_NAME": name})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.make()
    return found


def leaf(home: Home) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home.secrets / "public.pem").read_bytes())


def test_nothing_is_made_on_loopback(home: Home) -> None:
    assert tls.prepare(home, settings.Settings()) is None
    assert tls.current(home, settings.Settings()) is None


async def test_a_client_that_trusts_the_authority_is_content(home: Home) -> None:
    found = tls.prepare(home, public(home, "localhost"))
    assert found
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(found.certificate, found.key)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(home.secrets / "authority.pem"))
    try:
        for name in ("localhost", "127.0.0.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
            assert await reader.read() == b"hello"
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="other.example.org")
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(), server_hostname="localhost")
    finally:
        server.close()


def test_keys_are_for_their_owner_alone(home: Home) -> None:
    tls.prepare(home, public(home))
    assert {stat.S_IMODE((home.secrets / name).stat().st_mode) for name in ("authority.key", "public.key")} == {0o600}


def test_a_good_certificate_is_kept_and_an_old_or_foreign_one_renewed(home: Home) -> None:
    tls.prepare(home, public(home), NOW)
    first = leaf(home)
    tls.prepare(home, public(home), NOW + datetime.timedelta(days=300))
    assert leaf(home) == first
    tls.prepare(home, public(home), NOW + datetime.timedelta(days=tls.LEAF_DAYS - tls.RENEW_DAYS + 1))
    second = leaf(home)
    assert second != first
    tls.prepare(home, public(home, "192.0.2.7"), NOW + datetime.timedelta(days=tls.LEAF_DAYS - tls.RENEW_DAYS + 2))
    assert leaf(home) != second
    assert (leaf(home).not_valid_after_utc - leaf(home).not_valid_before_utc).days <= 398


def test_the_authority_stays(home: Home) -> None:
    tls.prepare(home, public(home), NOW)
    before = (home.secrets / "authority.pem").read_bytes()
    tls.prepare(home, public(home, "other.example.org"), NOW)
    assert (home.secrets / "authority.pem").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", "under_score!", "-" * 3 + ".x" + "y" * 70, "http://x"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(tls.BadPublicName):
        tls.names_of(name)


def test_configured_certificates_win(home: Home) -> None:
    configured = settings.load(home, {"NEARCAST_TLS__CERTIFICATE": "own.pem", "NEARCAST_TLS__KEY": "/etc/own.key"})
    found = tls.current(home, configured)
    assert found
    assert (found.certificate, found.key) == (home.root / "own.pem", Path("/etc/own.key"))
