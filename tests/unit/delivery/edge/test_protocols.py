"""HTTP/1.1 kept alive, HTTP/2 over TLS, IPv6: the real nginx, asked by curl, which speaks them all."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
from pathlib import Path

import pytest

from ..making import film, publish
from .serving import DataPath, serving_alone

DATA = film(3_000_000)
FORMAT = "%{http_version} %{http_code} %{size_download} %{num_connects}\n"


async def curl(*arguments: str) -> list[str]:
    program = shutil.which("curl")
    assert program, "curl is needed here: apt-get install curl"
    child = await asyncio.create_subprocess_exec(
        *[program, "-sS", "--noproxy", "*", "-k", "-w", FORMAT, *arguments], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(child.communicate(), 120)
    assert child.returncode == 0, err.decode()
    return out.decode().splitlines()


async def certificate(folder: Path) -> dict[str, str]:
    paths = {"tls_certificate": str(folder / "edge.pem"), "tls_key": str(folder / "edge.key")}
    made = await asyncio.create_subprocess_exec(
        *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x"],
        *["-keyout", paths["tls_key"], "-out", paths["tls_certificate"]],
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    return paths


async def placed(edge: DataPath) -> str:
    item = await publish(edge.origin.store, DATA)
    edge.place(item, DATA)
    return edge.path(item.file.name)


def several(base: str, path: str, count: int = 4) -> list[str]:
    out: list[str] = []
    for _ in range(count):
        out += ["-o", "/dev/null", base + path]
    return out


async def test_http2_over_tls_and_one_connection_for_all(tmp_path: Path) -> None:
    tls = await certificate(tmp_path)
    async with serving_alone(tmp_path / "edge", **tls) as edge:
        path, base = await placed(edge), f"https://127.0.0.1:{edge.settings.port}"
        assert await curl("--http2", "-r", "100-1099", *several(base, path)) == ["2 206 1000 1"] + ["2 206 1000 0"] * 3
        assert await curl("--http2", "--parallel", *several(base, path, 8)) != []
        body = tmp_path / "body"
        assert await curl("--http2", "-o", str(body), base + path) == ["2 200 3000000 1"]
        assert body.read_bytes() == DATA
        absent = await publish(edge.origin.store, film(1_500_000, 2))
        assert await curl("--http2", "-o", str(body), base + edge.path(absent.file.name)) == ["2 200 1500000 1"]
        assert body.read_bytes() == film(1_500_000, 2)
        assert await curl("--http1.1", "-r", "0-9", *several(base, path, 2)) == ["1.1 206 10 1", "1.1 206 10 0"]
        assert {each.protocol for each in await edge.read_log(16)} == {"HTTP/2.0", "HTTP/1.1"}


async def test_http1_is_kept_alive(tmp_path: Path) -> None:
    async with serving_alone(tmp_path) as edge:
        path = await placed(edge)

        def ask() -> list[bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", edge.settings.port, timeout=60)
            found, used = [], set()
            for start in range(0, 50_000, 1000):
                connection.request("GET", path, headers={"Range": f"bytes={start}-{start + 999}"})
                answer = connection.getresponse()
                assert answer.status == 206
                found.append(answer.read())
                used.add(connection.sock)
            assert len(used) == 1
            connection.close()
            return found

        assert b"".join(await asyncio.to_thread(ask)) == DATA[:50_000]


@pytest.mark.parametrize("secure", [False, True])
async def test_ipv6(tmp_path: Path, secure: bool) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    tls = await certificate(tmp_path) if secure else {}
    async with serving_alone(tmp_path / "edge", listen=("127.0.0.1", "::1"), **tls) as edge:
        path, scheme = await placed(edge), "https" if secure else "http"
        for host in ("127.0.0.1", "[::1]"):
            url = f"{scheme}://{host}:{edge.settings.port}{path}"
            assert await curl("--globoff", "-r", "5-14", "-o", "/dev/null", url) == [f"{'2' if secure else '1.1'} 206 10 1"]
