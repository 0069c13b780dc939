"""Which parent an edge asks for what it does not hold: an address in words becomes addresses that nginx can dial."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from nearcast.base import ports
from nearcast.base.errors import BadInput
from nearcast.delivery.edge.nginx import Parent

RESOLVE_S = 2.0
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class BadParent(BadInput):
    """The address of an edge's parent cannot be used."""

    code = "NC2004"
    cure = "give parent_url as https://host:port, or on this very machine as http://127.0.0.1:port"


def read_parent(url: str, ca: str = "", *, plain: bool = False) -> Parent:
    """What ``url`` says, before any name is resolved. ``plain``: it is told no secret, and may speak HTTP past this machine.

    Raises BadParent.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadParent(f"{url} is not an address: {error}") from error
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or parts.query or parts.username:
        raise BadParent(f"{url} is not the address of a parent")
    if parts.scheme == "http" and not plain and not ports.on_loopback(host):
        raise BadParent(f"{url} would be told the origin's secret in the clear", hint="give parent_url as https://host:port")
    return Parent(host=host, port=port, path=path, tls=parts.scheme == "https", ca=ca or AUTHORITIES)


def bundle(path: Path, authority: str) -> str:
    """Have the public authorities and this system's own (PEM) together in one file, as nginx wants it. Blocks. Raises BadParent."""
    try:
        own = Path(authority).read_bytes()
        public = Path(AUTHORITIES).read_bytes() if Path(AUTHORITIES).exists() else b""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(own + b"\n" + public)
    except OSError as error:
        raise BadParent(f"{error.filename}: {error.strerror}", hint="see that the edge may read it, and write to its own folder") from error
    return str(path)


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """The host's addresses, sorted; none when it cannot be resolved now."""
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return tuple(sorted({str(each[4][0]) for each in found}))
