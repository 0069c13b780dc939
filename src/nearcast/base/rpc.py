"""Calls between services: a Protocol of async methods, carried over gRPC as msgspec MessagePack, or in process.

A method takes one Struct and answers with one. Interceptors, resolver and balancer are arguments, so that this room knows
nothing of limits or health. Deadlines and request ids travel with the call; errors keep their code, hint and status.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, get_type_hints

# gRPC's own handlers around fork(2) crash one child in forty between fork and exec while calls run (SIGSEGV, measured with
# uvloop and grpcio 1.85). Nobody here calls gRPC in a fork of a process that already did: none are needed.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio
import msgspec
import structlog
from msgspec import Struct

from nearcast.base import context
from nearcast.base.errors import BadInput, DeadlineExceeded, Internal, NearcastError, Problem, Remote, Unavailable

T = TypeVar("T")

Resolver = Callable[[], Sequence[str]]
"""Addresses that may answer now, in no order (``unix:/run/x.sock`` or ``host:port``)."""
Balancer = Callable[[Sequence[str]], str]
"""Picks one of at least one address."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
DEFAULT_TIMEOUT_S = 5.0
_REQUEST_ID = "nearcast-request-id"
_TOKEN = "nearcast-token"  # noqa: S105  (the name of a header)
_PROBLEM = "nearcast-problem-bin"

_encode = msgspec.msgpack.Encoder().encode
_log = structlog.get_logger("rpc")


class Method(Struct, frozen=True):
    """One method of a Protocol: its name, and the Structs it takes and answers with."""

    name: str
    question: type[Any]
    answer: type[Any]


def methods(protocol: type[Any]) -> list[Method]:
    """The async methods that ``protocol`` declares, in order."""
    found = []
    for name, function in vars(protocol).items():
        if name.startswith("_") or not asyncio.iscoroutinefunction(function):
            continue
        hints = get_type_hints(function)
        answer = hints.pop("return")
        (question,) = hints.values()
        found.append(Method(name, question, answer))
    return found


# --- server -----------------------------------------------------------------------------------------------------------


def _handler(protocol: type[Any], implementation: object, token: str) -> grpc.GenericRpcHandler:
    table = {each.name: _unary(getattr(implementation, each.name), each, token) for each in methods(protocol)}
    return grpc.method_handlers_generic_handler(f"nearcast.{protocol.__name__}", table)


