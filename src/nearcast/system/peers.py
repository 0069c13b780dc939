"""Who is who between the hosts of one system: certificates of its own authority, and what each kind of holder may do.

A host that has the secrets makes itself a certificate; an edge gets one by joining. Each names its holder by a URI in the way of
SPIFFE (SPIFFE-ID, 2.1), and every server bears one more name, which callers check in place of its address.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from msgspec import Struct

from nearcast.base import rpc
from nearcast.base.paths import Home
from nearcast.base.web import Tls
from nearcast.system.secrets import PEER

SERVER_NAME = "host.nearcast"
HOST = "spiffe://nearcast/host"
_EDGE = re.compile(r"spiffe://nearcast/edge/([a-z0-9-]{1,63})/([a-z0-9-]{1,63})")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class Appliance(Struct, frozen=True):
    """An edge of another host, as its certificate names it."""

    site: str
    id: str

    @property
    def uri(self) -> str:
        return f"spiffe://nearcast/edge/{self.site}/{self.id}"


def appliance_of(uri: str) -> Appliance | None:
    """The edge that a certificate's URI names; None where it names something else."""
    match = _EDGE.fullmatch(uri)
    return Appliance(*match.groups()) if match else None


def path(home: Home) -> Path:
    return home.secrets / PEER


def mutual(home: Home, now: datetime.datetime | None = None) -> rpc.Mutual | None:
    """What calls to and from other hosts are secured with; None where this host neither has the authority nor has joined."""
    if not prepare(home, now):
        return None
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(path(home).read_bytes())]
    return rpc.Mutual(
        authority=(home.secrets / "authority.pem").read_bytes(),
        certificate=b"".join(text for kind, text in blocks if kind == b"CERTIFICATE"),
        key=b"".join(text for kind, text in blocks if kind != b"CERTIFICATE"),
        server_name=SERVER_NAME,
    )


def web_tls(home: Home) -> Tls:
    """For a web server that answers holders of this system's certificates only. Raises rpc.Unprotected."""
    need(home)
    return Tls(certificate=path(home), key=path(home), clients=home.secrets / "authority.pem")


def need(home: Home) -> Path:
    """Our certificate's file. Raises rpc.Unprotected where there is none."""
    if not prepare(home):
        raise rpc.Unprotected(f"this host has no certificate in {home.secrets}")
    return path(home)


def prepare(home: Home, now: datetime.datetime | None = None) -> bool:
    """Have a certificate that lasts for a while, where we hold the authority. Whether there is one."""
    from nearcast.system import issue, tls

    now = now or datetime.datetime.now(datetime.UTC)
    authority = tls.load_authority(home.secrets)
    if authority is None:  # an edge that joined has its own renewed by who holds the authority
        return path(home).exists() and (home.secrets / tls.AUTHORITY).exists()
    if not issue.lasts(path(home), authority, now):
        issue.make_host(path(home), HOST, SERVER_NAME, authority, now)
    return True
