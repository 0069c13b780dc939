"""From looks at a real service to what the routers are told. The speaker is a fake that remembers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from nearcast.base import keep
from nearcast.base.clock import SystemClock
from nearcast.base.keep import Keeper
from nearcast.base.web import Receive, Scope, Send, serve_asgi
from nearcast.steering.anycast import addresses
from nearcast.steering.anycast.announcer import Announcer, AnycastStatus
from nearcast.steering.anycast.check import HELD_UP_SHARE, Checker, Row, after
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.load import UNKNOWN, SiteLoad
from nearcast.steering.anycast.settings import AnycastCheck, AnycastSettings, Router
from nearcast.steering.anycast.speaker import Speaker
from tests.ports import free_port

from ...delivery.making import until

ROUTER = Router(address="127.0.0.1", asn=64500, local="127.0.0.2")


class Told(Speaker):
    """Remembers every offer, and speaks to nobody."""

    def __init__(self, settings: AnycastSettings, folder: Path) -> None:
        super().__init__(settings, folder, folder / "log", SystemClock())
        self.offers: list[Offer | None] = []

    def tell(self, offer: Offer | None) -> None:
        self.offers.append(offer)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Service:
    """What is looked at."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.delay_s = 0.0

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await asyncio.sleep(self.delay_s)
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


class Host:
    def __init__(self, folder: Path, service: Service, addresses: tuple[str, ...] = ("127.0.0.1",)) -> None:
        self.service = service
        self.load = UNKNOWN
        self.drain, self.status = folder / "drain", folder / "status.json"
        self.settings = AnycastSettings(
            asn=64512,
            addresses=addresses,
            routers=(ROUTER,),
            checks=(AnycastCheck(target=f"http://127.0.0.1:{service.port}/healthz"),),
            check_s=0.02,
            timeout_s=0.5,
            raise_s=0.05,
            lower_s=0.05,
            drain_s=0.2,
        )
        self.told = Told(self.settings, folder)
        self.registry = CollectorRegistry()
        checker = Checker(self.settings.checks, self.settings.timeout_s, SystemClock())
        clock = SystemClock()
        self.announcer = Announcer(self.settings, self.told, None, checker, self._load, self.drain, self.status, clock, self.registry)

    async def _load(self) -> SiteLoad:
        return self.load

    @property
    def offer(self) -> Offer | None:
        return self.told.offers[-1] if self.told.offers else None


@asynccontextmanager
async def a_host(folder: Path, *hosts: str) -> AsyncIterator[Host]:
    service = Service()
    server = await serve_asgi(service.serve, "127.0.0.1", service.port)
    host = Host(folder, service, hosts or ("127.0.0.1",))
    running = asyncio.create_task(host.announcer.run())
    try:
        yield host
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await host.announcer.close()
        await server.stop(0.2)
        assert not host.status.exists()


async def test_announced_while_it_is_well_and_no_longer(tmp_path: Path) -> None:
    async with a_host(tmp_path) as host:
        await until(lambda: host.offer is not None)
        assert host.told.offers == [Offer(med=100, prepends=0)]
        host.service.status = 500
        await until(lambda: host.offer is None)
        assert "answers with status 500" in host.announcer.why
        host.service.status = 200
        await until(lambda: host.offer is not None)
        host.service.delay_s = 1.0
        await until(lambda: host.offer is None)
        assert "in time" in host.announcer.why
        assert len(host.told.offers) == 4


async def test_load_drains_and_a_dead_site(tmp_path: Path) -> None:
    async with a_host(tmp_path) as host:
        await until(lambda: host.offer is not None)
        host.load = SiteLoad(share=0.99)
        await until(lambda: host.offer == Offer(med=400, prepends=2))
        assert "99%" in host.announcer.why
        host.load = SiteLoad(share=0.1)
        await until(lambda: host.offer == Offer(med=100, prepends=0))
        host.drain.touch()
        await until(lambda: host.offer == Offer(med=500, prepends=3))
        await until(lambda: host.offer is None)
        assert host.announcer.why == "drained by order"
        host.drain.unlink()
        await until(lambda: host.offer == Offer(med=100, prepends=0))
        host.load = SiteLoad(down=True)
        await until(lambda: host.offer is None)
        assert host.announcer.why == "no appliance of the site is up"


