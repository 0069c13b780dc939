"""The agent and its nginx as processes: killed, frozen, in the way of others, adopted, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from nearcast.base import ports
from nearcast.base.clock import SystemClock
from nearcast.delivery.edge.conffile import BadFolder
from nearcast.delivery.edge.counting import is_full
from nearcast.delivery.edge.process import Nginx, NginxMissing, NginxRefused, NginxUnfit, alive, find_program, read_build
from nearcast.delivery.edge.server import Server, next_backoff
from nearcast.delivery.fill.disk import DiskFull
from nearcast.delivery.settings import EdgeSettings

from ..making import Edge, film, publish, running_edge, running_origin, until


def workers(nginx: Nginx) -> list[int]:
    return [pid for pid in nginx.processes() if pid != nginx.pid]


async def test_killed_workers_or_master_come_back(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        file = (await publish(edge.origin.store, film(10_000))).file
        assert (await edge.get(edge.path(file.name))).status_code == 200
        nginx, first = edge.agent.server.nginx, edge.agent.server.nginx.pid

        os.kill(first, signal.SIGKILL)
        await until(lambda: nginx.pid not in (0, first) and edge.agent.server.healthy)
        assert (await edge.get(edge.path(file.name))).status_code == 200
        assert first not in nginx.processes()

        second = nginx.pid
        for pid in (second, *workers(nginx)):
            os.kill(pid, signal.SIGKILL)
        await until(lambda: nginx.pid not in (0, second) and edge.agent.server.healthy)
        assert (await edge.get(edge.path(file.name))).status_code == 200
        assert edge.agent.server.restarts == 2


async def test_a_frozen_nginx_is_reported_down_and_up_again(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        await until(lambda: edge.registry.state == "up")
        frozen = edge.agent.server.nginx.processes()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        await until(lambda: edge.registry.state == "down", 3.0)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: edge.registry.state == "up", 3.0)
        assert edge.agent.server.restarts == 0


async def test_an_nginx_that_stays_frozen_is_replaced(tmp_path: Path) -> None:
    async with running_edge(tmp_path, frozen_restart_s=0.8) as edge:
        frozen = edge.agent.server.nginx.processes()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        await until(lambda: edge.agent.server.restarts == 1 and edge.agent.server.healthy)
        assert not any(alive(pid) for pid in frozen)


async def test_reports_and_a_clean_stop(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        item = await publish(edge.origin.store, film(2_000_000))
        await edge.hold(item)
        await edge.get(edge.path(item.file.name), Range="bytes=0-99999")
        await until(lambda: edge.registry.reports and edge.registry.reports[-1].sent_bytes_total == 100_000)
        report = edge.registry.reports[-1]
        assert (report.id, report.site, report.state) == ("fra-1", "frankfurt", "up")
        assert report.address == f"http://127.0.0.1:{edge.settings.port}"
        assert edge.told == {"t_film": 2_000_000}
        assert (report.held_bytes, report.missing_bytes, report.requests_total) == (2_000_000, 0, 1)
        assert report.disk_free_bytes > 0
        nginx = edge.agent.server.nginx
        await edge.agent.stop()
        assert nginx.processes() == []
        assert edge.registry.dropped == ["fra-1"]
        ports.check_free("127.0.0.1", edge.settings.port)


async def test_an_edge_that_fills_up_reports_it_at_once(tmp_path: Path) -> None:
    """Not with the next report of its interval, which is far off here."""
    async with running_edge(tmp_path, throughput_max_bps=1e6, report_s=600.0) as edge:
        item = await publish(edge.origin.store, film(800_000))
        await until(lambda: edge.registry.state == "up")
        await edge.get(edge.path(item.file.name))
        await until(lambda: edge.registry.reports[-1].sent_bps >= 0.95e6)
        await until(lambda: edge.registry.reports[-1].sent_bps < 0.7e6)  # what was sent fades


async def test_a_taken_port_names_the_process(tmp_path: Path) -> None:
    async with running_origin() as origin:
        edge = Edge(tmp_path, origin)
        with (
            socket.create_server(("127.0.0.1", edge.settings.port)),
            pytest.raises(ports.PortTaken, match=f"process {os.getpid()}"),
        ):
            await edge.agent.start()
        await edge.agent.leave()
        await edge.client.aclose()


async def test_another_edges_nginx_is_not_taken_over(tmp_path: Path) -> None:
    async with running_edge(tmp_path / "one") as first:
        second = Edge(tmp_path / "two", first.origin, port=first.settings.port, id="bom-1")
        with pytest.raises(ports.PortTaken, match="nginx"):
            await second.agent.start()
        await second.agent.leave()
        await second.client.aclose()
        assert (await first.get("/healthz")).status_code == 200


async def test_an_agent_killed_with_nginx_orphaned_too(tmp_path: Path) -> None:
    """Agent and master die together: the workers hold the port, serve on, and give way to the next."""
    async with running_edge(tmp_path) as edge:
        file = (await publish(edge.origin.store, film(10_000))).file
        master = edge.agent.server.nginx.pid
        await edge.agent.leave()
        os.kill(master, signal.SIGKILL)
        await until(lambda: not alive(master))
        assert (await edge.get(edge.path(file.name))).status_code == 200
        edge.agent = edge.make_agent()
        await edge.agent.start()
        assert not edge.agent.server.nginx.adopted
        assert (await edge.get(edge.path(file.name))).status_code == 200


AGENT = """
import asyncio, sys
from pathlib import Path
import msgspec
from nearcast.delivery.edge.agent import EdgeAgent
from nearcast.delivery.settings import EdgeSettings
from tests.unit.delivery.making import TOKEN, Books, Orders, Registry

