"""A request as it came in and an answer as it goes out, over ASGI (the interface Granian speaks)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from nearcast.base.errors import Problem
from nearcast.control.gateway.errors import BadRequest, BodyTooLarge, Gone

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = "application/json"
COMPRESS_MIN_BYTES = 1000
_COMPRESSIBLE = re.compile(r"application/(json|dash\+xml|vnd\.apple\.mpegurl|manifest\+json|javascript)|text/|image/svg")
_encode = msgspec.json.Encoder().encode


class Answer(Struct, kw_only=True):
    """An HTTP answer. ``headers`` have lower-case names. ``compress`` False: never, for answers with a secret in them."""

    status: int = 200
    body: bytes = b""
    media_type: str = ""
    headers: dict[str, str] = {}
    compress: bool = True


def json_answer(content: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=_encode(content), media_type=JSON)


def problem_answer(problem: Problem) -> Answer:
    """An error as JSON. 503 says when to try again, 401 how to sign in."""
    answer = json_answer(problem, problem.status)
    answer.headers = {"cache-control": "no-store"}
    if problem.status == 503:
        answer.headers["retry-after"] = "1"
    if problem.status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer


class Request:
    """One request: its headers by lower-case name, and its body on demand."""

    __slots__ = ("_receive", "headers", "method", "path", "peer", "query_string", "scheme")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.peer: str = (scope.get("client") or ("",))[0]
        self.query_string: bytes = scope.get("query_string", b"")
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self.headers = headers
        self._receive = receive

    def query(self) -> dict[str, str]:
        """The query's fields; of one given twice the last. Raises BadRequest for what is not UTF-8."""
        try:
            return dict(parse_qsl(self.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100))
        except ValueError as error:
            raise BadRequest(f"the query is damaged: {error}") from error

    def cookie(self, name: str) -> str:
        for part in self.headers.get("cookie", "").replace(", ", "; ").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""

    async def body(self, max_bytes: int) -> bytes:
        """The whole body. Raises BodyTooLarge past ``max_bytes``, before it is read where its length is told."""
        told = self.headers.get("content-length", "")
        if told.isdecimal() and int(told[:18]) > max_bytes:
            raise BodyTooLarge(f"the body has {told[:18]} bytes, at most {max_bytes} are taken")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Gone("the connection ended within the body")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > max_bytes:
                raise BodyTooLarge(f"the body has more than the {max_bytes} bytes that are taken")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be answered (RFC 9110, 12.5.3)."""
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding in ("gzip", "*"):
            return not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return False


def compressed(answer: Answer, accept_encoding: str) -> Answer:
    """``answer``, gzipped in place where that pays and the client can read it."""
    if not answer.compress or len(answer.body) < COMPRESS_MIN_BYTES or _COMPRESSIBLE.match(answer.media_type) is None:
        return answer
    answer.headers["vary"] = "accept-encoding"
    if "content-encoding" not in answer.headers and accepts_gzip(accept_encoding):
        answer.body = gzip.compress(answer.body, compresslevel=4, mtime=0)
        answer.headers["content-encoding"] = "gzip"
    return answer


async def send_answer(send: Send, answer: Answer, extra: list[tuple[bytes, bytes]], *, head: bool) -> None:
    """Send it. ``head``: all but the body."""
    headers = [*extra]
    if answer.media_type:
        headers.append((b"content-type", answer.media_type.encode()))
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
