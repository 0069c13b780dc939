"""The configuration of a door's nginx. Pure: settings and members in, text out.

Behind the door stands one hop inside this nginx for each member, which knows its address, its name and how it is verified; so that members
with and without TLS, each with a name of its own, stand side by side in one upstream. What fails at one is asked of the next
(proxy_next_upstream), and who failed twice in two seconds is left alone for as long (max_fails).
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from nearcast.base import ports
from nearcast.base.errors import Denied, NearcastError, NotFound, Unavailable
from nearcast.delivery.door.settings import DoorSettings
from nearcast.delivery.door.template import ASSETS, FRAME, HOP, OUT, STREAM
from nearcast.delivery.edge.nginx import Build, Parent, listen_lines, tls_lines
from nearcast.delivery.edge.template.preflight import FILMS

FILES_PER_CONNECTION = 6
"""A client's socket, both ends of the hop, the member's socket, and a file of the cache."""
FILES_RESERVED = 64
NOBODY = ".nobody"
"""The name below run/out that says that everybody is out."""
NOWHERE = "server unix:run/nobody.sock;"
"""nginx wants a server in each upstream."""


class NobodyBehind(Unavailable):
    """No appliance behind a site's door answers now."""

    code = "NC2071"
    cure = "ask again, or at another site; `nearcast status` shows which appliances are up"


class PathElsewhere(NotFound):
    """A film's path was asked for at a site's door, and no appliance behind it takes it."""

    code = "NC2072"
    status = 421
    cure = "ask at the address that the manifest names, or ask for a new manifest"


class PathExpired(Denied):
    """A film's path was asked for at a site's door after its time."""

    code = "NC2074"
    cure = "press Play again: the new manifest has new paths"


class StreamMissing(Unavailable):
    """A door is to take DNS, and its nginx has no stream module."""

    code = "NC2073"
    cure = "install it: `apt-get install libnginx-mod-stream`, or have the name servers listen at the service address themselves"


class Behind(Struct, frozen=True, kw_only=True):
    """A member as nginx reaches it. ``address`` is what clients are told."""

    id: str
    address: str
    parent: Parent


class Machine(Struct, frozen=True, kw_only=True):
    """What the configuration must know of the machine that it is for. ``worker_user``: as in the edge's."""

    build: Build
    worker_user: str = ""
    open_files_max: int
    stream_module: str = ""
    """The file to load for DNS; empty where nginx has it built in."""


def configuration(settings: DoorSettings, folder: Path, behind: tuple[Behind, ...], assets: Parent | None, machine: Machine) -> str:
    """The whole nginx.conf of one door."""
    connections = max(64, min(settings.connections_max, (machine.open_files_max - FILES_RESERVED) // FILES_PER_CONNECTION))
    values = {
        "user": f"user {machine.worker_user};" if machine.worker_user else "",
        "workers": str(settings.worker_processes) if settings.worker_processes else "auto",
        "open_files": str(connections * FILES_PER_CONNECTION + FILES_RESERVED),
        "connections": str(connections * 4),
        "crowd": str(connections),
        "of_one": str(settings.connections_of_one),
        "module": f'load_module "{machine.stream_module}";' if settings.dns and machine.stream_module else "",
        "stream": _stream(settings) if settings.dns else "",
        "keepalive": "keepalive_min_timeout 5s;" if machine.build.version >= (1, 27, 4) else "",
        "folder": str(folder),
        "preflight": FILMS,
        "door": settings.id,
        "listen": listen_lines(settings, machine.build),
        "tls": tls_lines(settings, machine.build),
        "unicast": "\n    ".join(f'"{each.id}" "{each.address}";' for each in behind),
        "members": "\n    ".join(f"server unix:run/{name}.sock max_fails=2 fail_timeout=2s;" for name in _names(behind)) or NOWHERE,
        "each": "\n    ".join(f"server unix:run/{name}.sock max_fails=0;" for name in _names(behind)) or NOWHERE,
        "hops": "".join(_hop(each.parent, name, _out(folder, each.id)) for name, each in zip(_names(behind), behind, strict=True)).strip(),
        "elsewhere": _body(PathElsewhere("no appliance behind this door takes this path")),
        "expired": _body(PathExpired("this path has expired")),
        "nobody": _body(NobodyBehind("nobody behind this door answers now")),
        "assets": _assets(assets),
        "assets_hop": _hop(assets, "assets").strip() if assets and assets.addresses else "",
    }
    text = FRAME
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def _body(error: NearcastError) -> str:
    """The JSON of an answer; it stands between apostrophes."""
    return msgspec.json.encode(error.problem()).decode().replace("'", "\\'")


def _stream(settings: DoorSettings) -> str:
    servers = "\n    ".join(f"server {each} max_fails=2 fail_timeout=2s;" for each in settings.dns)
    at = [ports.authority(host, settings.dns_port) for host in settings.listen]
    udp, tcp = ("\n    ".join(f"listen {each}{suffix};" for each in at) for suffix in (" udp", ""))
    return STREAM.replace("<<servers>>", servers).replace("<<udp>>", udp).replace("<<tcp>>", tcp)


def read_stream(text: str, wanted: str) -> str:
    """The module to load for DNS, from what ``nginx -V`` says; empty where it is built in. Raises StreamMissing."""
    found = wanted or next((f"{each}/ngx_stream_module.so" for each in re.findall(r"--modules-path=(\S+)", text)), "")
    if not wanted and re.search(r"--with-stream(\s|$)", text):
        return ""
    if not found or not Path(found).exists():
        raise StreamMissing("this nginx cannot pass DNS on: it has no stream module")
    return found


def _names(behind: tuple[Behind, ...]) -> list[str]:
    return [f"member-{number}" for number in range(len(behind))]


def _assets(assets: Parent | None) -> str:
    return ASSETS if assets is not None and assets.addresses else ""


def _out(folder: Path, name: str) -> str:
    return OUT.replace("<<out>>", f"{folder}/run/out/{name}")


def _hop(parent: Parent, name: str, out: str = "") -> str:
    servers = " ".join(f"server {ports.authority(each, parent.port)} max_fails=0;" for each in parent.addresses)
    lines = [
        f"proxy_pass {'https' if parent.tls else 'http'}://{name};",
        f'proxy_set_header Host "{ports.authority(parent.host, parent.port)}";',
        'proxy_set_header Connection "";',
    ]
    if parent.tls:
        lines += ["proxy_ssl_server_name on;", f'proxy_ssl_name "{parent.name or parent.host}";']
        lines += ["proxy_ssl_verify on;", "proxy_ssl_verify_depth 4;", f'proxy_ssl_trusted_certificate "{parent.ca}";']
    return HOP.replace("<<name>>", name).replace("<<servers>>", servers).replace("<<pass>>", "\n      ".join(lines)).replace("<<out>>", out)
