"""The web app's files. Only what was found below the root when it was read can be asked for, so no path leads out of it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from pathlib import Path

from msgspec import Struct

from nearcast.control.gateway.errors import NoSuchAddress, NoWebApp
from nearcast.control.gateway.pictures import matches
from nearcast.control.gateway.wire import Answer, accepts_gzip

INDEX = "/index.html"
HELD_BYTES_MAX = 4 << 20
"""A larger file (a source map, as a rule) is read anew each time rather than held."""
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
_HASHED = re.compile(r"/assets/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+(\.map)?")
_TEXT = re.compile(r"text/|application/(json|manifest)|image/svg")


class Loaded(Struct, frozen=True):
    """A file's content, its gzip form where that is smaller, and its ETag."""

    content: bytes
    gzipped: bytes
    etag: str


def found_at(path: str, known: frozenset[str]) -> str:
    """Which of the ``known`` files answers for ``path``: itself, the app for ``/``, or none (empty). The app's own addresses come
    after a ``#``, so that no other path is ever its own."""
    name = INDEX if path == "/" else path
    return name if name in known else ""


def cache_control(path: str) -> str:
    """Names with a hash never change what they name; all else is asked for again, which costs a 304."""
    return "public, max-age=31536000, immutable" if _HASHED.fullmatch(path) else "no-cache"


def load(file: Path) -> Loaded:
    content = file.read_bytes()
    sibling = file.with_name(file.name + ".gz")
    if sibling.is_file():
        gzipped = sibling.read_bytes()
    elif _TEXT.match(media_type(file.name)):
        gzipped = gzip.compress(content, compresslevel=6, mtime=0)
    else:
        gzipped = b""
    worth = gzipped if 0 < len(gzipped) < len(content) else b""
    return Loaded(content, worth, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def media_type(name: str) -> str:
    return MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


class WebApp:
    """Serves the files below ``root`` (None: there are none). A new build is noticed by its index.html."""

    def __init__(self, root: Path | None) -> None:
        self._root = root.resolve() if root else None
        self._files: frozenset[str] = frozenset()
        self._held: dict[str, Loaded] = {}
        self._stamp: int | None = None

    async def answer(self, path: str, accept_encoding: str, if_none_match: str) -> Answer:
        """The file at ``path``. Raises NoSuchAddress, or NoWebApp where nothing was built."""
        self._notice()
        name = found_at(path, self._files)
        if not name:
            raise NoSuchAddress("nothing is at this address") if self._files or path != "/" else NoWebApp("the web app was not built")
        held = self._held.get(name) or await self._load(name)
        headers = {"etag": held.etag, "cache-control": cache_control(name), "vary": "accept-encoding"}
        if if_none_match and matches(if_none_match, held.etag):
            return Answer(status=304, headers=headers)
        body = held.content
        if held.gzipped and accepts_gzip(accept_encoding):
            body = held.gzipped
            headers["content-encoding"] = "gzip"
        return Answer(body=body, media_type=media_type(name), headers=headers, compress=False)

    def _notice(self) -> None:
        """Read the root again when its index.html is another one than last time."""
        if self._root is None:
            return
        try:
            stamp = (self._root / INDEX[1:]).stat().st_mtime_ns
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp = stamp
            self._held = {}
            self._files = frozenset(self._listed(self._root))

    @staticmethod
    def _listed(root: Path) -> list[str]:
        found = []
        for file in root.rglob("*"):
            name = file.relative_to(root)
            hidden = any(part.startswith(".") for part in name.parts)
            if hidden or file.suffix in (".gz", ".br") or not file.is_file() or not file.resolve().is_relative_to(root):
                continue
            found.append("/" + name.as_posix())
        return found

    async def _load(self, name: str) -> Loaded:
        assert self._root is not None  # noqa: S101  (a name was found below it)
        try:
            held = await asyncio.to_thread(load, self._root / name[1:])
        except OSError as error:
            raise NoSuchAddress("this file is gone", hint="load the page again") from error
        if len(held.content) <= HELD_BYTES_MAX:
            self._held[name] = held
        return held
