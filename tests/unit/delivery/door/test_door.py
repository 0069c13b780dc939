"""The door over real nginx: appliances in processes of their own are killed, frozen and drained under it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nearcast.base.clock import SystemClock
from nearcast.base.ports import PortTaken
from nearcast.base.web import Receive, Scope, Send, serve_asgi
from nearcast.delivery.door.members import Member, Standing
from nearcast.delivery.door.nginx import StreamMissing, read_stream
from nearcast.delivery.door.server import Door
from nearcast.delivery.door.settings import DoorSettings
from nearcast.delivery.edge.process import alive, find_program, said

from ..edge.serving import DataPath, serving
from ..making import Origin, film, free_port, item, running_origin, until

CAT, REFUSED, BROKEN = (f"/cat/{name}/{'0a' * 32}.mp4" for name in ("film", "refused", "broken"))
IDS = ("fra-1", "fra-2", "fra-3")


class Site:
    """Three appliances, the door in front of them, and a client. ``known`` stand behind the door, but for who is ``out``."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.ports = {name: free_port() for name in IDS}
        self.out: frozenset[str] = frozenset()
        self.known = tuple(Member(name, f"http://127.0.0.1:{port}") for name, port in self.ports.items())
        self.settings = DoorSettings(id="fra", site="frankfurt", port=free_port(), **settings)  # type: ignore[arg-type]
        self.folder = folder / "door"
        self.door = self.make()
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.settings.port}", trust_env=False, timeout=20.0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.watching: asyncio.Task[None] | None = None

    def make(self) -> Door:
        return Door(self.settings, self.folder, lambda: Standing(self.known, self.out), SystemClock())

    def begin(self) -> None:
        script = Path(__file__).with_name("appliance.py")
        for name, port in self.ports.items():
            self.processes[name] = subprocess.Popen([sys.executable, "-S", str(script), name, str(port)])

    async def start(self) -> None:
        await self.door.start()
        self.watching = asyncio.create_task(self.door.watch())

    async def end_watch(self) -> None:
        if self.watching:
            self.watching.cancel()
            await asyncio.gather(self.watching, return_exceptions=True)

    async def ask(self, count: int, path: str = CAT) -> Counter[str]:
        """Who answered so many requests, each of which must be answered well."""
        found: Counter[str] = Counter()
        for _ in range(count):
            answer = await self.client.get(path)
            assert answer.status_code == 307, answer.text
            found[answer.headers["x-nearcast-appliance"]] += 1
        return found


@asynccontextmanager
async def a_site(folder: Path, **settings: object) -> AsyncIterator[Site]:
    site = Site(folder, **settings)
    site.begin()
    async with httpx.AsyncClient(trust_env=False) as client:
        for port in site.ports.values():
            for _ in range(500):
                try:
                    await client.get(f"http://127.0.0.1:{port}{REFUSED}")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
    await site.start()
    try:
        yield site
    finally:
        await site.end_watch()
        await site.client.aclose()
        await site.door.stop()
        for each in site.processes.values():
            each.kill()
            each.wait()


