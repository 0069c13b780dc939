"""The origin: published files over HTTP from an object store (a local folder, S3, memory), for the edges of this system.

Ranges as RFC 9110 has them: one range at a time, 416 past the end. Files are immutable and named by content, so the name is
the entity tag. Nothing is read whole: bytes pass in chunks.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

import obstore
import structlog
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from nearcast.base.web import Application, Receive, Scope, Send, only_http

CHUNK_BYTES = 256 * 1024
TYPES = {
    "mp4": b"video/mp4",
    "m3u8": b"application/vnd.apple.mpegurl",
    "vtt": b"text/vtt",
    "jpg": b"image/jpeg",
    "blocks": b"application/octet-stream",
}
_PATH = re.compile(r"/titles/([A-Za-z0-9_-]{1,64})/([0-9a-f]{64})\.(mp4|m3u8|vtt|jpg|blocks)")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_log = structlog.get_logger("origin")

Headers = list[tuple[bytes, bytes]]


class ByteRange(Struct, frozen=True):
    """``first`` to ``last`` inclusive; ``last`` None: to the end; ``first`` None: the ``last`` bytes of the file."""

    first: int | None
    last: int | None


def parse_range(header: str) -> ByteRange | None:
    """What a Range header asks for; None where it is to be ignored (several ranges, another unit, nonsense)."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = (int(each) if each else None for each in match.groups())
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def resolve_range(wanted: ByteRange, size_bytes: int) -> tuple[int, int] | None:
    """Start and end (exclusive) within a file of ``size_bytes``; None: nothing of it is there (416)."""
    if wanted.first is None:
        start, end = max(0, size_bytes - (wanted.last or 0)), size_bytes
    else:
        start, end = wanted.first, size_bytes if wanted.last is None else min(wanted.last + 1, size_bytes)
    return (start, end) if start < end else None


def application(store: ObjectStore, token: str) -> Application:
    """An ASGI application: ``/titles/{title_id}/{root}.{ext}`` for who brings ``token`` as bearer, ``/healthz`` for everyone."""
    expected = f"Bearer {token}".encode()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        only_http(scope)
        headers = dict(scope["headers"])
        method: str = scope["method"]
        if scope["path"] == "/healthz":
            await _say(send, 200, b"ok\n")
        elif method not in ("GET", "HEAD"):
            await _say(send, 405, b"GET or HEAD\n", [(b"allow", b"GET, HEAD")])
        elif not hmac.compare_digest(headers.get(b"authorization", b""), expected):
            await _say(send, 401, b"the origin serves only this system's edges\n", [(b"www-authenticate", b"Bearer")])
        elif (match := _PATH.fullmatch(scope["path"])) is None:
            await _say(send, 404, b"no such file\n")
        else:
            await _answer(store, match.group(0)[1:], match.group(2), match.group(3), method, headers, send)

    return serve


async def _answer(store: ObjectStore, path: str, root: str, extension: str, method: str, headers: dict[bytes, bytes], send: Send) -> None:
    tag = f'"{root}"'.encode() if extension != "blocks" else f'"{root}.blocks"'.encode()
    wanted = parse_range(headers.get(b"range", b"").decode("latin-1"))
    if headers.get(b"if-range", tag) != tag:
        wanted = None
    try:
        size_bytes = (await obstore.head_async(store, path))["size"]
    except FileNotFoundError:
        await _say(send, 404, b"no such file\n")
        return
    except (BaseError, OSError) as error:
        _log.error("the store does not answer", path=path, error=str(error).splitlines()[0])
        await _say(send, 502, b"the store does not answer\n")
        return
    span = resolve_range(wanted, size_bytes) if wanted else (0, size_bytes)
    if span is None:
        await _say(send, 416, b"past the end\n", [(b"content-range", f"bytes */{size_bytes}".encode())])
        return
    start, end = span
    answer: Headers = [
        (b"content-type", TYPES[extension]),
        (b"content-length", str(end - start).encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]
    if wanted:
        answer.append((b"content-range", f"bytes {start}-{end - 1}/{size_bytes}".encode()))
    await _stream(store, path, (start, end), method, (206 if wanted else 200, answer), send)


async def _stream(store: ObjectStore, path: str, span: tuple[int, int], method: str, head: tuple[int, Headers], send: Send) -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": head[0], "headers": head[1]}
    if method == "HEAD" or span[0] == span[1]:
        await send(start)
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        found = await obstore.get_async(store, path, options={"range": span})
    except (BaseError, OSError) as error:
        _log.error("the store does not answer", path=path, error=str(error).splitlines()[0])
        await _say(send, 502, b"the store does not answer\n")
        return
    await send(start)
    # A store that fails from here on ends the answer short of its length, which the edge sees and does not keep.
    async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
        await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _say(send: Send, status: int, text: bytes, headers: Headers | None = None) -> None:
    plain: Headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": plain})
    await send({"type": "http.response.body", "body": text})
