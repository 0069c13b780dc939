"""Ports on this machine: take one, or say which process holds it. Linux's /proc tells (proc(5), /proc/net/tcp)."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from nearcast.base.errors import BadInput, Conflict

_LISTEN = "0A"
_PROC = Path("/proc")


class PortTaken(Conflict):
    """Another process listens where Nearcast is to listen."""

    code = "NC0012"
    exit_code = 3
    cure = "end that process, or set another port in the configuration"


class BadAddress(BadInput):
    """The address to listen at does not exist on this machine, or may not be used."""

    code = "NC0013"
    cure = "set an address of this machine (127.0.0.1, ::1, 0.0.0.0 or ::), and a port above 1024 unless you are root"


class Holder(Struct, frozen=True, kw_only=True):
    """The process that listens at a port. ``name`` is its short name, ``command`` its command line."""

    pid: int
    name: str
    command: str


def listening_inodes(table: str, port: int) -> set[str]:
    """Inodes of the sockets that listen at ``port`` in the text of /proc/net/tcp or tcp6."""
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            found.add(fields[9])
    return found


def holder_of(port: int, proc: Path = _PROC) -> Holder | None:
    """Who listens at ``port``; None when nobody does, or when it is another user's process that we may not look into."""
    inodes: set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            inodes |= listening_inodes((proc / "net" / name).read_text(), port)
        except OSError:  # no /proc (not Linux), or no IPv6
            continue
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return None
    pids = (int(each.name) for each in proc.iterdir() if each.name.isdigit())
    for pid in sorted(pids):  # the oldest first: a server's master before its workers
        if any(link in wanted for link in _open_files(pid, proc)):
            return Holder(pid=pid, name=_text(proc / str(pid) / "comm"), command=_text(proc / str(pid) / "cmdline"))
    return None


def _open_files(pid: int, proc: Path) -> Iterator[str]:
    folder = proc / str(pid) / "fd"
    try:
        names = os.listdir(folder)
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return
    for name in names:
        try:
            yield os.readlink(folder / name)
        except OSError:
            continue


def _text(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def taken(host: str, port: int) -> PortTaken:
    """The error for a port that is in use: it names the process where that can be known."""
    holder = holder_of(port)
    if holder is None:
        return PortTaken(f"{authority(host, port)} is in use by a process of another user", hint=f"find it with `ss -ltnp sport = :{port}`")
    return PortTaken(
        f"{authority(host, port)} is in use by {holder.name} (process {holder.pid}: {holder.command[:120]})",
        hint=f"end it (`kill {holder.pid}`), or set another port in the configuration",
    )


def listen(host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one. Raises PortTaken or BadAddress."""
    if not 0 <= port <= 65535:
        raise BadAddress(f"{port} is not a port", hint="ports are 1 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise BadAddress(f"{host} is not an address to listen at: {error.strerror}") from error
    dual = family is socket.AF_INET6 and host in ("::", "")
    try:
        return socket.create_server(address[:2], family=family, backlog=backlog, dualstack_ipv6=dual)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken(host, port) from error
        raise BadAddress(f"cannot listen at {authority(host, port)}: {os.strerror(error.errno or 0)}") from error


def check_free(host: str, port: int) -> None:
    """Raises PortTaken or BadAddress when a server could not listen there now; used before a child that says less."""
    listen(host, port).close()


def on_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach ``host``; of a name other than localhost that is not known, so it is not."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def dialled(host: str) -> str:
    """The address at which to reach what listens at ``host``: that of every interface is reached by loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared, not bound)


def authority(host: str, port: int) -> str:
    """``127.0.0.1:80`` or ``[::1]:80``, as in an address on the web."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """An IPv6 address in brackets, anything else as it is."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
