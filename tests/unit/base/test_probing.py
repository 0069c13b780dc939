"""Looks at health URLs: servers that answer, close, freeze, refuse, lie."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nearcast.base import probing
from nearcast.base.probing import Look, Prober, Target

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfra-1"


class Server:
    """Answers each request with ``answer``; None: not at all."""

    def __init__(self, port: int = 0) -> None:
        self.answer: bytes | None = GOOD
        self.connections = 0
        self.requests = 0
        self.closing = False
        self._wanted = port
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if tls else "http"
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted, ssl=tls)
        self._wanted = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._wanted}/healthz"

    @property
    def port(self) -> int:
        return self._wanted

    def shut(self) -> None:
        """Take no more connections, and go on to answer over those that are there."""
        self._server.close()

    async def stop(self) -> None:
        self._server.close()
        for each in list(self._writers):
            each.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self.answer is not None:
                    writer.write(self.answer)
                if self.closing:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def running() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Found:
    def __init__(self) -> None:
        self.looks: list[tuple[str, Look]] = []

    def __call__(self, name: str, look: Look) -> None:
        self.looks.append((name, look))

    async def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.looks[-10:]
            await asyncio.sleep(0.01)

    async def next(self, count: int = 1) -> list[Look]:
        self.looks.clear()
        await self.until(lambda: len(self.looks) >= count)
        return [look for _, look in self.looks]


@asynccontextmanager
async def prober(found: Found, interval_s: float = 0.03, timeout_s: float = 0.4) -> AsyncIterator[Prober]:
    made = Prober(found, interval_s=interval_s, timeout_s=timeout_s, rng=random.Random(1))
    try:
        yield made
    finally:
        await made.stop()


def looking_at(server: Server, text: str = "fra-1") -> dict[str, Target]:
    return {"a": Target(server.url, text)}


async def test_it_looks_again_and_again_over_kept_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "FRESH_S", 2.0)  # slow enough for a busy machine to lose no look on the way
    found = Found()
    async with running() as server, prober(found, interval_s=0.2) as looks:
        looks.watch(looking_at(server))
        began_s = time.monotonic()
        await found.until(lambda: server.connections >= 4)
        assert {look for _, look in found.looks} == {"reached"}
        took_s = time.monotonic() - began_s
        assert took_s > probing.FRESH_S, "one on each of two lines, and then a fresh one now and then"
        assert server.requests >= 3 * server.connections


async def test_who_takes_no_new_connections_is_refused_though_the_kept_ones_answer() -> None:
    found = Found()
    async with running() as server, prober(found) as looks:
        looks.watch(looking_at(server))
        await found.next(4)
        server.shut()
        await found.until(lambda: found.looks[-3:] == [("a", "refused")] * 3)
        await server.start()
        await found.until(lambda: found.looks[-3:] == [("a", "reached")] * 3)


async def test_who_lets_new_connections_wait_is_lost_though_the_kept_ones_answer() -> None:
    found = Found()
    async with running() as server, prober(found) as looks:
        looks.watch(looking_at(server))
        await found.next(4)
        server.shut()
        with socket.socket() as full:  # whose queue nobody empties (listen(2))
            full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            full.bind(("127.0.0.1", server.port))
            full.listen(0)
            waiting = [socket.socket() for _ in range(3)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", server.port))
            await found.until(lambda: found.looks[-3:] == [("a", "lost")] * 3)
            for each in waiting:
                each.close()


async def test_who_is_killed_is_refused_and_reached_again() -> None:
    found = Found()
    async with running() as server, prober(found) as looks:
        looks.watch(looking_at(server))
        await found.next(4)
        await server.stop()
        await found.until(lambda: found.looks[-3:] == [("a", "refused")] * 3)
        await server.start()
        await found.until(lambda: found.looks[-3:] == [("a", "reached")] * 3)


async def test_who_freezes_is_lost() -> None:
    found = Found()
    async with running() as server, prober(found) as looks:
        looks.watch(looking_at(server))
        await found.next(4)
        server.answer = None
        await found.until(lambda: found.looks[-3:] == [("a", "lost")] * 3)
        server.answer = GOOD
        await found.until(lambda: found.looks[-3:] == [("a", "reached")] * 3)


async def test_who_takes_connections_and_never_answers_is_lost() -> None:
    """As the kernel does for a process that is stopped."""
    found = Found()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with prober(found) as looks:
            looks.watch({"a": Target(f"http://127.0.0.1:{silent.getsockname()[1]}/healthz", "fra-1")})
            assert set(await found.next(3)) == {"lost"}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfra-2",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nfra-1",
        b"HTTP/1.1 200 OK\r\n\r\nfra-1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nfra-1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nfra-1",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\xff" * 100_000,
        b"HTTP/1.1\r\n\r\n",
    ],
)
async def test_other_answers_are_refusals(answer: bytes) -> None:
    found = Found()
    async with running() as server, prober(found) as looks:
        server.answer = answer
        looks.watch(looking_at(server))
        assert set(await found.next(3)) == {"refused"}


async def test_a_server_that_closes_after_each_answer_is_reached() -> None:
    """With a word before (``Connection: close``) or without."""
    found = Found()
    async with running() as server, prober(found) as looks:
        server.closing = True
        looks.watch(looking_at(server))
        assert set(await found.next(8)) == {"reached"}
        server.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nfra-1\n"
        assert set(await found.next(8)) == {"reached"}


async def test_targets_come_and_go() -> None:
    found = Found()
    async with running() as one, running() as two, prober(found) as looks:
        looks.watch({"a": Target(one.url, "fra-1"), "b": Target(two.url, "fra-1")})
        await found.until(lambda: {name for name, _ in found.looks} == {"a", "b"})
        looks.watch({"b": Target(two.url, "fra-1"), "c": Target("http://[bad", "x"), "d": Target("http://127.0.0.1:99999/", "x")})
        await asyncio.sleep(0.05)
        await found.next(4)
        assert {name for name, _ in found.looks} <= {"b", "d"}
        looks.watch({"b": Target(one.url, "other")})
        await found.until(lambda: found.looks[-3:] == [("b", "refused")] * 3)


async def test_a_name_that_there_is_not_is_lost() -> None:
    found = Found()
    async with prober(found, timeout_s=1.0) as looks:
        looks.watch({"a": Target("http://nobody.invalid:1/healthz", "a")})
        assert set(await found.next(1)) == {"lost"}


async def test_we_are_held_up_ourselves_and_blame_nobody() -> None:
    found = Found()
    async with running() as server, prober(found, timeout_s=0.05) as looks:
        looks.watch(looking_at(server))
        await found.next(4)
        found.looks.clear()
        for _ in range(4):
            await asyncio.sleep(0.06)
            time.sleep(0.4)  # noqa: ASYNC251  (what a machine without a free processor does to us)
        await found.next(2)
        assert not [look for _, look in found.looks if look != "reached"]


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own making for ``name``, which lies in ``own.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    (folder / "own.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "own.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "own.pem", folder / "own.key")
    return context


@pytest.mark.parametrize(("name", "known", "warnings"), [("127.0.0.1", True, 0), ("127.0.0.1", False, 1), ("192.0.2.1", True, 1)])
async def test_over_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, known: bool, warnings: int) -> None:
    """One of an authority that we do not know, or of another name, is told of once, and no failure."""
    found, server = Found(), Server()
    await server.start(certificate(tmp_path, name))
    trust = ssl.create_default_context(cafile=str(tmp_path / "own.pem") if known else None)
    looks = Prober(found, interval_s=0.05, timeout_s=1.0, tls=trust)
    looks.watch(looking_at(server))
    assert set(await found.next(24)) == {"reached"}
    await server.stop()
    await found.until(lambda: found.looks[-3:] == [("a", "refused")] * 3)
    await looks.stop()
    await asyncio.sleep(0.3)  # what was in the middle of its handshake ends
    assert capsys.readouterr().out.count("cannot be verified") == warnings


async def test_with_many_targets_the_interval_grows() -> None:
    found = Found()
    async with running() as server:
        looks = Prober(found, interval_s=0.03, timeout_s=0.05, looks_per_s_max=100.0)
        looks.watch({str(number): Target(server.url, "fra-1") for number in range(50)})
        assert looks.interval_s == 0.5
        began_s = time.monotonic()
        await found.until(lambda: server.requests >= 50)
        await asyncio.sleep(1.0)
        assert server.requests <= 50 + 200 * (time.monotonic() - began_s)
        await looks.stop()
