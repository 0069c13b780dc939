"""An appliance's own page, for this machine alone: ``/``, ``/status.json``, ``/metrics``, and the exchange of tokens below ``/cat/``.

Only loopback is listened at, and only names of loopback are answered to: a page elsewhere whose name was made to point here
(DNS rebinding) learns nothing. Where the port is taken the agent goes on without it, and tries again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from nearcast.base.errors import NearcastError, Unavailable
from nearcast.base.metrics import CONTENT_TYPE
from nearcast.base.web import Application, Receive, Scope, Send, WebServer, only_http, serve_asgi
from nearcast.delivery.edge import page
from nearcast.delivery.edge.status import Status
from nearcast.delivery.settings import EdgeSettings

HOST = "127.0.0.1"
NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
RETRY_S = 10.0
CAT_PREFIX = "/cat/"
_log = structlog.get_logger("edge")

Headers = dict[str, str]


class NoOwnPage(Unavailable):
    """The appliance's own page cannot be served."""

    code = "NC2032"
    cure = "free the port that is named, or set admin_port of the appliance; films are served all the same"


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine's loopback, with whatever port."""
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    return (name or host).lower() in NAMES and (not name or not port or port.isdigit())


def application(status: Callable[[], Status], registry: CollectorRegistry | None, tokens: Application | None = None) -> Application:
    """The ASGI application. ``tokens`` answers below ``/cat/``, which nginx passes on for viewers, whatever name they call it by."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        only_http(scope)
        path: str = scope["path"]
        if path.startswith(CAT_PREFIX) and tokens is not None:
            await tokens(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        code, headers, body = _answer(path, scope["method"], host, status, registry)
        await _say(send, code, headers, body if scope["method"] != "HEAD" else b"", len(body))

    return serve


def _answer(
    path: str, method: str, host: str, status: Callable[[], Status], registry: CollectorRegistry | None
) -> tuple[int, Headers, bytes]:
    if not is_own_name(host):
        return 403, {}, b"this page is for this machine alone: open it as http://127.0.0.1 with its port\n"
    if method not in ("GET", "HEAD"):
        return 405, {"allow": "GET, HEAD"}, b"GET or HEAD\n"
    if path == "/":
        nonce = secrets.token_urlsafe(12)
        policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; frame-ancestors 'none'"
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}
        return 200, headers, page.render(status(), nonce).encode()
    if path == "/status.json":
        return 200, {"content-type": "application/json"}, msgspec.json.format(msgspec.json.encode(status()), indent=2)
    if path == "/metrics" and registry is not None:
        return 200, {"content-type": CONTENT_TYPE}, generate_latest(registry)
    return 404, {}, b"there are /, /status.json and /metrics\n"


async def _say(send: Send, code: int, headers: Headers, body: bytes, length: int) -> None:
    whole = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(length),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        **headers,
    }
    raw = [(name.encode(), value.encode()) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": code, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class OwnPage:
    """Serves ``app`` at the appliance's own port for as long as ``run`` runs."""

    def __init__(self, settings: EdgeSettings, app: Application) -> None:
        self._port = settings.own_port
        self._app = app
        self._starting: asyncio.Task[WebServer] | None = None
        self.problem: NoOwnPage | None = None

    async def run(self) -> None:
        while True:
            self._starting = asyncio.create_task(serve_asgi(self._app, HOST, self._port))
            try:
                server = await asyncio.shield(self._starting)  # half started it could not be stopped
            except NearcastError as error:
                if self.problem is None:
                    self.problem = NoOwnPage(error.message)
                    _log.error("no page of its own", error=error.message, code=self.problem.code, hint=self.problem.hint)
            else:
                self.problem = None
                _log.info("its own page is served", at=server.url)
                await server.wait()
            await asyncio.sleep(RETRY_S)

    async def stop(self) -> None:
        """End it, after ``run`` was cancelled."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
            if not self._starting.exception():
                await self._starting.result().stop(0.2)
            self._starting = None
