"""Processes by hand: they answer for their services, over sockets and TCP, tell readiness as systemd wants it, and end clean."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from structlog.testing import capture_logs

from nearcast.base import rpc
from nearcast.base.errors import Internal, Unavailable
from nearcast.base.metrics import Metrics, ScrapeQuestion
from nearcast.base.paths import Home
from nearcast.model.services import Accounts, BookmarksQuestion, History, LinkQuestion, Nothing
from nearcast.system import part, start
from nearcast.system.part import System
from nearcast.system.serve import UnknownProcess, open_system, serve
from tests.ports import free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    found = Home(tmp_path / "h")
    start.prepare(found)
    monkeypatch.setenv("NEARCAST_HOME", str(found.root))
    return found


@asynccontextmanager
async def serving(home: Home, *names: str) -> AsyncIterator[tuple[System, asyncio.subprocess.Process]]:
    """A process that serves ``names``, once it has said that it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(home.run / "notify.sock"))
        listener.setblocking(False)
        environment = {**os.environ, "NOTIFY_SOCKET": str(home.run / "notify.sock")}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "nearcast.system.serve", *names, env=environment, stderr=-3)
        system = open_system(home)
        try:
            async with asyncio.timeout(120):
                message = await asyncio.get_running_loop().sock_recv(listener, 1000)
            assert f"READY=1\nMAINPID={process.pid}\n".encode() == message
            yield system, process
        finally:
            await system.channels.close()
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def test_several_in_one_process_over_tcp_and_sockets(home: Home) -> None:
    port = free_port()
    home.config.write_text(f'[network.addresses]\nrecord = "127.0.0.1:{port}"\n')
    async with serving(home, "browse", "record") as (system, process):
        link = await system.client(Accounts).link(LinkQuestion())
        assert link.email
        assert len((await system.client(Accounts).accounts(Nothing())).accounts) == 1
        assert (await system.client(History).bookmarks(BookmarksQuestion(profile_id="p"))).bookmarks == ()
        scraped = await system.client_at(Metrics, "browse").scrape(ScrapeQuestion())
        assert 'process="browse"' in scraped.families["process_cpu_seconds_total"][2]
        stranger = rpc.Channels(token="guess")
        guess = rpc.connect(History, lambda: (f"127.0.0.1:{port}",), stranger)
        with pytest.raises(Unavailable, match="secret"):
            await guess.bookmarks(BookmarksQuestion(profile_id="p"))
        await stranger.close()

        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nearcast.system.serve", "browse", stderr=asyncio.subprocess.PIPE
        )
        _, said = await second.communicate()
        assert second.returncode == 1
        assert b"NC0201" in said
        assert (await system.client(Accounts).accounts(Nothing())).accounts, "the first goes on"

        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        with pytest.raises(Unavailable):
            await system.client(Accounts, timeout_s=1.0).accounts(Nothing())


async def test_processes_on_different_hosts_speak_mutual_tls(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as free:
        address = f"127.0.0.2:{free.getsockname()[1]}"
    home.config.write_text(f'[network.addresses]\nrecord = "{address}"\n')
    async with serving(home, "record"):
        other = Home(tmp_path / "o")
        shutil.copytree(home.secrets, other.secrets)
        other.config.write_text(home.config.read_text())
        system = open_system(other)
        assert (await system.client(History).bookmarks(BookmarksQuestion(profile_id="p"))).bookmarks == ()
        await system.channels.close()
        async with grpc.aio.insecure_channel(address) as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/nearcast.History/bookmarks")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(b"", timeout=3, metadata=(("nearcast-token", system.rpc_token),))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, "knowing the secret is not enough"


async def test_without_certificates_nothing_is_served_to_other_hosts(home: Home) -> None:
    for name in ("authority.pem", "authority.key"):
        (home.secrets / name).unlink()
    home.config.write_text('[network.addresses]\nrecord = "0.0.0.0:1"\n')
    with pytest.raises(rpc.Unprotected, match=r"0\.0\.0\.0:1"):
        await serve(open_system(home, ["record"]), ["record"])


async def test_nothing_is_served_to_others_in_plain_http(home: Home) -> None:
    home.config.write_text('[network]\nhost = "0.0.0.0"\n')
    with pytest.raises(start.Plain) as caught:
        await serve(open_system(home, ["gateway"]), ["gateway"])
    assert "up --public" in caught.value.hint


async def test_after_a_kill_the_next_one_takes_the_place(home: Home) -> None:
    async with serving(home, "record") as (system, process):
        process.kill()
        await process.wait()
    (home.run / "notify.sock").unlink()
    async with serving(home, "record") as (system, _):
        assert (await system.client(History).bookmarks(BookmarksQuestion(profile_id="p"))).bookmarks == ()


async def test_a_name_that_is_none(home: Home) -> None:
    with pytest.raises(UnknownProcess, match="there is no process playy"):
        await serve(open_system(home, ["playy"]), ["playy"])


async def test_why_a_part_has_ended_by_itself_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failed() -> None:
        raise ZeroDivisionError("the fourth wall")

    async def build(system: System, name: str) -> part.Part:
        return part.Part(failed=failed)

    monkeypatch.setattr(part, "builder", lambda _: build)
    with capture_logs() as said, pytest.raises(Internal, match="a part of record has ended") as caught:
        await serve(open_system(home, ["record"]), ["record"])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [(each["process"], each["exc_info"]) for each in said if each["log_level"] == "error"] == [("record", caught.value.__cause__)]
