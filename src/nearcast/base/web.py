"""An ASGI application at a port, inside the process's own event loop (Granian's embedded server).

The socket is bound here rather than by Granian, which would share a port in use (SO_REUSEPORT) instead of refusing it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import structlog
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]  # granian exports it to itself only
from granian.server.embed import Server
from msgspec import Struct

from nearcast.base import ports
from nearcast.base.errors import BadInput, Unavailable

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BACKLOG = 1024
_log = structlog.get_logger("web")


def only_http(scope: Scope) -> None:
    """Raises NotImplementedError for all else, which is how ASGI is told that there is no lifespan and no websocket here."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])


class BadCertificate(BadInput):
    """The TLS certificate or its key cannot be used."""

    code = "NC0014"
    cure = "give a PEM certificate chain and the matching, unencrypted PEM key"


class Tls(Struct, frozen=True, kw_only=True):
    """Certificate chain and key, both PEM files. ``clients``: callers must show a certificate of this authority (PEM)."""

    certificate: Path
    key: Path
    clients: Path | None = None


class WebServer:
    """A running server. ``port`` is the one in use, also where 0 was asked. Call ``stop`` to end it."""

    def __init__(self, server: _Server, task: asyncio.Task[None], host: str, port: int, scheme: str) -> None:
        self._server = server
        self._task = task
        self.host = host
        self.port = port
        self.url = f"{scheme}://{ports.authority(host, port)}"

    @property
    def running(self) -> bool:
        return not self._task.done()

    async def wait(self) -> None:
        """Return when the server has ended, by ``stop`` or by itself."""
        await asyncio.wait([self._task])

    async def stop(self, grace_s: float = 3.0) -> None:
        """Take no more connections, let running requests end for up to ``grace_s``, then cut them off."""
        self._server.end(grace_s)
        done, _ = await asyncio.wait([self._task], timeout=grace_s + 1.0)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) and not isinstance(error, TimeoutError):
            _log.warning("the server did not end cleanly", at=self.url, error=repr(error))


async def serve_asgi(
    app: Application,
    host: str,
    port: int,
    *,
    tls: Tls | None = None,
    websockets: bool = False,
    header_read_timeout_s: float = 30.0,
    ready_s: float = 30.0,
) -> WebServer:
    """Serve ``app`` at ``host:port`` (0: any free port) until ``stop``. Returns when its lifespan startup is done.

    Raises PortTaken (which names the process), BadAddress, BadCertificate, or Unavailable when the application did not start.
    HTTP/1.1 and HTTP/2; the application needs no lifespan of its own.
    """
    listener = ports.listen(host, port, backlog=BACKLOG)
    port = listener.getsockname()[1]
    started = _Started(app)
    try:
        server = _Server(
            listener,
            target=started,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            backlog=BACKLOG,
            websockets=websockets,
            http1_settings=HTTP1Settings(header_read_timeout=int(header_read_timeout_s * 1000)),
            log_enabled=False,
            ssl_cert=tls.certificate if tls else None,
            ssl_key=tls.key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
            ssl_ca=tls.clients if tls else None,
            ssl_client_verify=bool(tls and tls.clients),
        )
    except OSError as error:  # ssl.SSLError among them
        listener.close()
        raise BadCertificate(f"the certificate for {ports.authority(host, port)} cannot be used: {error}") from error
    task = asyncio.create_task(server.serve(), name=f"web {host}:{port}")
    ready = asyncio.create_task(started.event.wait())
    await asyncio.wait([task, ready], timeout=ready_s, return_when=asyncio.FIRST_COMPLETED)
    if task.done() or not ready.done() or started.failure:
        ready.cancel()
        task.cancel()
        await asyncio.wait([task])
        server.abandon()
        raise Unavailable(
            f"the server at {ports.authority(host, port)} did not start: {started.failure or 'no answer from the application'}"
        )
    return WebServer(server, task, host, port, "https" if tls else "http")


class _Server(Server):
    """Granian's embedded server on a socket that is bound already."""

    def __init__(self, listener: socket.socket, **settings: Any) -> None:
        super().__init__(**settings)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        granian: Any = self  # its types know neither this field's value nor the holder's third argument
        holder: Any = SocketHolder
        granian._shd = holder(os.dup(self._listener.fileno()), False, BACKLOG)

    def end(self, grace_s: float) -> None:
        self._listener.close()
        granian: Any = self
        granian.workers_kill_timeout = grace_s
        granian.stop()

    def abandon(self) -> None:
        """Free the port after a failed start: Granian's own copy of the socket lives until it is collected."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class _Started:
    """Passes everything on to the application, and notes how its lifespan startup went."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.event = asyncio.Event()
        self.failure = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self.failure = message.get("message") or "startup failed"
            await send(message)
            self.event.set()

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if self.event.is_set():
                raise
            # ASGI: an application without lifespan raises here, and is served all the same.
            _log.debug("no lifespan", error=repr(error))
            await send({"type": "lifespan.startup.complete"})
        finally:
            self.event.set()
