"""The configuration of an edge's nginx: what it serves, to whom, and what it asks its parents for.

nginx alone checks the MAC in the path (ngx_http_secure_link_module, as policy.capability computes it), so that films play on
with every Python process dead. What is not held comes from the parents in slices of 1 MiB (ngx_http_slice_module), each fetched
once for all who wait (proxy_cache_lock). Pure: settings in, text out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from nearcast.base import ports
from nearcast.delivery.edge.keys import EdgeKeys
from nearcast.delivery.edge.load import RETRY_AFTER_S, SHARES
from nearcast.delivery.edge.template.frame import FRAME
from nearcast.delivery.edge.template.maps import MAPS
from nearcast.delivery.edge.template.parents import DOOR, HOP
from nearcast.delivery.edge.template.preflight import FILMS, TOKENS
from nearcast.delivery.edge.template.viewers import CAT, CAT_RATE, VIEWERS
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.rendition import BLOCK_BYTES

FILES_PER_CONNECTION = 4
"""One that is served from the disk holds two; one from a parent holds sockets to the viewer, inside, to the parent, and a cache file."""
SOCKETS_PER_CONNECTION = 2
FILES_RESERVED = 64
LETTERS = "abcdefghijklmnop"
"""Names of the sixteenths by which playbacks are refused."""
TIER_S, ORIGIN_S = (1, 4), (2, 6)
"""Seconds to connect, and between bytes, that a parent may take. After a tier there is still another to ask."""
MISSES_RATE, MISSES_BURST = 200, 4000
"""Requests a second for what is not held, from one address under one path. A player makes a few; many may stand behind one address who
all began at once."""
CACHE_ZONE_BYTES_MIN = 8 << 20
LANDING_ZONE_BYTES_MIN = 1 << 20
CACHE_NAME_BYTES = 128
"""What nginx keeps in shared memory for each name in its cache."""


class Build(Struct, frozen=True, kw_only=True):
    """What this machine's nginx can do. ``threads``: it can leave reading from a disk to threads."""

    version: tuple[int, int, int]
    threads: bool = True


class Parent(Struct, frozen=True, kw_only=True):
    """One from whom absent files come: addresses that were resolved already, so that nginx starts whether or not a name resolves.

    No ``addresses``: the name cannot be resolved now, and the next parent is asked. ``host`` is the name for Host, ``name`` the one in
    the parent's certificate; ``certificate`` and ``key`` are what the parent is shown, where it wants to see some. ``token`` is what it
    takes as bearer. ``door``: ``titles``, or ``held`` where it is to be asked for what is placed there alone.
    """

    host: str
    port: int
    id: str = "origin"
    path: str = ""
    door: str = "titles"
    token: str = ""
    tls: bool = False
    ca: str = ""
    name: str = ""
    certificate: str = ""
    key: str = ""
    addresses: tuple[str, ...] = ()


class Listening(Protocol):
    """What a server says of where it listens."""

    @property
    def listen(self) -> tuple[str, ...]: ...
    @property
    def port(self) -> int: ...
    @property
    def tls_certificate(self) -> str: ...
    @property
    def tls_key(self) -> str: ...


class Machine(Struct, frozen=True, kw_only=True):
    """What the configuration must know of the machine that it is for. ``landing`` is the memory window (memory.py)."""

    build: Build
    worker_user: str = ""
    """User and group of the workers (``www-data www-data``); empty: whoever starts nginx."""
    open_files_max: Annotated[int, Meta(ge=64)]
    landing: str
    landing_bytes: int
    admitted: str
    processors: int = 1
    threads: bool = False
    """Whether reading from the disk is left to threads (``reads_block``)."""


class Secrets(Struct, frozen=True, kw_only=True):
    """``fill_token``: policy.capability.fill_token of the appliance, which the doors for other appliances take."""

    keys: EdgeKeys
    fill_token: str


class Content(Struct, frozen=True, kw_only=True):
    """What changes while an edge runs. ``tiers`` are asked before the ``origin``, best first."""

    secrets: Secrets
    origin: Parent
    tiers: tuple[Parent, ...] = ()
    reactive_bytes: int = 16 << 20


