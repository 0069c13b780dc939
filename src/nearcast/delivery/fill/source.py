"""Where an appliance copies files from: its parent, over HTTP byte ranges. Foreign errors of httpx end here."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

from nearcast.base.errors import BadInput, NearcastError, Unavailable

CHUNK_BYTES = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class SourceDown(Unavailable):
    """The source of a fill does not answer, or broke off."""

    code = "NC2013"
    cure = "see `nearcast status` for the origin; the fill goes on by itself"


class SourceWrong(NearcastError):
    """The source of a fill answers with something that cannot be the file."""

    code = "NC2014"
    status = 502
    cure = "see that the edge's parent_url leads to this system's origin, and that both share one root secret"


class SourceLacks(SourceWrong):
    """The source of a fill does not have the file."""

    code = "NC2017"
    cure = "the title was withdrawn meanwhile; see that the edge's parent_url leads to this system's origin if it was not"


class OtherLength(SourceWrong):
    """The source of a fill has a file of another length than the one that was published."""

    code = "NC2018"
    cure = "the origin's copy is damaged: publish the title again (`nearcast ingest`)"


class Source(Protocol):
    """Gives bytes of published files."""

    def read(self, title_id: str, name: str, start: int, size_bytes: int) -> AsyncIterator[bytes]:
        """Bytes from ``start`` to the end of a file of ``size_bytes``, in chunks. Raises SourceDown or SourceWrong."""
        ...


class HttpSource:
    """A parent at ``url``: this system's origin, or what speaks like it. ``name``: the one in its certificate, if not the host's."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str, name: str = "") -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._token = token
        self._extensions = {"sni_hostname": name} if name else {}

    async def read(self, title_id: str, name: str, start: int, size_bytes: int) -> AsyncIterator[bytes]:
        left = size_bytes - start
        async with self._open(f"/titles/{title_id}/{name}", start, size_bytes) as response:
            async for chunk in response.aiter_raw(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise SourceWrong(f"{self._url} sent more of {name} than there is")
                yield chunk
        if left:
            raise SourceDown(f"{self._url} broke off in {name}")

    @asynccontextmanager
    async def _open(self, path: str, start: int, size_bytes: int) -> AsyncIterator[httpx.Response]:
        headers = {"authorization": f"Bearer {self._token}", "accept-encoding": "identity"}
        if start:
            headers["range"] = f"bytes={start}-"
        try:
            async with self._client.stream("GET", self._url + path, headers=headers, extensions=self._extensions) as response:
                self._judge(response, path, start, size_bytes)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:  # TLS 1.3 refuses our certificate only on reading
            raise SourceDown(f"{self._url} does not answer ({type(error).__name__})") from error

    def _judge(self, response: httpx.Response, path: str, start: int, size_bytes: int) -> None:
        status = response.status_code
        if status in (502, 503, 504, 429):
            raise SourceDown(f"{self._url} answers {status}")
        if status != (206 if start else 200):
            raise (SourceLacks if status == 404 else SourceWrong)(f"{self._url} answers {status} to {path}")
        if start:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            right = match is not None and (int(match[1]), int(match[3])) == (start, size_bytes)
        else:
            right = response.headers.get("content-length") == str(size_bytes)
        if not right:
            raise OtherLength(f"{self._url} has another length for {path} than was published")


class BadSourceCertificate(BadInput):
    """The certificate or authority for an edge's parent cannot be used."""

    code = "NC2016"
    cure = "give PEM files: parent_ca, and parent_certificate with the unencrypted parent_key"


def secured(authority: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """How sources are called. ``authority``: a PEM file, empty for the machine's own; ``certificate`` and ``key``: what they are shown."""
    try:
        context = ssl.create_default_context(cafile=authority or None)
    except OSError as error:  # ssl.SSLError among them
        raise BadSourceCertificate(f"{authority} cannot be used: {error.strerror or error}") from error
    if certificate:
        show(context, certificate, key)
    return context


def show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Show sources this certificate from the next connection on. Raises BadSourceCertificate."""
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise BadSourceCertificate(f"{certificate} cannot be used: {error.strerror or error}") from error


def client(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for sources, as ``secured`` says."""
    timeout = httpx.Timeout(15.0, connect=3.0)
    return httpx.AsyncClient(timeout=timeout, trust_env=False, verify=context or secured(), follow_redirects=False)