async def main():
    settings, folder, key, url = msgspec.json.decode(sys.argv[1], type=EdgeSettings), *sys.argv[2:]
    agent = EdgeAgent(
        settings, Path(folder), key=key, origin_token=TOKEN, parent_url=url, discovery=Registry(), fill=Orders(), insight=Books()
    )
    await agent.start()
    print("ready", flush=True)
    await agent.wait()

asyncio.run(main())
"""


async def test_the_agent_is_killed_and_nginx_alone_goes_on_deciding(tmp_path: Path) -> None:
    """The agent as a process of its own, kill -9; then another takes its nginx over."""
    async with running_origin() as origin:
        edge = Edge(tmp_path, origin)
        file = (await publish(origin.store, film(10_000))).file
        here = Path(__file__).resolve().parents[4]
        arguments = [msgspec.json.encode(edge.settings).decode(), str(tmp_path), edge.key, origin.url]
        environment = {**os.environ, "PYTHONPATH": f"{here}:{here / 'src'}"}
        child = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", AGENT, *arguments], env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        while (await asyncio.wait_for(child.stdout.readline(), 120)).strip() != b"ready":
            pass
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        good = edge.path(file.name)
        assert (await edge.get(good, Range="bytes=0-99")).status_code == 206
        assert (await edge.get(good.replace("t_film", "t_other"))).status_code == 403
        assert (await edge.get(edge.path(file.name, ttl_s=-1))).status_code == 403
        await edge.agent.start()
        assert edge.agent.server.nginx.adopted
        await edge.agent.stop()
        await edge.client.aclose()
        ports.check_free("127.0.0.1", edge.settings.port)


async def test_ipv6_beside_ipv4(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with running_edge(tmp_path, listen=("127.0.0.1", "::1")) as edge:
        file = (await publish(edge.origin.store, film(100))).file
        for host in ("127.0.0.1", "[::1]"):
            assert (await edge.get(f"http://{host}:{edge.settings.port}{edge.path(file.name)}")).status_code == 200


async def test_a_parent_that_cannot_be_resolved_does_not_hinder_the_start(tmp_path: Path) -> None:
    async with running_origin() as origin:
        edge = Edge(tmp_path, origin)
        origin_url = "https://no-such-host.invalid:8100"
        edge.agent = type(edge.agent)(
            edge.settings,
            tmp_path,
            key=edge.key,
            origin_token="x",
            parent_url=origin_url,
            discovery=edge.registry,
            fill=edge.orders,
            insight=edge.books,
        )
        await edge.agent.start()
        assert (await edge.get(edge.path("0" * 64 + ".mp4"))).status_code == 502
        await edge.agent.stop()
        await edge.client.aclose()


async def test_a_changed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    certificate, key = tmp_path / "edge.pem", tmp_path / "edge.key"
    await _self_signed(certificate, key, "one.example")
    async with running_edge(tmp_path / "edge", tls_certificate=str(certificate), tls_key=str(key)) as edge:
        pid = edge.agent.server.nginx.pid
        assert await _subject(edge) == "one.example"
        await _self_signed(certificate, key, "two.example")
        await edge.agent.server.refresh()
        for _ in range(1000):  # the old workers may take a few more connections
            if await _subject(edge) == "two.example":
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("nginx still shows the old certificate")
        assert edge.agent.server.nginx.pid == pid


async def _self_signed(certificate: Path, key: Path, name: str) -> None:
    made = await asyncio.create_subprocess_exec(
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
        *["-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)],
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0


async def _subject(edge: Edge) -> str:
    """The common name in the certificate that the edge shows."""
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", edge.settings.port))
    return str(x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def test_a_bad_certificate_is_refused_with_nginxs_words(tmp_path: Path) -> None:
    async with running_origin() as origin:
        edge = Edge(tmp_path, origin, tls_certificate=str(tmp_path / "no.pem"), tls_key=str(tmp_path / "no.key"))
        with pytest.raises(NginxRefused, match=r"no\.pem"):
            await edge.agent.start()
        await edge.agent.leave()
        await edge.client.aclose()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests run as an ordinary one then")
async def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    """As nobody, in a folder of its own, on a film from the parent."""
    base = Path("/tmp") / f"nearcast-{os.getpid()}-{tmp_path.name[-8:]}"
    base.mkdir()
    os.chown(base, 65534, 65534)
    script = base / "run.py"
    script.write_text(
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.unit.delivery.making import film, publish, running_edge\n"
        "async def main():\n"
        f"    async with running_edge(Path({str(base)!r}) / 'edge') as edge:\n"
        "        item = await publish(edge.origin.store, film(2_000_000))\n"
        "        a = await edge.get(edge.path(item.file.name))\n"
        "        await edge.hold(item)\n"
        "        b = await edge.get(edge.path(item.file.name), Range='bytes=0-9')\n"
        "        print(a.status_code, len(a.content), b.status_code, flush=True)\n"
        "asyncio.run(main())\n"
    )
    here = Path(__file__).resolve().parents[4]
    try:
        child = await asyncio.create_subprocess_exec(
            *["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, str(script)],
            cwd=base,
            env={"PYTHONPATH": f"{here}:{here / 'src'}", "HOME": str(base), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(child.communicate(), 120)
        if b"Permission denied" in err and b"python" in err.splitlines()[0]:
            pytest.skip("the interpreter is in a folder that others may not enter")
        assert "200 2000000 206" in out.decode().splitlines(), err.decode()
    finally:
        await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)


async def test_a_disk_full_to_the_brim_still_serves(tmp_path: Path) -> None:
    """A file system of 32 MB: the fill stops before the reserve; with even that gone, misses are passed through and not kept."""
    mount = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(tmp_path), stderr=asyncio.subprocess.DEVNULL
    )
    if await mount.wait():
        pytest.skip("mounting a small file system takes rights that are not there")
    try:
        (tmp_path / "others").write_bytes(bytes(24_000_000))
        async with running_edge(tmp_path / "edge", disk_reserve_bytes=1 << 20) as edge:
            small, large = film(3_000_000, 1), film(7_000_000, 2)
            items = [await publish(edge.origin.store, small), await publish(edge.origin.store, large, "t_large")]
            edge.orders.set(*items)
            await until(lambda: isinstance(edge.agent.transfers.problem, DiskFull))
            await until(lambda: edge.agent.transfers.stock.holdings == {"t_film": 3_000_000})
            assert shutil.disk_usage(tmp_path).free > 900_000, "the reserve is left alone"
            with contextlib.suppress(OSError):
                (tmp_path / "ballast").write_bytes(bytes(9_000_000))
            assert shutil.disk_usage(tmp_path).free < 10_000
            await until(lambda: edge.agent.server.passing_through)
            for item, data in zip(items, (small, large), strict=True):
                answer = await edge.get(edge.path(item.file.name, item.title_id))
                assert (answer.status_code, answer.content) == (200, data)
            (tmp_path / "ballast").unlink()
            edge.orders.set()
            await until(lambda: not edge.agent.server.passing_through)
            edge.orders.set(items[0])
            await until(lambda: edge.agent.transfers.stock.holdings == {"t_film": 3_000_000})
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(tmp_path))).wait()


def test_full_is_not_called_better_too_soon() -> None:
    reserve = 64 << 20
    assert is_full(7 << 20, reserve, was_full=False)
    assert not is_full(9 << 20, reserve, was_full=False)
    assert is_full(15 << 20, reserve, was_full=True)
    assert not is_full(17 << 20, reserve, was_full=True)


def test_nginx_absent(tmp_path: Path) -> None:
    with pytest.raises(NginxMissing) as caught:
        find_program(str(tmp_path))
    assert "apt-get install nginx" in caught.value.hint


def test_nginx_unfit() -> None:
    fit = (
        "nginx version: nginx/1.22.1\nconfigure arguments: --with-threads --with-http_secure_link_module --with-http_slice_module "
        "--with-http_stub_status_module"
    )
    assert read_build(fit).version == (1, 22, 1)
    assert read_build(fit.replace("--with-threads", "")).threads is False
    with pytest.raises(NginxUnfit, match="secure_link"):
        read_build(fit.replace("--with-http_secure_link_module", ""))
    with pytest.raises(NginxUnfit, match="too old"):
        read_build(fit.replace("1.22.1", "1.10.3"))


def test_folders_that_nginx_cannot_name_are_refused(tmp_path: Path) -> None:
    settings = EdgeSettings(id="a", site="b", port=20000)
    with pytest.raises(BadFolder):
        Server(settings, tmp_path / 'a "b" $c', "ab" * 32, "t", "http://127.0.0.1:1", SystemClock())


def test_backoff() -> None:
    waits, wait_s = [], 0.0
    for _ in range(8):
        wait_s = next_backoff(wait_s, ran_s=0.1)
        waits.append(wait_s)
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert next_backoff(5.0, ran_s=60) == 0.1