def configuration(settings: EdgeSettings, folder: Path, content: Content, machine: Machine) -> str:
    """The whole nginx.conf of one appliance. It holds the MAC keys and the parents' tokens: write it for its owner only."""
    connections = connections_max(settings, machine)
    workers = settings.worker_processes or machine.processors
    slices = 2 * content.reactive_bytes // BLOCK_BYTES
    values = {
        "maps": MAPS,
        "viewers": VIEWERS,
        **_keys(content.secrets.keys),
        **_parents(content),
        "doors": _door("titles", "@miss") + _door("held", "=404"),
        "cat": CAT if settings.cat_keys else "",
        "cat_rate": CAT_RATE if settings.cat_keys else "",
        "preflight": FILMS,
        "preflight_tokens": TOKENS,
        "user": f"user {machine.worker_user};" if machine.worker_user else "",
        "workers": str(settings.worker_processes) if settings.worker_processes else "auto",
        "open_files": str(connections * FILES_PER_CONNECTION + FILES_RESERVED),
        "connections": str(connections * SOCKETS_PER_CONNECTION),
        "crowd": str(workers * connections),
        "folder": str(folder),
        "aio": "aio threads;" if machine.threads and machine.build.threads else "",
        # Connections that wait for their next request outlive an exchange of workers for a moment, so that none is cut under one.
        "keepalive": "keepalive_min_timeout 5s;" if machine.build.version >= (1, 27, 4) else "",
        "appliance": settings.id,
        "own_port": str(settings.own_port),
        "listen": listen_lines(settings, machine.build),
        "tls": tls_lines(settings, machine.build),
        "believed": _believed(settings.doors),
        "fill_token": content.secrets.fill_token,
        "sixteenths": "\n    ".join(f'6.25% "{LETTERS[each]}";' for each in range(SHARES - 1)),
        "misses_rate": str(MISSES_RATE),
        "misses_burst": str(MISSES_BURST),
        "retry_after_s": str(RETRY_AFTER_S),
        "slice_bytes": str(BLOCK_BYTES),
        "cache_bytes": str(2 * content.reactive_bytes),
        "cache_zone_bytes": str(max(CACHE_ZONE_BYTES_MIN, 2 * slices * CACHE_NAME_BYTES)),
        "reserve_bytes": str(max(1 << 20, settings.disk_reserve_bytes)),
        "landing": machine.landing,
        "landing_bytes": str(machine.landing_bytes),
        "landing_zone_bytes": str(LANDING_ZONE_BYTES_MIN + (2 * connections + 4 * machine.landing_bytes // BLOCK_BYTES) * CACHE_NAME_BYTES),
        "admitted": machine.admitted,
    }
    text = FRAME
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def reads_block(stored_bytes: int, memory_bytes: int, before: bool) -> bool:
    """Whether workers would wait for the disk often: more is placed there than memory holds beside all else.

    Threads then read in their place. Where everything is in memory anyway, handing each read over costs a quarter more processor time
    at 2 MB (bench.edge), so that it is not done needlessly.
    """
    return stored_bytes > memory_bytes * (0.4 if before else 0.5)


def connections_max(settings: EdgeSettings, machine: Machine) -> int:
    """Viewers' connections that one worker can serve on this machine."""
    return max(64, min(settings.connections_max, (machine.open_files_max - FILES_RESERVED) // FILES_PER_CONNECTION))


def notice(number: int, refused: int, closing: bool, figures: str) -> str:
    """The name of a folder by which the agent tells nginx something while it runs (``run/notice`` leads to it).

    ``refused`` of load.SHARES playbacks are sent elsewhere; ``closing``: connections end with their next answer; ``figures``: what
    CMSD-Dynamic says.
    """
    return f"{number},{LETTERS[:refused]},{'last' if closing else ''},{figures}"


def command(program: str, folder: Path, build: Build) -> list[str]:
    """How to run nginx over this folder: in the foreground, with no file of its own outside it."""
    early_log = ["-e", f"{folder}/logs/error.log"] if build.version >= (1, 19, 5) else []
    return [program, "-p", f"{folder}/", *early_log, "-c", f"{folder}/conf/nginx.conf"]


def folders(folder: Path) -> list[Path]:
    """Folders that must exist before nginx starts."""
    return [folder / name for name in ("placed", "cache/slices", "cache/temporary", "conf", "logs", "run", "run/notices")]


def listen_lines(settings: Listening, build: Build) -> str:
    """Where a server listens, as nginx writes it."""
    suffix = ""
    if settings.tls_certificate:
        suffix = " ssl" if build.version >= (1, 25, 1) else " ssl http2"
    return "\n    ".join(f"listen {ports.authority(host, settings.port)} backlog=4096{suffix};" for host in settings.listen)


def tls_lines(settings: Listening, build: Build) -> str:
    """What a server with a certificate says of it; nothing without."""
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


def _believed(doors: tuple[str, ...]) -> str:
    """From whom an edge takes the client's address (ngx_http_realip_module)."""
    return "\n    ".join([*(f"set_real_ip_from {each};" for each in doors), "real_ip_header X-Forwarded-For;"]) if doors else ""


def _keys(keys: EdgeKeys) -> dict[str, str]:
    """Which generations the paths may name, and their keys."""
    later = "|".join(str(each.generation) for each in keys.all if each.generation)
    generations = f"k(?<generation>{later})" if later else "(?<generation>)"
    if later and any(not each.generation for each in keys.all):
        generations = f"(?:{generations})?"
    rows = [f'"{each.generation or ""}" "{each.key}";' for each in keys.all]
    return {"generations": generations, "mac_keys": "\n    ".join(rows)}


def _door(name: str, absent: str) -> str:
    return DOOR.replace("<<door>>", name).replace("<<absent>>", absent)


def _parents(content: Content) -> dict[str, str]:
    """The tiers in their order, and the origin when none of them can."""
    hops, upstreams, servers = [], [], []
    for number, tier in enumerate(content.tiers):
        # nginx knows no order of servers but for the last resort; by these weights the next one gets one fetch in a thousand.
        weight = 1000 ** (len(content.tiers) - 1 - number)
        servers.append(f"server unix:run/parent-{number}.sock weight={weight} max_fails=2 fail_timeout=5s;")
        hops.append(_hop(tier, f"parent-{number}", TIER_S))
        upstreams.append(_upstream(tier, f"parent-{number}"))
    servers.append(f"server unix:run/origin.sock{' backup' if servers else ''} max_fails=0;")
    hops.append(_hop(content.origin, "origin", ORIGIN_S))
    upstreams.append(_upstream(content.origin, "origin"))
    return {"parents": "\n    ".join(servers), "upstreams": "\n  ".join(filter(None, upstreams)), "hops": "".join(hops).strip()}


def _upstream(parent: Parent, name: str) -> str:
    if not parent.addresses:
        return ""
    # max_fails=0: a parent that failed once is asked again at once by this door; whether it is spared is decided before the door.
    servers = "\n    ".join(f"server {ports.authority(each, parent.port)} max_fails=0;" for each in parent.addresses)
    return f"upstream {name} {{\n    {servers}\n    keepalive 16;\n  }}"


def _hop(parent: Parent, name: str, patience_s: tuple[int, int]) -> str:
    values = {"socket": name, "pass": _pass(parent, name), "id": parent.id, "connect_s": str(patience_s[0]), "read_s": str(patience_s[1])}
    text = HOP
    for key, value in values.items():
        text = text.replace(f"<<{key}>>", value)
    return text


def _pass(parent: Parent, name: str) -> str:
    if not parent.addresses:
        return "return 502;"
    lines = [
        f"proxy_pass {'https' if parent.tls else 'http'}://{name}{parent.path}/{parent.door}/$title/$file;",
        f'proxy_set_header Host "{ports.authority(parent.host, parent.port)}";',
        f'proxy_set_header Authorization "Bearer {parent.token}";',
    ]
    if parent.tls:
        lines += ["proxy_ssl_server_name on;", f'proxy_ssl_name "{parent.name or parent.host}";']
        lines += ["proxy_ssl_verify on;", "proxy_ssl_verify_depth 4;", f'proxy_ssl_trusted_certificate "{parent.ca}";']
        if parent.certificate:
            lines += [f'proxy_ssl_certificate "{parent.certificate}";', f'proxy_ssl_certificate_key "{parent.key}";']
    return "\n      ".join(lines)