def _unary(call: Callable[[Any], Awaitable[Any]], method: Method, token: str) -> grpc.RpcMethodHandler[Any, Any]:
    decode = msgspec.msgpack.Decoder(method.question).decode

    async def answer(raw: bytes, servicer: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        metadata = dict(servicer.invocation_metadata() or ())
        request_id = str(metadata.get(_REQUEST_ID, ""))
        context.request_id.set(request_id)
        if token and not hmac.compare_digest(str(metadata.get(_TOKEN, "")).encode(), token.encode()):
            await servicer.abort(grpc.StatusCode.UNAUTHENTICATED, "the caller does not know this system's secret")
        remaining_s = servicer.time_remaining()
        context.deadline_s.set(None if remaining_s is None else time.monotonic() + remaining_s)
        try:
            return _encode(await call(decode(raw)))
        except NearcastError as error:
            problem = error.problem(request_id)
        except msgspec.MsgspecError as error:
            problem = BadInput(f"the message does not fit {method.question.__name__}: {error}").problem(request_id)
        except Exception:
            _log.exception("call failed", method=method.name, request_id=request_id)
            problem = Internal(f"{method.name} failed unexpectedly").problem(request_id)
        servicer.set_trailing_metadata(((_PROBLEM, _encode(problem)),))
        servicer.set_code(grpc.StatusCode.FAILED_PRECONDITION)
        servicer.set_details(problem.message)
        return b""

    return grpc.unary_unary_rpc_method_handler(answer)


async def serve(
    services: Mapping[type[Any], object],
    address: str,
    *,
    token: str = "",
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> grpc.aio.Server:
    """Start a server at ``address`` that answers for every Protocol in ``services`` with its implementation.

    Raises Unavailable when the address cannot be taken. ``token``: callers must send the same. The caller stops the server.
    """
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers([_handler(protocol, each, token) for protocol, each in services.items()])
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise Unavailable(f"cannot listen at {address}: {error}", hint="end what uses it, or set another address") from error
    await server.start()
    return server


# --- client -----------------------------------------------------------------------------------------------------------


class Channels:
    """Open channels by address, made on first use. One for each process; ``close`` ends them all."""

    def __init__(
        self,
        *,
        token: str = "",
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._token = token
        self._interceptors = list(interceptors)
        self._credentials = credentials
        self._open: dict[str, grpc.aio.Channel] = {}

    def at(self, address: str) -> grpc.aio.Channel:
        channel = self._open.get(address)
        if channel is None:
            options = [
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                # A peer that was restarted should be found again at once, not after gRPC's default of minutes.
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_http_proxy", 0),
            ]
            if self._credentials is None or address.startswith("unix:"):
                channel = grpc.aio.insecure_channel(address, options=options, interceptors=self._interceptors)
            else:
                channel = grpc.aio.secure_channel(address, self._credentials, options=options, interceptors=self._interceptors)
            self._open[address] = channel
        return channel

    def metadata(self) -> tuple[tuple[str, str], ...]:
        found = [(_REQUEST_ID, context.request_id.get())] if context.request_id.get() else []
        return tuple(found + ([(_TOKEN, self._token)] if self._token else []))

    async def close(self) -> None:
        for channel in self._open.values():
            await channel.close()
        self._open.clear()


def first(addresses: Sequence[str]) -> str:
    """The plainest balancer."""
    return addresses[0]


def connect(
    protocol: type[T],
    resolver: Resolver,
    channels: Channels,
    *,
    balancer: Balancer = first,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> T:
    """A client of ``protocol``: calls its methods at the address that ``resolver`` and ``balancer`` give.

    A call raises Unavailable when nobody answers, DeadlineExceeded after ``timeout_s`` or the caller's own deadline,
    and Remote with the peer's own code otherwise. A question with a ``wait_s`` field is given that much more time.
    """
    client = _Client()
    for method in methods(protocol):
        setattr(client, method.name, _call(protocol, method, resolver, balancer, channels, timeout_s))
    return cast(T, client)


class _Client:
    """Holds the bound methods of one client."""


def _timeout(question: Struct, timeout_s: float) -> float:
    timeout_s += float(getattr(question, "wait_s", 0.0))
    deadline_s = context.deadline_s.get()
    return timeout_s if deadline_s is None else min(timeout_s, max(0.001, deadline_s - time.monotonic()))


def _call(
    protocol: type[Any], method: Method, resolver: Resolver, balancer: Balancer, channels: Channels, timeout_s: float
) -> Callable[[Any], Awaitable[Any]]:
    path = f"/nearcast.{protocol.__name__}/{method.name}"
    decode = msgspec.msgpack.Decoder(method.answer).decode

    async def call(question: Any) -> Any:
        addresses = resolver()
        if not addresses:
            raise Unavailable(f"no {protocol.__name__} service is known")
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channels.at(balancer(addresses)).unary_unary(path)
        try:
            raw = await ask(_encode(question), timeout=_timeout(question, timeout_s), metadata=channels.metadata())
        except grpc.aio.AioRpcError as error:
            raise _mapped(error, protocol) from error
        return decode(raw)

    return call


def _mapped(error: grpc.aio.AioRpcError, protocol: type[Any]) -> NearcastError:
    for key, value in error.trailing_metadata() or ():
        if key == _PROBLEM:
            return Remote(msgspec.msgpack.decode(cast(bytes, value), type=Problem))
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{protocol.__name__} did not answer in time")
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return Unavailable(f"{protocol.__name__} refuses this process: {error.details()}", hint="both need the same secrets/")
    # gRPC's own words name sockets and addresses: they stay in the cause, for a trace, and do not reach who asked.
    return Unavailable(f"{protocol.__name__} does not answer")


def local(protocol: type[T], implementation: object, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> T:
    """The in-process short cut: no socket, the same types, deadlines and errors as ``connect``."""
    client = _Client()
    for method in methods(protocol):
        setattr(client, method.name, _local_call(method, getattr(implementation, method.name), timeout_s))
    return cast(T, client)


def _local_call(method: Method, function: Callable[[Any], Awaitable[Any]], timeout_s: float) -> Callable[[Any], Awaitable[Any]]:
    async def call(question: Any) -> Any:
        if not isinstance(question, method.question):
            raise BadInput(f"{method.name} takes {method.question.__name__}, not {type(question).__name__}")
        try:
            async with asyncio.timeout(_timeout(question, timeout_s)):
                return await function(question)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{method.name} did not answer in time") from error

    return call
