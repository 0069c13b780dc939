"""Resumable uploads, tus 1.0 core and termination (https://tus.io/protocols/resumable-upload), straight to the fleet.

There is no creation by POST: the address comes from ``Ingest.upload`` and is a sealed capability, so this port needs no login.
Bytes are appended as they come; what was written when a connection broke is what HEAD tells.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from nearcast.base import context
from nearcast.base.errors import BadInput, Conflict, NearcastError, NotFound, TooLarge
from nearcast.base.ids import new_id
from nearcast.base.web import Application, Receive, Scope, Send, only_http
from nearcast.media import arrival
from nearcast.media.files import disk
from nearcast.media.ingest import IngestService, UploadCapability
from nearcast.media.jobs import Job, UploadCancelled
from nearcast.policy.capability import unseal

VERSION = b"1.0.0"
PREFIX = "/uploads/"
BUFFER_BYTES = 1 << 20
ALLOWED = b"HEAD, PATCH, DELETE, OPTIONS"
EXPOSED = b"Upload-Offset, Upload-Length, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, X-Request-Id"

Headers = list[tuple[bytes, bytes]]


class WrongOffset(Conflict):
    """The upload stands at another byte than the one that was to follow."""

    code = "NC1601"
    cure = "ask by HEAD how far the upload is, and go on from there"


class WrongType(BadInput):
    """An upload's bytes come as application/offset+octet-stream."""

    code = "NC1602"
    status = 415


class WrongVersion(BadInput):
    """Uploads speak tus 1.0.0."""

    code = "NC1603"
    status = 412


class NotUploading(Conflict):
    """The film of this address is in already, or is no longer wanted."""

    code = "NC1604"
    cure = "ask for a new upload"


class BadRequest(BadInput):
    """A header of the upload makes no sense."""

    code = "NC1605"


class WrongMethod(BadInput):
    """An upload knows HEAD, PATCH, DELETE and OPTIONS."""

    code = "NC1606"
    status = 405


# --- pure -------------------------------------------------------------------------------------------------------------


def offset(headers: dict[bytes, bytes]) -> int:
    """The Upload-Offset of a PATCH. Raises BadRequest, WrongType."""
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/offset+octet-stream":
        raise WrongType("the body must be application/offset+octet-stream")
    text = headers.get(b"upload-offset", b"")
    if not text.isdigit() or len(text) > 18:
        raise BadRequest("Upload-Offset must be a number")
    return int(text)


def cors(origin: bytes, allowed: Sequence[str]) -> Headers:
    """The headers that let a page of an allowed origin use this port; none for others."""
    if origin.decode("latin-1") not in allowed:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", ALLOWED),
        (b"access-control-allow-headers", b"Content-Type, Tus-Resumable, Upload-Offset, Upload-Length"),
        (b"access-control-expose-headers", EXPOSED),
        (b"access-control-max-age", b"600"),
        (b"vary", b"Origin"),
    ]


# --- shell ------------------------------------------------------------------------------------------------------------


def application(ingest: IngestService, origins: Sequence[str] = ()) -> Application:
    """The ASGI application. ``origins``: whose pages may upload, as ``http://127.0.0.1:8080``."""
    uploads = _Uploads(ingest)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        only_http(scope)
        headers = {name.lower(): value for name, value in scope["headers"]}
        request_id = new_id("r")
        context.request_id.set(request_id)
        found = [*cors(headers.get(b"origin", b""), origins), (b"tus-resumable", VERSION), (b"cache-control", b"no-store")]
        found.append((b"x-request-id", request_id.encode()))
        try:
            status, more = await uploads.answer(scope, headers, receive)
            await _say(send, status, b"", [*found, *more])
        except NearcastError as error:
            body = msgspec.json.encode(error.problem(request_id))
            await _say(send, error.status, body if scope["method"] != "HEAD" else b"", [*found, (b"content-type", b"application/json")])

    return serve


