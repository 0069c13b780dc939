"""Servers of one and the same film for bench.edge: nginx bare, an appliance, Varnish, Apache Traffic Server; each on one core.

Varnish and Traffic Server keep the film in memory, asked for it once before, with what they come with otherwise, less their access logs.
Debian: ``apt-get install --no-install-recommends varnish trafficserver``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from nearcast.delivery.edge.process import find_program
from nearcast.delivery.settings import EdgeSettings
from nearcast.policy import capability

ROOT = bytes(32)
TITLE = "t_film"
SERVER_CORE, CLIENT_CORE = 0, 1
PRIORITY = -15
TICKS = os.sysconf("SC_CLK_TCK")
BARE = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit; {user}
events {{ worker_connections 8192; }}
http {{
  sendfile on; access_log off; keepalive_requests 100000; types {{ video/mp4 mp4; }}
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  server {{ listen 127.0.0.1:{port} backlog=4096{ssl}; root {films}; {tls} }}
}}
"""
RECORDS = """CONFIG proxy.config.http.server_ports STRING {port}
CONFIG proxy.config.cache.ram_cache.size INT 1G
CONFIG proxy.config.cache.ram_cache_cutoff INT 512M
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.admin.user_id STRING #-1
"""
RUNROOT = """prefix: {folder}
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: {folder}/etc
datadir: {folder}/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {folder}
runtimedir: {folder}/run
logdir: {folder}/log
cachedir: {folder}/cache
"""


class Served:
    """A server that runs. ``path`` is the film's on it; ``roots`` are the processes that it began with.

    ``logs``: its log is read when all was served.
    """

    def __init__(self, port: int, path: str, scheme: str = "http", pid_file: Path | None = None) -> None:
        self.port, self.path, self.scheme = port, path, scheme
        self.roots: list[int] = []
        self.logs = pid_file is not None
        self._pid_file = pid_file

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"

    def processes(self) -> list[int]:
        parents = {pid: int(fields[1]) for pid, fields in _stats()}
        found = set(self.roots)
        if self._pid_file is not None:
            found.add(int(self._pid_file.read_text()))
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        ours = set(self.processes())
        return sum(int(fields[11]) + int(fields[12]) for pid, fields in _stats() if pid in ours) / TICKS

    def pin(self) -> None:
        for pid in self.processes():
            for task in os.listdir(f"/proc/{pid}/task"):
                alone(int(task), SERVER_CORE)


def alone(task: int, core: int) -> None:
    """Run on this core, and before all else there where we may say so: other work on the machine is not what is measured."""
    os.sched_setaffinity(task, {core})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, task, PRIORITY)


def _stats() -> Iterator[tuple[int, list[str]]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                yield int(name), Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def warmed(served: Served, process: subprocess.Popen[bytes]) -> Served:
    """Wait until it answers, have it read the film once, and pin it."""
    served.roots.append(process.pid)
    deadline_s = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.HTTPError):
            whole = httpx.get(served.url, trust_env=False, verify=False, timeout=30.0)  # noqa: S501
            part = httpx.get(served.url, trust_env=False, verify=False, headers={"range": "bytes=10-19"})  # noqa: S501
            if (whole.status_code, part.status_code, part.content) == (200, 206, whole.content[10:20]):
                break
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{process.args!r} does not serve")
        time.sleep(0.1)
    served.pin()
    return served


@contextlib.contextmanager
def running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **more})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def bare(folder: Path, films: Path, name: str, tls: tuple[Path, Path] | None = None) -> Iterator[Served]:
    """nginx with nothing but sendfile."""
    folder.mkdir(parents=True)
    port = free_port()
    values = {"folder": folder, "films": films, "port": port, "user": "user root;" if os.geteuid() == 0 else ""}
    values |= {"ssl": " ssl" if tls else "", "tls": f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""}
    (folder / "nginx.conf").write_text(BARE.format(**values))
    with running([find_program(), "-e", str(folder / "error.log"), "-p", f"{folder}/", "-c", str(folder / "nginx.conf")]) as process:
        yield warmed(Served(port, f"/{TITLE}/{name}", "https" if tls else "http"), process)


@contextlib.contextmanager
def appliance(
    folder: Path,
    name: str,
    tls: tuple[Path, Path] | None = None,
    parent: tuple[str, str] = ("http://127.0.0.1:9", "none"),
    warm: bool = True,
) -> Iterator[Served]:
    """The film lies in ``placed/`` below ``folder`` already."""
    certificate, certificate_key = (str(each) for each in tls) if tls else ("", "")
    settings = EdgeSettings(
        id="bench-1", site="bench", port=free_port(), admin_port=free_port(), tls_certificate=certificate, tls_key=certificate_key
    )
    key = capability.edge_key(ROOT, settings.id)
    path = capability.edge_path(key, TITLE, int(time.time()) + 3600) + name
    command = [sys.executable, "-m", "bench.appliance", msgspec.json.encode(settings).decode(), str(folder), key, *parent]
    with running(command, stdout=subprocess.PIPE) as process:
        if process.stdout is None or process.stdout.readline().strip() != b"ready":
            raise RuntimeError("the appliance does not start")
        served = Served(settings.port, path, "https" if tls else "http", folder / "run" / "nginx.pid")
        if warm:
            yield warmed(served, process)
        else:
            served.roots.append(process.pid)
            yield served


@contextlib.contextmanager
def varnish(folder: Path, origin: Served) -> Iterator[Served]:
    folder.mkdir(parents=True)
    port = free_port()
    command = ["/usr/sbin/varnishd", "-F", "-j", "none", "-n", str(folder / "work"), "-a", f"127.0.0.1:{port}"]
    command += ["-b", f"127.0.0.1:{origin.port}", "-s", "malloc,1G", "-t", "86400"]
    with running(command) as process:
        yield warmed(Served(port, origin.path), process)


@contextlib.contextmanager
def traffic_server(folder: Path, origin: Served) -> Iterator[Served]:
    for each in ("etc", "cache", "run", "log"):
        (folder / each).mkdir(parents=True)
    port = free_port()
    (folder / "runroot.yaml").write_text(RUNROOT.format(folder=folder))
    (folder / "etc" / "records.config").write_text(RECORDS.format(port=port))
    (folder / "etc" / "remap.config").write_text(f"map / http://127.0.0.1:{origin.port}/\n")
    (folder / "etc" / "storage.config").write_text(f"{folder}/cache 512M\n")
    (folder / "etc" / "ip_allow.yaml").write_text("ip_allow:\n  - {apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}\n")
    with running(["/usr/bin/traffic_server", f"--run-root={folder}/runroot.yaml"]) as process:
        yield warmed(Served(port, origin.path), process)


PEERS = {"Varnish": ("/usr/sbin/varnishd", varnish), "Traffic Server": ("/usr/bin/traffic_server", traffic_server)}


def installed(name: str) -> bool:
    return shutil.which(PEERS[name][0]) is not None


def certificate(folder: Path) -> tuple[Path, Path]:
    found = folder / "bench.pem", folder / "bench.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=bench",
    ]
    subprocess.run([*command, "-keyout", str(found[1]), "-out", str(found[0])], check=True, capture_output=True)
    return found
