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
# uvloop and grpcio 1.85). Nobody here calls gRPC in a fork of a process that already did: none are needed, whatever the
# environment says.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc
import grpc.aio
import msgspec
import structlog
from msgspec import Struct

from nearcast.base import context
from nearcast.base.errors import BadInput, DeadlineExceeded, Internal, NearcastError, Problem, Unavailable, remote

T = TypeVar("T")

Resolver = Callable[[], Sequence[str]]
"""Addresses that may answer now, in no order (``unix:/run/x.sock`` or ``host:port``)."""
Balancer = Callable[[Sequence[str]], str]
"""Picks one of at least one address."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
ANSWER_BYTES_MAX = 128 * 1024 * 1024
"""What an appliance is to hold of a large library is told in one answer: 140 bytes for each of some 100,000 files."""
DEFAULT_TIMEOUT_S = 5.0
_REQUEST_ID = "nearcast-request-id"
_TOKEN = "nearcast-token"  # noqa: S105  (the name of a header)
_PROBLEM = "nearcast-problem-bin"

HERE = ("127.0.0.1", "[::1]", "localhost")
"""The hosts that need no TLS. The rest of 127.0.0.0/8 counts as elsewhere, so that several hosts can be tried on one."""

_encode = msgspec.msgpack.Encoder().encode
_log = structlog.get_logger("rpc")


class Unprotected(BadInput):
    """Calls from host to host need mutual TLS, and this host has no certificate of the system's authority."""

    code = "NC0015"
    cure = "copy the whole of secrets/ from the host that ran `nearcast up`, or let this one join as an edge: `nearcast edge join TOKEN`"


class Mutual(Struct, frozen=True, kw_only=True):
    """Mutual TLS: PEM texts of the authority and of our own certificate and key, and the name that every server's certificate bears."""

    authority: bytes
    certificate: bytes
    key: bytes
    server_name: str

    def __repr__(self) -> str:
        return "Mutual(…)"


def elsewhere(address: str) -> bool:
    """Whether ``address`` is past this machine: neither a socket file nor loopback."""
    return not address.startswith("unix:") and address.rpartition(":")[0] not in HERE


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


def _handler(protocol: type[Any], implementation: object, token: str, secured: bool) -> grpc.GenericRpcHandler:
    table = {each.name: _unary(getattr(implementation, each.name), each, token, secured) for each in methods(protocol)}
    return grpc.method_handlers_generic_handler(f"nearcast.{protocol.__name__}", table)


