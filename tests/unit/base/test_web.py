from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from nearcast.base import ports
from nearcast.base.errors import Unavailable
from nearcast.base.web import BadCertificate, Message, Receive, Scope, Send, Tls, serve_asgi


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """An application without lifespan."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Living:
    """An application with lifespan, which may fail."""

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)
            return
        while True:
            message: Message = await receive()
            self.seen.append(message["type"])
            if message["type"] == "lifespan.startup" and self.fail:
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def test_serves_at_any_free_port_and_stops() -> None:
    server = await serve_asgi(hello, "127.0.0.1", 0)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(server.url)).text == "hello"
    assert server.running
    await server.stop()
    assert not server.running
    ports.check_free("127.0.0.1", server.port)


async def test_lifespan_runs() -> None:
    app = Living()
    server = await serve_asgi(app, "127.0.0.1", 0)
    assert app.seen == ["lifespan.startup"]
    await server.stop()
    assert app.seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_a_failed_startup_says_why_and_frees_the_port() -> None:
    with ports.listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(Unavailable, match="no database"):
        await serve_asgi(Living(fail=True), "127.0.0.1", port)
    ports.check_free("127.0.0.1", port)


async def test_a_taken_port_names_the_process() -> None:
    server = await serve_asgi(hello, "127.0.0.1", 0)
    with pytest.raises(ports.PortTaken, match=f"process {os.getpid()}"):
        await serve_asgi(hello, "127.0.0.1", server.port)
    await server.stop()


async def test_a_request_that_never_ends_is_cut_off() -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.Event().wait()

    server = await serve_asgi(endless, "127.0.0.1", 0)
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", server.url) as response:
        assert response.status_code == 200
        await asyncio.wait_for(server.stop(grace_s=0.2), 60)
    assert not server.running


async def test_a_bad_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("nothing")
    with pytest.raises(BadCertificate):
        await serve_asgi(hello, "127.0.0.1", 0, tls=Tls(certificate=tmp_path / "a.pem", key=tmp_path / "a.pem"))
