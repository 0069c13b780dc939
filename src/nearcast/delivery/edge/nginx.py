"""The configuration of an edge's nginx: what it serves, to whom, and what it asks its parent for.

nginx alone checks the MAC in the path (ngx_http_secure_link_module, as policy.capability computes it), so that films play on
with every Python process dead. What is not held comes from the parent in slices of 1 MiB (ngx_http_slice_module), each fetched
once for all who wait (proxy_cache_lock). Pure: settings in, text out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from nearcast.base import ports
from nearcast.delivery.edge.template import TEMPLATE
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.rendition import BLOCK_BYTES

FILES_PER_CONNECTION = 3
"""A connection that is served from the parent holds a socket to each side and a cache file."""
FILES_RESERVED = 64
CACHE_ZONE_BYTES_MIN = 8 << 20
CACHE_NAME_BYTES = 128
"""What nginx keeps in shared memory for each name in its cache."""


class Build(Struct, frozen=True, kw_only=True):
    """What this machine's nginx can do."""

    version: tuple[int, int, int]
    threads: bool = True


class Parent(Struct, frozen=True, kw_only=True):
    """Where absent files come from: addresses that were resolved already, so that nginx starts whether or not a name resolves.

    No ``addresses``: the name cannot be resolved now, and absent files get 502. ``host`` is the name for Host, ``name`` the one in
    the parent's certificate; ``certificate`` and ``key`` are what the parent is shown, where it wants to see some.
    """

    host: str
    port: int
    path: str = ""
    tls: bool = False
    ca: str = ""
    name: str = ""
    certificate: str = ""
    key: str = ""
    addresses: tuple[str, ...] = ()


class Machine(Struct, frozen=True, kw_only=True):
    """What the configuration must know of the machine that it is for."""

    build: Build
    worker_user: str = ""
    """User and group of the workers (``www-data www-data``); empty: whoever starts nginx."""
    open_files_max: Annotated[int, Meta(ge=64)]


def configuration(settings: EdgeSettings, folder: Path, key: str, origin_token: str, parent: Parent, machine: Machine) -> str:
    """The whole nginx.conf of one appliance. It holds the MAC key and the origin's token: write it for its owner only.

    ``key``: policy.capability.edge_key of the appliance. ``origin_token``: what the parent takes as bearer token.
    """
    connections = max(64, min(settings.connections_max, (machine.open_files_max - FILES_RESERVED) // FILES_PER_CONNECTION))
    values = {
        "user": f"user {machine.worker_user};" if machine.worker_user else "",
        "workers": str(settings.worker_processes) if settings.worker_processes else "auto",
        "open_files": str(connections * FILES_PER_CONNECTION + FILES_RESERVED),
        "connections": str(connections),
        "folder": str(folder),
        "aio": "aio threads;" if machine.build.threads else "",
        "appliance": settings.id,
        "key": key,
        "listen": _listen(settings, machine.build),
        "tls": _tls(settings, machine.build),
        "upstream": _upstream(parent),
        "parent": _parent(parent, origin_token),
        "slice_bytes": str(BLOCK_BYTES),
        "cache_bytes": str(2 * settings.cache_bytes_max),
        "cache_zone_bytes": str(max(CACHE_ZONE_BYTES_MIN, 4 * settings.cache_bytes_max // BLOCK_BYTES * CACHE_NAME_BYTES)),
        "reserve_bytes": str(max(1 << 20, settings.disk_reserve_bytes)),
    }
    text = TEMPLATE
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def command(program: str, folder: Path, build: Build) -> list[str]:
    """How to run nginx over this folder: in the foreground, with no file of its own outside it."""
    early_log = ["-e", f"{folder}/logs/error.log"] if build.version >= (1, 19, 5) else []
    return [program, "-p", f"{folder}/", *early_log, "-c", f"{folder}/conf/nginx.conf"]


def folders(folder: Path) -> list[Path]:
    """Folders that must exist before nginx starts."""
    return [folder / name for name in ("placed", "cache/slices", "cache/temporary", "conf", "logs", "run")]


def _listen(settings: EdgeSettings, build: Build) -> str:
    suffix = ""
    if settings.tls_certificate:
        suffix = " ssl" if build.version >= (1, 25, 1) else " ssl http2"
    return "\n    ".join(f"listen {ports.authority(host, settings.port)} backlog=4096{suffix};" for host in settings.listen)


def _tls(settings: EdgeSettings, build: Build) -> str:
    if not settings.tls_certificate:
        return ""
    lines = [
        f'ssl_certificate "{settings.tls_certificate}";',
        f'ssl_certificate_key "{settings.tls_key}";',
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls:4m;",
        "ssl_session_timeout 1h;",
        # TLS moves the bytes through user space, so large buffers spare calls.
        "ssl_buffer_size 16k;",
    ]
    if build.version >= (1, 25, 1):
        lines.append("http2 on;")
    return "\n    ".join(lines)


def _upstream(parent: Parent) -> str:
    if not parent.addresses:
        return ""
    # max_fails=0: a parent that failed once is asked again at once; there is no other to spare it for.
    servers = "\n    ".join(f"server {ports.authority(each, parent.port)} max_fails=0;" for each in parent.addresses)
    return f"upstream parent {{\n    {servers}\n    keepalive 16;\n  }}"


def _parent(parent: Parent, origin_token: str) -> str:
    if not parent.addresses:
        return "return 502;"
    lines = [
        f"proxy_pass {'https' if parent.tls else 'http'}://parent{parent.path}/titles/$title/$file;",
        f'proxy_set_header Host "{ports.authority(parent.host, parent.port)}";',
        f'proxy_set_header Authorization "Bearer {origin_token}";',
    ]
    if parent.tls:
        name = parent.name or parent.host
        lines += ["proxy_ssl_server_name on;", f'proxy_ssl_name "{name}";', "proxy_ssl_verify on;", "proxy_ssl_verify_depth 4;"]
        lines.append(f'proxy_ssl_trusted_certificate "{parent.ca}";')
        if parent.certificate:
            lines += [f'proxy_ssl_certificate "{parent.certificate}";', f'proxy_ssl_certificate_key "{parent.key}";']
    return "\n      ".join(lines)
