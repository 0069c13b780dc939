"""The gateway as an ASGI application: every request goes through here, from its id to its line in the log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry

from nearcast.base import context, metrics
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Internal, NearcastError
from nearcast.base.ids import new_id
from nearcast.control.gateway import address, headers, openapi
from nearcast.control.gateway.api.table import GROUPS, ROUTES
from nearcast.control.gateway.call import Call, Gateway, GatewayClients
from nearcast.control.gateway.errors import BadRequest, BodyTooSlow, NoSuchAddress, NotJson, WrongMethod
from nearcast.control.gateway.guard import Guard
from nearcast.control.gateway.observe import Observer
from nearcast.control.gateway.pictures import Pictures
from nearcast.control.gateway.routes import Bound, Table, allowed, converted, decoded
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.gateway.static import WebApp
from nearcast.control.gateway.wire import (
    Answer,
    Application,
    Receive,
    Request,
    Scope,
    Send,
    compressed,
    json_answer,
    problem_answer,
    send_answer,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_log = structlog.get_logger("gateway")
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
CORS = {"access-control-allow-origin": "*", "access-control-expose-headers": "x-request-id", "cross-origin-resource-policy": "cross-origin"}


class GatewayKeys(Struct, frozen=True, kw_only=True):
    """``token``: what ``capability.derive(root, "token")`` gives."""

    token: bytes


def application(
    settings: GatewaySettings,
    clients: GatewayClients,
    store: ObjectStore | None,
    keys: GatewayKeys,
    clock: Clock | None = None,
    web_root: Path | None = None,
    *,
    exposition: Callable[[], Awaitable[str]] | None = None,
    registry: CollectorRegistry | None = None,
    origins: Callable[[], tuple[str, ...]] = tuple,
) -> Application:
    """The gateway. ``store`` is the origin's, for posters; ``registry`` takes the gateway's own metrics; ``origins`` tells from where
    the page may fetch besides, if the settings do not.

    ``exposition`` gives the Prometheus text of all processes (``base.metrics.Scraper.text``); without it /metrics tells of the
    gateway alone. Raises BadProxy for a network in ``settings`` that is none.
    """
    registry = registry or CollectorRegistry()
    exposition = exposition or _own(registry)
    return GatewayApplication(settings, clients, store, keys, clock or SystemClock(), web_root, exposition, registry, origins)


def reference() -> str:
    """The HTTP API as a page of Markdown."""
    return openapi.markdown(GROUPS)


def _own(registry: CollectorRegistry) -> Callable[[], Awaitable[str]]:
    async def text() -> str:
        return metrics.merged({"gateway": metrics.families(registry, "gateway")})

    return text


class GatewayApplication:
    """See ``application``."""

    def __init__(
        self,
        settings: GatewaySettings,
        clients: GatewayClients,
        store: ObjectStore | None,
        keys: GatewayKeys,
        clock: Clock,
        web_root: Path | None,
        exposition: Callable[[], Awaitable[str]],
        registry: CollectorRegistry,
        origins: Callable[[], tuple[str, ...]],
    ) -> None:
        self._settings = settings
        self._proxies = address.networks(settings.proxies)
        address.networks(settings.metrics_from)  # a mistake in it is told now, not with the first scrape
        self._table = Table(ROUTES)
        self._guard = Guard(clients.accounts, keys.token, clock, account_cache_s=settings.account_cache_s)
        self._web = WebApp(web_root)
        self._observer = Observer(registry)
        self._clock = clock
        self._document = b""
        self._origins = origins
        pictures = Pictures(
            clients.catalog,
            store,
            clock,
            cache_bytes=settings.picture_cache_bytes,
            publication_cache_s=settings.publication_cache_s,
        )
        self._gateway = Gateway(
            settings=settings, clients=clients, pictures=pictures, clock=clock, exposition=exposition, document=self._openapi
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(Request(scope, receive), send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, request: Request, send: Send) -> None:
        began_s = self._clock.monotonic_s()
        request_id = headers.request_id(request.headers.get("x-request-id", ""), new_id("r", secrets.token_bytes))
        context.request_id.set(request_id)
        note = _Note(route="other", path=request.path)
        self._observer.running.inc()
        try:
            answer = await self._answered(request, note)
            if request.headers.get("accept-encoding"):
                answer = compressed(answer, request.headers["accept-encoding"])
            origins = self._settings.content_origins or self._origins()
            extra = [(b"x-request-id", request_id.encode()), *headers.security_headers(origins, tls=note.tls)]
            await send_answer(send, answer, extra, head=request.method == "HEAD")
        finally:
            self._observer.running.dec()
        self._observer.note(
            route=note.route,
            method=request.method if request.method in _METHODS else "other",
            path=note.path,
            status=answer.status,
            sent_bytes=len(answer.body),
            duration_s=self._clock.monotonic_s() - began_s,
            client=note.client,
            account=note.account,
            code=note.code,
        )

    async def _answered(self, request: Request, note: _Note) -> Answer:
        """The answer, errors included: nothing is raised but by a defect of this function."""
        try:
            return await self._dispatched(request, note)
        except NearcastError as error:
            problem = error.problem(context.request_id.get())
        except Exception:
            _log.exception("the gateway failed", route=note.route)
            problem = Internal("the gateway failed unexpectedly").problem(context.request_id.get())
        if not 400 <= problem.status <= 599:
            problem = msgspec.structs.replace(problem, status=500)
        note.code = problem.code
        answer = problem_answer(problem)
        answer.headers |= note.headers
        return answer

    async def _dispatched(self, request: Request, note: _Note) -> Answer:
        forwarded = [request.headers["x-forwarded-for"]] if "x-forwarded-for" in request.headers else []
        note.client = address.client_address(request.peer, forwarded, self._proxies)
        url = address.gateway_url(
            request.scheme,
            request.headers.get("host", ""),
            request.peer,
            request.headers.get("x-forwarded-proto", ""),
            self._proxies,
            self._settings.public_url,
        )
        note.tls = url.startswith("https:")
        found = self._table.find(request.path)
        if found is None:
            return await self._static(request, note)
        methods, ids = found
        bound = methods.get("GET" if request.method == "HEAD" else request.method)
        first = next(iter(methods.values())).route
        note.route = first.path
        if ids:
            note.path = first.path.replace("{title_id}", ids.get("title_id", "{title_id}"))
        if first.cors:
            note.headers |= CORS
        if bound is None:
            return self._other_method(request, methods, note)
        if not url:
            raise BadRequest("the Host header names no host")
        call = await self._call(request, bound, note, url)
        return await self._handled(request, bound, call, ids, note)

    async def _call(self, request: Request, bound: Bound, note: _Note, url: str) -> Call:
        # base.rpc counts deadlines on the machine's own monotonic clock
        context.deadline_s.set(time.monotonic() + self._settings.timeout_s)
        identity, account = await self._guard.admit(request, bound.route)
        note.account = identity.account_id if identity else ""
        return Call(
            gateway=self._gateway,
            signed_in=identity,
            account=account,
            client_address=note.client,
            gateway_url=url,
            peer=request.peer,
            user_agent=request.headers.get("user-agent", ""),
            if_none_match=request.headers.get("if-none-match", ""),
        )

    async def _handled(self, request: Request, bound: Bound, call: Call, ids: Mapping[str, str], note: _Note) -> Answer:
        route = bound.route
        arguments: dict[str, Any] = dict(ids)
        if bound.query is not None:
            arguments["query"] = converted(request.query(), bound.query, "query")
            wait_s = float(getattr(arguments["query"], "wait_s", 0.0))
            context.deadline_s.set(time.monotonic() + self._settings.timeout_s + wait_s)
        if bound.headers is not None:
            arguments["headers"] = converted(request.headers, bound.headers, "headers")
        if bound.decode_body is not None:
            arguments["body"] = await self._body(request, bound)
        result = await route.handler(call, **arguments)
        if isinstance(result, Answer):
            answer = result
        elif route.finish is not None:
            answer = route.finish(call, result)
        else:
            answer = Answer(status=204) if result is None else json_answer(result)
        if answer.status == 200:
            answer.status = route.status
        answer.headers = {"cache-control": "no-store", **note.headers, **answer.headers}
        return answer

    async def _body(self, request: Request, bound: Bound) -> Any:
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not bound.route.any_content_type and declared != "application/json" and not declared.endswith("+json"):
            raise NotJson(f"the body is {declared or 'of no declared type'}, JSON is wanted")
        assert bound.decode_body is not None  # noqa: S101  (what the caller has just asked)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                raw = await request.body(max(self._settings.body_max_bytes, bound.route.body_bytes_max))
        except TimeoutError as error:
            raise BodyTooSlow("the body did not come in time") from error
        return decoded(bound.body, bound.decode_body, raw)

    def _other_method(self, request: Request, methods: Mapping[str, Bound], note: _Note) -> Answer:
        note.headers["allow"] = allowed(methods)
        if request.method == "OPTIONS":
            if "access-control-allow-origin" in note.headers:
                note.headers |= {
                    "access-control-allow-methods": allowed(methods),
                    "access-control-allow-headers": "*",
                    "access-control-max-age": "86400",
                }
            return Answer(status=204, headers=note.headers)
        raise WrongMethod(f"{request.method} is not for this address")

    async def _static(self, request: Request, note: _Note) -> Answer:
        """The web app's files, for all that is not the API's."""
        if request.path == "/api" or request.path.startswith("/api/"):
            note.path = "/api"  # what was mistyped may be a session's address, which is a capability
            raise NoSuchAddress("nothing is at this address")
        note.route = "web"
        if request.method not in ("GET", "HEAD"):
            note.headers["allow"] = "GET, HEAD, OPTIONS"
            if request.method == "OPTIONS":
                return Answer(status=204, headers=note.headers)
            raise WrongMethod(f"{request.method} is not for this address")
        return await self._web.answer(request.path, request.headers.get("accept-encoding", ""), request.headers.get("if-none-match", ""))

    def _openapi(self) -> bytes:
        if not self._document:
            self._document = msgspec.json.encode(openapi.document(GROUPS))
        return self._document


class _Note(Struct):
    """What is learnt of a request on its way, for its headers and its line in the log."""

    route: str
    path: str
    client: str = ""
    account: str = ""
    code: str = ""
    tls: bool = False
    headers: dict[str, str] = {}


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start or stop: clients belong to the process that made them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