def _unary(call: Callable[[Any], Awaitable[Any]], method: Method, token: str, secured: bool) -> grpc.RpcMethodHandler[Any, Any]:
    decode = msgspec.msgpack.Decoder(method.question).decode

    async def answer(raw: bytes, servicer: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        metadata = dict(servicer.invocation_metadata() or ())
        request_id = str(metadata.get(_REQUEST_ID, ""))
        context.request_id.set(request_id)
        if token and not hmac.compare_digest(str(metadata.get(_TOKEN, "")).encode(), token.encode()):
            await servicer.abort(grpc.StatusCode.UNAUTHENTICATED, "the caller does not know this system's secret")
        if secured:
            context.peer.set(_peer(servicer))
            context.peer_certificate.set(b"".join(servicer.auth_context().get("x509_pem_cert", ())))
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


def _peer(servicer: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, ...]:
    """The names in the caller's certificate, in its order."""
    return tuple(name.decode() for name in servicer.auth_context().get("x509_subject_alternative_name", ()))


async def serve(
    services: Mapping[type[Any], object],
    address: str,
    *,
    token: str = "",
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    mutual: Mutual | None = None,
) -> grpc.aio.Server:
    """Start a server at ``address`` that answers for every Protocol in ``services`` with its implementation.

    ``token``: callers must send the same. ``mutual``: callers must show a certificate of the same authority; past this machine
    nobody is answered otherwise. The caller stops the server. Raises Unavailable when the address cannot be taken, Unprotected
    for one past this machine without ``mutual``.
    """
    if mutual is None and elsewhere(address):
        raise Unprotected(f"there is no certificate to listen with at {address}")
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers([_handler(protocol, each, token, mutual is not None) for protocol, each in services.items()])
    try:
        if mutual is None:
            server.add_insecure_port(address)
        else:
            pairs = [(mutual.key, mutual.certificate)]
            server.add_secure_port(address, grpc.ssl_server_credentials(pairs, mutual.authority, require_client_auth=True))
    except RuntimeError as error:
        raise Unavailable(f"cannot listen at {address}: {error}", hint="end what uses it, or set another address") from error
    await server.start()
    return server


# --- client -----------------------------------------------------------------------------------------------------------


class Channels:
    """Open channels by address, made on first use. One for each process; ``close`` ends them all.

    ``mutual`` gives the certificates for addresses past this machine, and is asked when the first of them is dialled.
    """

    def __init__(
        self,
        *,
        token: str = "",
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
        mutual: Callable[[], Mutual | None] = lambda: None,
    ) -> None:
        self._token = token
        self._interceptors = list(interceptors)
        self._mutual = mutual
        self._open: dict[str, grpc.aio.Channel] = {}

    def at(self, address: str) -> grpc.aio.Channel:
        """Raises Unprotected for an address past this machine where there is no certificate."""
        channel = self._open.get(address)
        if channel is None:
            options: list[tuple[str, Any]] = [
                ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
                # A peer that was restarted should be found again at once, not after gRPC's default of minutes.
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_http_proxy", 0),
            ]
            if elsewhere(address):
                mutual = self._mutual()
                if mutual is None:
                    raise Unprotected(f"there is no certificate to call {address} with")
                credentials = grpc.ssl_channel_credentials(mutual.authority, mutual.key, mutual.certificate)
                options.append(("grpc.ssl_target_name_override", mutual.server_name))
                channel = grpc.aio.secure_channel(address, credentials, options=options, interceptors=self._interceptors)
            else:
                channel = grpc.aio.insecure_channel(address, options=options, interceptors=self._interceptors)
            self._open[address] = channel
        return channel

    def metadata(self) -> tuple[tuple[str, str], ...]:
        found = [(_REQUEST_ID, context.request_id.get())] if context.request_id.get() else []
        return tuple(found + ([(_TOKEN, self._token)] if self._token else []))

    async def renew(self, grace_s: float) -> None:
        """Have every later call dial anew, with the certificate of then; calls under way are given ``grace_s`` to end."""
        old, self._open = self._open, {}
        await asyncio.gather(*(channel.close(grace_s) for channel in old.values()))

    async def close(self) -> None:
        while self._open:  # while one closes, others may still be made
            _, channel = self._open.popitem()
            await channel.close()


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
        try:
            return decode(raw)
        except msgspec.MsgspecError as error:
            raise _foreign(protocol, method.answer, error) from error

    return call


def _mapped(error: grpc.aio.AioRpcError, protocol: type[Any]) -> NearcastError:
    for key, value in error.trailing_metadata() or ():
        if key == _PROBLEM:
            try:
                return remote(msgspec.msgpack.decode(cast(bytes, value), type=Problem))
            except msgspec.MsgspecError as unfit:
                return _foreign(protocol, Problem, unfit)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{protocol.__name__} did not answer in time")
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return Unavailable(f"{protocol.__name__} refuses this process: {error.details()}", hint="both need the same secrets/")
    if "certificate verify failed" in (error.details() or "").lower().replace("_", " "):
        return Unavailable(f"{protocol.__name__} shows a certificate of another authority", hint="both need the same secrets/")
    # gRPC's own words name sockets and addresses: they stay in the cause, for a trace, and do not reach who asked.
    return Unavailable(f"{protocol.__name__} does not answer")


def _foreign(protocol: type[Any], kind: type[Any], error: msgspec.MsgspecError) -> Unavailable:
    """While processes are exchanged one by one, two versions may meet: that passes, like a process that is away."""
    text = f"{protocol.__name__} speaks another version: its message does not fit {kind.__name__}: {error}"
    return Unavailable(text, hint="bring all hosts to the same version of Nearcast and start what runs an older one anew")


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