class _Uploads:
    """One request at a time for each upload."""

    def __init__(self, ingest: IngestService) -> None:
        self._ingest = ingest
        self._busy: set[str] = set()

    async def answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> tuple[int, Headers]:
        method, path = str(scope["method"]), str(scope["path"])
        if path == "/healthz":
            return 200, []
        if method == "OPTIONS":
            size = str(self._ingest.settings.limits.upload_bytes).encode()
            return 204, [(b"tus-version", VERSION), (b"tus-extension", b"termination"), (b"tus-max-size", size)]
        if not path.startswith(PREFIX):
            raise NotFound("there is nothing here but uploads")
        if method not in ("HEAD", "PATCH", "DELETE"):
            raise WrongMethod(f"an upload does not know {method[:20]}")
        if headers.get(b"tus-resumable") != VERSION:
            raise WrongVersion("uploads speak tus 1.0.0", hint="send Tus-Resumable: 1.0.0")
        now_s = self._ingest.clock.now_s()
        ticket = unseal(path.removeprefix(PREFIX), UploadCapability, self._ingest.upload_key, now_s)
        job = self._ingest.job(ticket.job_id)
        if job.state == "cancelled":
            raise UploadCancelled("this upload was given up")
        if job.id in self._busy:
            if method == "HEAD":
                return 200, self._state(job, ticket)
            raise WrongOffset("another request is writing to this upload")
        self._busy.add(job.id)
        try:
            if method == "DELETE":
                return await self._delete(job)
            await self._ingest.arrived(job)  # who is told that the last byte is in sends nothing more
            return (200, self._state(job, ticket)) if method == "HEAD" else await self._patch(job, ticket, headers, receive)
        finally:
            self._busy.discard(job.id)

    def _state(self, job: Job, ticket: UploadCapability) -> Headers:
        at = arrival.held_bytes(job.record) if job.state == "uploading" else ticket.size_bytes
        return [(b"upload-offset", str(at).encode()), (b"upload-length", str(ticket.size_bytes).encode())]

    async def _patch(self, job: Job, ticket: UploadCapability, headers: dict[bytes, bytes], receive: Receive) -> tuple[int, Headers]:
        begin = offset(headers)
        if job.state != "uploading":
            raise NotUploading("this film is in already")
        data = arrival.data(job.record)
        with disk():
            data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        at = arrival.held_bytes(job.record)
        if begin != at:
            raise WrongOffset(f"the upload stands at byte {at}, not {begin}")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and at + int(length[:18]) > ticket.size_bytes:
            raise TooLarge(f"the upload was announced with {ticket.size_bytes} bytes")
        with disk(), data.open("ab") as file:
            whole = await self._receive(file, receive, ticket.size_bytes - at)
            await asyncio.to_thread(_flush, file)
            at = file.tell()
        self._tell(job, at)
        if not whole:
            raise TooLarge(f"the upload was announced with {ticket.size_bytes} bytes")
        await self._ingest.arrived(job)
        return 204, [(b"upload-offset", str(at).encode())]

    async def _receive(self, file: BinaryIO, receive: Receive, room: int) -> bool:
        """Append the body as it comes. False when it is longer than ``room``: what fits is kept."""
        buffer = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.to_thread(file.write, buffer)
                return True
            buffer += message.get("body", b"")
            if len(buffer) > room:
                await asyncio.to_thread(file.write, buffer[:room])
                return False
            more = message.get("more_body", False)
            if len(buffer) >= BUFFER_BYTES or not more:
                await asyncio.to_thread(file.write, bytes(buffer))
                room -= len(buffer)
                buffer.clear()
            if not more:
                return True

    def _tell(self, job: Job, at: int) -> None:
        """Raises UploadCancelled."""
        if job.state == "cancelled":
            raise UploadCancelled("this upload was given up while its bytes came")
        job.update(self._ingest.clock.now_s(), uploaded_bytes=at)
        self._ingest.save(job)
        self._ingest.wake()

    async def _delete(self, job: Job) -> tuple[int, Headers]:
        if job.state != "uploading":
            raise NotUploading("this film is in already", hint="cancel its ingest instead")
        self._ingest.end(job, "cancelled")
        return 204, []


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _say(send: Send, status: int, body: bytes, headers: Headers) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})
