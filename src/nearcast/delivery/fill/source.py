"""Where an appliance copies files from: peers, the tier above, the origin, all by HTTP byte ranges. Foreign errors of httpx end here."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from nearcast.base import ports
from nearcast.base.errors import BadInput, NearcastError, Unavailable
from nearcast.model.fill import FillSource

CHUNK_BYTES = 64 * 1024
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


class NotYet(SourceLacks):
    """A peer or the tier above does not hold a file that it is to hold as well; it may come to have it."""

    code = "NC2044"
    cure = "the fill asks again by itself, and further away after peer_wait_s and tier_wait_s of [fill]"


class SourceSlow(SourceDown):
    """The source of a fill gives next to nothing."""

    code = "NC2046"
    cure = "see the load of the appliance that is named (`nearcast edges`) and the link to it; the fill goes on from another"


class CorruptSource(NearcastError):
    """A block of a file stays wrong at its source however often it is fetched."""

    code = "NC2015"
    status = 502
    cure = "the source's copy is damaged: an edge heals by itself; at the origin, publish the title again (`nearcast ingest`)"


class UnsafeSource(BadInput):
    """A source of a fill would be told its secret in the clear."""

    code = "NC2045"
    cure = "give the appliance that is named a certificate (tls_certificate, or `nearcast up --public`), so that its address is https"


class Source(Protocol):
    """Gives bytes of published files."""

    def read(self, title_id: str, name: str, start: int, size_bytes: int, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Bytes from ``start`` up to ``end`` (None: all that follow) of a file of ``size_bytes``, in chunks. Raises SourceDown or
        SourceWrong."""
        ...


class HttpSource:
    """What speaks like this system's origin at ``url``. ``name``: the one in its certificate, if not the host's. ``held_only``: of an
    appliance, what is placed there."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str, name: str = "", *, held_only: bool = False) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._token = token
        self._door, self._lacks = ("held", NotYet) if held_only else ("titles", SourceLacks)
        self._extensions = {"sni_hostname": name} if name else {}

    async def read(self, title_id: str, name: str, start: int, size_bytes: int, end: int | None = None) -> AsyncGenerator[bytes, None]:
        left = (size_bytes if end is None else end) - start
        async with self._open(f"/{self._door}/{title_id}/{name}", start, size_bytes, end) as response:
            async for chunk in response.aiter_raw(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise SourceWrong(f"{self._url} sent more of {name} than there is")
                yield chunk
        if left:
            raise SourceDown(f"{self._url} broke off in {name}")

    @asynccontextmanager
    async def _open(self, path: str, start: int, size_bytes: int, end: int | None) -> AsyncIterator[httpx.Response]:
        headers = {"authorization": f"Bearer {self._token}", "accept-encoding": "identity"}
        ranged = start > 0 or (end is not None and end < size_bytes)
        if ranged:
            headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            async with self._client.stream("GET", self._url + path, headers=headers, extensions=self._extensions) as response:
                self._judge(response, path, size_bytes, (start, (end or size_bytes) - 1) if ranged else None)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:  # TLS 1.3 refuses our certificate only on reading
            raise SourceDown(f"{self._url} does not answer ({type(error).__name__})") from error

    def _judge(self, response: httpx.Response, path: str, size_bytes: int, span: tuple[int, int] | None) -> None:
        """``span``: first and last byte that were asked for; None: all."""
        status = response.status_code
        if status in (502, 503, 504, 429):
            raise SourceDown(f"{self._url} answers {status}")
        if status != (206 if span else 200):
            raise (self._lacks if status == 404 else SourceWrong)(f"{self._url} answers {status} to {path}")
        if span:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            right = match is not None and (int(match[1]), int(match[2]), int(match[3])) == (*span, size_bytes)
        else:
            right = response.headers.get("content-length") == str(size_bytes)
        if not right:
            raise OtherLength(f"{self._url} has another length for {path} than was published")


def is_safe(source: FillSource) -> bool:
    """Whether its token may be sent there: by https, or without leaving this machine."""
    parts = urlsplit(source.url)
    return parts.scheme == "https" or ports.on_loopback(parts.hostname or "")


class Opener:
    """Opens the sources that an assignment names. ``origin`` is the one of the edge's own configuration."""

    def __init__(self, client: httpx.AsyncClient, origin: Source) -> None:
        self._client = client
        self._origin = origin

    def __call__(self, source: FillSource) -> Source:
        """Raises UnsafeSource."""
        if not source.url:
            return self._origin
        if not is_safe(source):
            raise UnsafeSource(f"{source.id} at {source.url} would be told its secret in the clear")
        return HttpSource(self._client, source.url, source.token, held_only=source.held_only)


class FirstOf:
    """Sources of which the next is asked when one is down or lacks the file. For what is small: nobody takes over in the middle."""

    def __init__(self, *sources: Source) -> None:
        self.sources = sources

    async def read(self, title_id: str, name: str, start: int, size_bytes: int, end: int | None = None) -> AsyncGenerator[bytes, None]:
        *others, last = self.sources
        for source in others:
            try:
                found = [chunk async for chunk in source.read(title_id, name, start, size_bytes, end)]
            except (SourceDown, SourceWrong, UnsafeSource):
                continue
            for chunk in found:
                yield chunk
            return
        async for chunk in last.read(title_id, name, start, size_bytes, end):
            yield chunk


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


def trusting(authority: str = "") -> ssl.SSLContext:
    """How other appliances are called: public authorities are believed, and ``authority`` (PEM) where there is one."""
    context = secured(authority)
    if authority:
        context.load_default_certs()
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