async def test_an_address_that_is_not_here_is_not_announced(tmp_path: Path) -> None:
    assert addresses.missing(addresses.hosts(["127.0.0.1/24", "192.0.2.53/24", "2001:db8::53"])) == ["192.0.2.53", "2001:db8::53"]
    async with a_host(tmp_path, "192.0.2.53/24") as host:
        await until(lambda: host.announcer.row.failed > 10)
        assert host.told.offers == []
        assert "192.0.2.53 is not an address of this machine" in host.announcer.why


async def test_it_tells_how_it_stands(tmp_path: Path) -> None:
    async with a_host(tmp_path) as host:

        def told() -> AnycastStatus | None:
            return msgspec.json.decode(host.status.read_bytes(), type=AnycastStatus) if host.status.exists() else None

        await until(lambda: (found := told()) is not None and found.phase == "up")
        found = told()
        assert found is not None
        assert found.offer == Offer(med=100, prepends=0)
        assert found.sessions == {"127.0.0.1": False}
        assert host.registry.get_sample_value("nearcast_anycast_announced") == 1.0


async def test_a_name_server_is_asked(tmp_path: Path) -> None:
    class Answers(asyncio.DatagramProtocol):
        flags = b"\x84\0"

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[:2] + self.flags + data[4:], addr)

    server = Answers()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", 0), family=socket.AF_INET)
    port = transport.get_extra_info("sockname")[1]
    checker = Checker((AnycastCheck(kind="dns", target=f"127.0.0.1:{port}", name="cdn.example"),), 5.0, SystemClock())
    assert (await checker.look()).failures == ()
    server.flags = b"\x84\2"
    assert (await checker.look()).failures == (f"127.0.0.1:{port} answers with error 2",)
    transport.close()
    await asyncio.sleep(0)
    (found,) = (await checker.look()).failures
    assert "cannot be reached" in found or "in time" in found
    await checker.close()


async def test_a_look_while_this_process_was_held_up_is_told_from_one_that_was_not(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and answers none
    port = silent.getsockname()[1]
    checker = Checker((AnycastCheck(target=f"http://127.0.0.1:{port}/"),), 0.3, SystemClock())

    async def hog() -> None:
        while True:
            time.sleep(0.05)  # noqa: ASYNC251  (the loop is not run meanwhile, as on a host that is short of processor time)
            await asyncio.sleep(0)

    hogging = asyncio.create_task(hog())
    look = await checker.look()
    hogging.cancel()
    assert look.slow
    assert look.late_s > HELD_UP_SHARE * look.took_s
    assert after(Row(), look).failed == 0
    silent.close()
    look = await checker.look()  # refused, which nobody does for being late
    assert not look.slow
    assert after(Row(), look).failed == 1
    await checker.close()


async def test_the_log_of_a_program_that_lives_long_is_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "LOG_BYTES_MAX", 20_000)
    monkeypatch.setattr(keep, "ROTATE_S", 0.02)
    log = tmp_path / "log"
    keeper = Keeper("talker", ["/bin/sh", "-c", "while :; do echo some words about nothing; done"], log, SystemClock())
    running = asyncio.create_task(keeper.run())
    await until(lambda: (tmp_path / "log.2").exists())
    assert keeper.restarts == 0
    await keeper.stop(2.0)
    await running
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2"]


async def test_a_program_is_kept_and_ended(tmp_path: Path) -> None:
    keeper = Keeper("sleep", ["/bin/sh", "-c", "echo here; exec sleep 60"], tmp_path / "log", SystemClock())
    running = asyncio.create_task(keeper.run())
    await until(lambda: keeper.pid)
    first = keeper.pid
    await until(lambda: (tmp_path / "log").read_text() == "here\n")
    keeper.restart("a test")
    await until(lambda: keeper.pid not in (0, first))
    assert keeper.restarts == 1
    assert keeper.last_exit == "killed by SIGKILL"
    await keeper.stop(2.0)
    await running
    assert keeper.pid == 0
    assert (tmp_path / "log").read_text().startswith("here\n")
    missing = Keeper("nothing", [str(tmp_path / "nothing")], tmp_path / "log", SystemClock())
    running = asyncio.create_task(missing.run())
    await until(lambda: missing.restarts)
    assert "cannot be started" in missing.last_exit
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