async def test_it_spreads_over_all_and_each_answer_leads_to_who_gave_it(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        found = await site.ask(60)
        assert set(found) == set(IDS)
        assert min(found.values()) >= 6
        answer = await site.client.get(CAT, headers={"x-forwarded-for": "203.0.113.9", "cta-common-access-token": "abc"})
        who = answer.headers["x-nearcast-appliance"]
        assert answer.headers.get_list("location") == [f"http://127.0.0.1:{site.ports[who]}/v1/mac-of-{who}/film.mp4"]
        assert answer.headers["x-asked-from"] == "127.0.0.1", "what a client claims is not passed on"
        assert answer.headers["x-token"] == "abc"
        assert (await site.client.get(REFUSED)).status_code == 401
        assert await site.ask(12, BROKEN), "who answers with a fault of its own is passed over"
        assert (await site.client.post(CAT)).status_code == 405
        assert (await site.client.get("/other")).status_code == 404
        assert (await site.client.get("/cat/../etc/passwd")).status_code == 404
        health = await site.client.get("/healthz")
        assert (health.status_code, health.text) == (200, "fra\n")
        assert (await site.client.get(CAT, headers={"x-long": "x" * 40_000})).status_code == 400


async def test_who_is_killed_or_frozen_costs_no_client_an_answer(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        site.processes["fra-1"].kill()
        assert set(await site.ask(30)) == {"fra-2", "fra-3"}
        site.processes["fra-2"].send_signal(signal.SIGSTOP)
        assert set(await site.ask(8)) == {"fra-3"}
        site.out = frozenset({"fra-1", "fra-2"})
        await until(lambda: site.door.standing.out == site.out)
        site.processes["fra-2"].send_signal(signal.SIGCONT)
        assert set(await site.ask(10)) == {"fra-3"}


async def test_who_is_out_is_asked_no_more_and_a_door_without_anybody_says_so(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        workers = set(site.door.nginx.workers())
        for out in ({"fra-1"}, {"fra-1", "fra-3"}, {"fra-2"}):
            site.out = frozenset(out)
            await until(lambda: site.door.standing.out == site.out)
            assert set(await site.ask(40)) == set(IDS) - out
        site.out = frozenset(IDS)
        await until(lambda: site.door.standing.out == site.out)
        assert (await site.client.get("/healthz")).status_code == 503
        nobody = await site.client.get(CAT, headers={"nearcast-whose": "1"})
        assert (nobody.status_code, nobody.json()["code"], nobody.headers["retry-after"]) == (503, "NC2071", "2")
        site.out = frozenset()
        await until(lambda: site.door.standing.out == site.out)
        assert (await site.client.get("/healthz")).status_code == 200
        assert set(site.door.nginx.workers()) == workers, "for that nothing is reloaded, and no connection closed"
        assert site.door.reloads == 0


async def test_what_is_noticed_counts_at_once_and_who_is_new_is_left_to_the_next_turn(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        await site.end_watch()
        everybody = site.known
        site.out = frozenset(IDS)
        site.door.notice()
        assert (await site.client.get("/healthz")).status_code == 503, "no turn of the door was needed"
        site.out, site.known = frozenset(), everybody[1:]
        site.door.notice()
        assert (await site.client.get("/healthz")).status_code == 200
        assert site.door.reloads == 0
        site.watching = asyncio.create_task(site.door.watch())
        await until(lambda: site.door.reloads == 1)
        out = site.folder / "run" / "out"
        out.rename(tmp_path / "elsewhere")
        site.door.notice()
        (tmp_path / "elsewhere").rename(out)


async def test_who_is_gone_for_good_or_new_is_known_after_a_reload(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        everybody = site.known
        before = set(site.door.nginx.workers())
        for count, known in enumerate((everybody[1:], everybody), 1):
            site.known = known
            await until(lambda count=count: site.door.reloads == count)  # type: ignore[misc]
            await until(lambda before=before: before.isdisjoint(site.door.nginx.workers()))  # type: ignore[misc]
            before = set(site.door.nginx.workers())
            async with httpx.AsyncClient(base_url=site.client.base_url, trust_env=False) as fresh:
                found = {(await fresh.get(CAT)).headers["x-nearcast-appliance"] for _ in range(40)}
            assert found == {each.id for each in known}
        await asyncio.sleep(0.5)
        assert site.door.reloads == 2, "nothing changed, so nothing is reloaded"


async def test_nginx_outlives_its_agent_and_is_started_anew_when_it_dies(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        first = site.door.nginx.pid
        await site.end_watch()
        await site.door.leave()
        assert await site.ask(5)
        site.door = site.make()
        await site.start()
        assert site.door.nginx.pid == first
        os.kill(first, signal.SIGKILL)
        await until(lambda: site.door.restarts == 1 and site.door.nginx.running() and site.door.nginx.pid != first)
        for _ in range(200):
            try:
                assert await site.ask(1)
                break
            except httpx.TransportError:
                await asyncio.sleep(0.02)
        last = site.door.nginx.pid
    assert not alive(last)


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        other = Door(site.settings, tmp_path / "other", Standing, SystemClock())
        with pytest.raises(PortTaken):
            await other.start()
        await other.leave()


async def test_a_films_path_is_sent_to_the_one_appliance_that_takes_it(tmp_path: Path) -> None:
    data = film(300_000)
    wanted = item(data)
    async with running_origin() as origin, serving(tmp_path / "a", origin) as one, serving(tmp_path / "b", origin, id="fra-2") as two:
        two.place(wanted, data)
        site = Site(tmp_path)
        site.out = frozenset({"fra-1", "fra-2"})
        site.known = tuple(Member(each.settings.id, each.settings.public_address) for each in (one, two))
        await site.start()
        try:
            await _films(site, origin, one, two, wanted.file.name, data)
        finally:
            await site.end_watch()
            await site.client.aclose()
            await site.door.stop()


async def _films(site: Site, origin: Origin, one: DataPath, two: DataPath, name: str, data: bytes) -> None:
    path = two.path(name)
    answer = await site.client.get(path, headers={"range": "bytes=0-99"})
    assert answer.status_code == 307, answer.text
    assert answer.headers["location"] == two.settings.public_address + path
    assert answer.headers["access-control-allow-origin"] == "*"
    followed = await site.client.get(path, headers={"range": "bytes=0-99"}, follow_redirects=True)
    assert (followed.status_code, followed.content) == (206, data[:100])
    assert (await site.client.get(one.path(name))).headers["location"].startswith(one.settings.public_address)
    assert origin.requests == [], "to find whose it is fetches nothing"
    assert (await site.client.options(path)).status_code == 204
    strange, over = path.replace("/v1/", "/v1/AA", 1)[:4] + "A" * 22 + path[26:], two.path(name, ttl_s=-5)
    for bad, status, code in ((strange, 421, "NC2072"), (over, 403, "NC2074"), (one.path(name, ttl_s=-5), 403, "NC2074")):
        answer = await site.client.get(bad)
        assert (answer.status_code, answer.json()["code"]) == (status, code), bad
    assert (await one.get(one.path(name, ttl_s=-5))).status_code == 403, "as the appliance itself says"


async def test_assets_come_from_the_gateway_once_and_stay_when_it_is_gone(tmp_path: Path) -> None:
    asked: list[dict[bytes, bytes]] = []

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        asked.append(dict(scope["headers"]))
        headers = [(b"content-length", b"2"), (b"cache-control", b"public, max-age=31536000, immutable"), (b"set-cookie", b"a=b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"js"})

    port = free_port()
    server = await serve_asgi(gateway, "127.0.0.1", port)
    site = Site(tmp_path, assets_url=f"http://127.0.0.1:{port}")
    await site.start()
    try:
        for _ in range(3):
            answer = await site.client.get("/assets/app-1234567890.js", headers={"cookie": "session=secret", "authorization": "Bearer x"})
            assert (answer.status_code, answer.content) == (200, b"js")
            assert "set-cookie" not in answer.headers
        assert len(asked) == 1
        assert not {b"cookie", b"authorization"} & set(asked[0])
        assert asked[0][b"host"] == f"127.0.0.1:{port}".encode()
        await server.stop(0.2)
        assert (await site.client.get("/assets/app-1234567890.js")).content == b"js"
        assert (await site.client.get("/assets/other-1234567890.js")).status_code == 502
        assert (await site.client.post("/assets/app-1234567890.js")).status_code == 405
    finally:
        await site.end_watch()
        await site.client.aclose()
        await site.door.stop()


async def test_dns_is_passed_on_to_the_name_servers_of_the_site(tmp_path: Path) -> None:
    module = os.environ.get("NEARCAST_STREAM_MODULE", "")
    try:
        read_stream(said(find_program()), module)
    except StreamMissing:
        pytest.skip("this nginx has no stream module: apt-get install libnginx-mod-stream, or set NEARCAST_STREAM_MODULE")

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[::-1], addr)

    loop = asyncio.get_running_loop()
    running, _ = await loop.create_datagram_endpoint(Server, ("127.0.0.1", 0), family=socket.AF_INET)
    port = running.get_extra_info("sockname")[1]

    async def turn_round(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100))[::-1])
        writer.close()

    by_tcp = await asyncio.start_server(turn_round, "127.0.0.1", port)
    site = Site(tmp_path, dns=(f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}"), dns_port=free_port(), stream_module=module)
    site.known = ()
    await site.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", site.settings.dns_port))
            answered = 0
            for _ in range(12):  # of two servers one is dead, and soon left alone
                await loop.sock_sendall(client, b"question")
                try:
                    answered += await asyncio.wait_for(loop.sock_recv(client, 100), 0.3) == b"noitseuq"
                except (TimeoutError, ConnectionError):
                    continue
            assert answered >= 6
        reader, writer = await asyncio.open_connection("127.0.0.1", site.settings.dns_port)
        writer.write(b"question")
        assert await reader.read(100) == b"noitseuq"
        writer.close()
    finally:
        await site.end_watch()
        await site.client.aclose()
        await site.door.stop()
        running.close()
        by_tcp.close()
        await by_tcp.wait_closed()
