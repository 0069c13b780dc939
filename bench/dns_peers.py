"""Knot DNS (module geoip) and PowerDNS (LUA records) over the same prefixes as ours, for bench.dns.

They are given two names only, as each name costs them all prefixes once more; that is to their advantage.
Debian: ``apt-get install --no-install-recommends knot knot-module-geoip pdns-server pdns-backend-bind``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import servers
from bench.dns_world import ZONE, World

NAMES = 1
"""Titles beside ``play``."""
KNOT, POWERDNS = "/usr/sbin/knotd", "/usr/sbin/pdns_server"
_ZONE_FILE = """$ORIGIN {zone}.
@ 3600 IN SOA ns1 hostmaster 1 3600 600 604800 10
@ 3600 IN NS ns1
ns1 3600 IN A 127.0.0.1
{lines}
"""
_KNOT = """server:
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    rundir: {folder}
    edns-client-subnet: on
database:
    storage: {folder}
mod-geoip:
  - id: geo
    config-file: {folder}/geo.conf
    ttl: 10
    mode: subnet
zone:
  - domain: {zone}
    file: {folder}/zone
    module: mod-geoip/geo
"""
_POWERDNS = """launch=bind
bind-config={folder}/named.conf
local-address=127.0.0.1
local-port={port}
socket-dir={folder}
config-dir={folder}
enable-lua-records=shared
edns-subnet-processing=yes
receiver-threads=1
distributor-threads=1
cache-ttl=0
query-cache-ttl=20
negquery-cache-ttl=20
disable-syslog=yes
loglevel=3
zone-cache-refresh-interval=0
"""
_LUA = """local found = {{}}
for line in io.lines("{folder}/prefixes") do
  local prefix, four, six = line:match("(%S+) (%S+) (%S+)")
  found[prefix] = {{four, six}}
end
return found
"""
_RECORD = (
    ";if not T then T = dofile('{folder}/table.lua') end "
    "local six = bestwho:isIPv6() for bits = six and 64 or 24, six and 20 or 8, -1 do "
    "local a = newCA(bestwho:toString()) a:truncate(bits) local f = T[a:toString() .. '/' .. bits] if f then return f[{index}] end end "
    "return '{default}'"
)


def _addresses(world: World, index: int) -> tuple[str, str]:
    """Of the first appliance of the best site."""
    site = world.rankings[index][0]
    four, six = next(each.addresses for each in world.view.snapshot.appliances if each.site == f"s{site}")
    return four, six


def _names(world: World) -> list[str]:
    return ["play", *(f"{title}.titles" for title in world.titles[:NAMES])]


def _all(world: World) -> list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str, str]]:
    by_site = {each.site: each.addresses for each in reversed(world.view.snapshot.appliances)}
    best = (by_site[f"s{ranking[0]}"] for ranking in world.rankings)
    return [(network, four, six) for network, (four, six) in zip(world.networks, best, strict=True)]


def knot(world: World, folder: Path, port: int) -> list[str]:
    """Write its files. Answers with the command."""
    (folder / "zone").write_text(_ZONE_FILE.format(zone=ZONE, lines="\n".join(f"{name} 10 IN A 192.0.2.1" for name in _names(world))))
    (folder / "knot.conf").write_text(_KNOT.format(folder=folder, port=port, zone=ZONE))
    entries = "".join(f'  - net: "{network}"\n    A: {four}\n    AAAA: "{six}"\n' for network, four, six in _all(world))
    (folder / "geo.conf").write_text("".join(f"{name}.{ZONE}:\n{entries}" for name in _names(world)))
    return [KNOT, "-c", str(folder / "knot.conf")]


def powerdns(world: World, folder: Path, port: int) -> list[str]:
    lines = []
    for name in _names(world):
        for index, (kind, default) in enumerate((("A", "192.0.2.1"), ("AAAA", "2001:db8::1")), 1):
            record = _RECORD.format(folder=folder, index=index, default=default)
            parts = " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))
            lines.append(f"{name} 10 IN LUA {kind} ( {parts} )")
    (folder / "zone").write_text(_ZONE_FILE.format(zone=ZONE, lines="\n".join(lines)))
    (folder / "named.conf").write_text(f'zone "{ZONE}" {{ type master; file "{folder}/zone"; }};\n')
    (folder / "pdns.conf").write_text(_POWERDNS.format(folder=folder, port=port))
    (folder / "table.lua").write_text(_LUA.format(folder=folder))
    with (folder / "prefixes").open("w") as out:
        for network, four, six in _all(world):
            out.write(f"{network} {four} {six}\n")
    return [POWERDNS, f"--config-dir={folder}", "--daemon=no", "--guardian=no", "--disable-syslog", "--write-pid=no"]


PEERS: dict[str, tuple[str, Callable[[World, Path, int], list[str]]]] = {
    "Knot geoip": (KNOT, knot),
    "PowerDNS LUA": (POWERDNS, powerdns),
}


def installed(name: str) -> bool:
    return shutil.which(PEERS[name][0]) is not None


@contextlib.contextmanager
def running(name: str, world: World, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True)
    command = PEERS[name][1](world, folder, port)
    with (folder / "log").open("wb") as log, servers.running(command, stdout=log, stderr=log) as process:
        yield process
