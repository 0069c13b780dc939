"""How fast an appliance serves, beside bare nginx, Varnish and Apache Traffic Server in the same run.

    python -m bench.edge [--json] [--only WORD] [--rounds N]

Each server has one core, the one that asks has another; rounds go around the servers in turn, so that what else the machine does meets
all of them alike. The appliance is the real one: its agent reads the log, checks, reports, and tells metrics; its processor time counts,
with that of the seconds in which it reads the rest of the log. The film lies in memory (page cache) everywhere. With --only, figures
whose name has WORD. Varnish and Traffic Server: ``apt-get install --no-install-recommends varnish trafficserver``; HTTPS needs ``wrk``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from obstore.store import MemoryStore

from bench import servers
from bench.report import Figure, show
from bench.servers import TITLE, Served
from nearcast.base.web import Receive, Scope, Send, serve_asgi
from nearcast.delivery.origin import application
from nearcast.model.rendition import BLOCK_BYTES

FILM_BYTES = 64_000_000
RANGES = {"2 MB": 2_000_000, "200 kB": 200_000}
CONNECTIONS = 32
ROUND_S = 3.0
REST_S = 1.3
"""nginx writes its log at most half a second late, and the agent reads it every second."""
CPU_REACH = {"2 MB": 1.05, "200 kB": 1.25}
SPEED_REACH = {"2 MB": 0.95, "200 kB": 0.80}
CROWD, FETCH_S, WAIT_S = 2000, 2.0, 0.6
BARE, OURS = "bare nginx", "appliance"


class Sample(Struct, frozen=True):
    """One round of one server: gigabytes a second, and processor seconds for each gigabyte."""

    speed: float
    cpu: float


Samples = dict[tuple[str, str], list[Sample]]
"""By server and range."""


def asked(command: list[str]) -> str:
    """What a program that asks says, on the core that is not the servers'."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=lambda: servers.alone(0, servers.CLIENT_CORE)
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-500:]}")
    return done.stdout


def blast(served: Served, range_bytes: int) -> tuple[float, float]:
    """Bytes that came, and seconds."""
    command = [sys.executable, "-m", "bench.blast", f"127.0.0.1:{served.port}", served.path, str(FILM_BYTES)]
    said = json.loads(asked([*command, str(range_bytes), str(CONNECTIONS), str(ROUND_S)]))
    return said["bytes"], said["seconds"]


def wrk(served: Served, range_bytes: int, script: Path) -> tuple[float, float]:
    script.write_text(
        "local h = {}\nrequest = function()\n"
        f"  local a = math.random(0, {FILM_BYTES // range_bytes - 1}) * {range_bytes}\n"
        f'  h["Range"] = "bytes=" .. a .. "-" .. (a + {range_bytes - 1})\n'
        "  return wrk.format('GET', nil, h)\nend\n"
        "done = function(s) io.write(string.format('%d %d %d\\n', s.bytes, s.duration, s.errors.status + s.errors.read)) end\n"
    )
    said = asked(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S:.0f}s", "-s", str(script), served.url])
    received, micros, wrong = map(int, said.splitlines()[-1].split())
    if wrong:
        raise RuntimeError(f"{served.url}: {wrong} answers were none")
    return received, micros / 1e6


def measured(served: Served, ask: tuple[float, float] | None, before_cpu_s: float) -> Sample:
    assert ask is not None
    received, seconds = ask
    time.sleep(REST_S if served.logs else 0.1)
    return Sample(received / 1e9 / seconds, (served.cpu_s() - before_cpu_s) / (received / 1e9))


def rounds(running: dict[str, Served], count: int, script: Path) -> Samples:
    found: Samples = {}
    names = list(running)
    for number in range(count):
        for label, range_bytes in RANGES.items():
            for name in names[number % len(names) :] + names[: number % len(names)]:
                served = running[name]
                served.pin()
                print(f"round {number + 1} of {count}: {name}, {label} …", file=sys.stderr, flush=True)
                before_s = served.cpu_s()
                ask = wrk(served, range_bytes, script) if served.scheme == "https" else blast(served, range_bytes)
                found.setdefault((name, label), []).append(measured(served, ask, before_s))
    return found


def compared(found: Samples, label: str, peer: str, what: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(tuple(getattr(each, what) for each in found[name, label]) for name in (OURS, peer))  # type: ignore[return-value]


def plain(found: Samples, peers: list[str]) -> list[Figure]:
    out = []
    for label in RANGES:
        ours, theirs = compared(found, label, BARE, "cpu")
        name = f"server CPU-seconds per GB, {label} ranges"
        out.append(Figure(name=name, unit="s/GB", samples=ours, peer=BARE, peer_samples=theirs, reach=CPU_REACH[label]))
    for label in RANGES:
        for peer in (BARE, *peers):
            ours, theirs = compared(found, label, peer, "speed")
            reach = SPEED_REACH[label] if peer == BARE else 1.0
            name = f"throughput at saturation over {peer}, {label} ranges"
            out.append(Figure(name=name, unit="GB/s", samples=ours, peer=peer, peer_samples=theirs, reach=reach, at_least=True))
    return out


def secure(found: Samples) -> list[Figure]:
    """By what a core of the server gives: one core that decrypts is no faster than one that encrypts, and would hide the difference."""
    ours, theirs = (tuple(1 / each for each in samples) for samples in compared(found, "2 MB", BARE, "cpu"))
    name = "HTTPS, 2 MB ranges, GB per server CPU-second"
    return [Figure(name=name, unit="GB/s", samples=ours, peer=f"{BARE}, HTTPS", peer_samples=theirs, reach=0.95, at_least=True)]


class Parent:
    """The real origin, each of whose fetches of a film takes FETCH_S."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.fetches = 0
        self._serve = application(self.store, "bench")

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(".mp4"):
            self.fetches += 1
            await asyncio.sleep(FETCH_S)
        await self._serve(scope, receive, send)


async def crowd(folder: Path) -> list[Figure]:
    """2,000 clients ask for one range that is not there."""
    fetches, first, served_share = [], [], []
    parent = Parent()
    server = await serve_asgi(parent.serve, "127.0.0.1", 0)
    try:
        for number in range(3):
            data = random.Random(number).randbytes(3 * BLOCK_BYTES)
            digests = b"".join(hashlib.sha256(data[at : at + BLOCK_BYTES]).digest() for at in range(0, len(data), BLOCK_BYTES))
            root = hashlib.sha256(digests).hexdigest()
            await parent.store.put_async(f"titles/{TITLE}/{root}.mp4", data)
            await parent.store.put_async(f"titles/{TITLE}/{root}.blocks", digests)
            parent.fetches = 0
            print(f"crowd {number + 1} of 3 …", file=sys.stderr, flush=True)
            said = await asyncio.to_thread(_ask_as_crowd, folder / f"crowd-{number}", f"{root}.mp4", len(data), server.url)
            fetches.append(float(parent.fetches))
            first.append(max(said["first_byte_s"]) - FETCH_S)
            served_share.append(100 * said["requests"] / CROWD)
    finally:
        await server.stop(0.2)
    what = f"{CROWD} clients for one absent range, a fetch takes {FETCH_S:g} s"
    return [
        Figure(name=f"{what}: fetches upstream", unit="", samples=tuple(fetches), quantile=1.0, reach=1),
        Figure(name=f"{what}: served", unit="%", samples=tuple(served_share), quantile=0.0, reach=100, at_least=True),
        Figure(name=f"{what}: last first byte after the fetch", unit="s", samples=tuple(first), quantile=1.0, reach=WAIT_S),
    ]


def _ask_as_crowd(folder: Path, name: str, size_bytes: int, parent_url: str) -> dict[str, Any]:
    with servers.appliance(folder, name, parent=(parent_url, "bench"), warm=False) as served:
        command = [sys.executable, "-m", "bench.blast", f"127.0.0.1:{served.port}", served.path, str(size_bytes)]
        return json.loads(asked([*command, str(BLOCK_BYTES), str(CROWD), "crowd"]))  # type: ignore[no-any-return]


@contextlib.contextmanager
def film(folder: Path) -> Iterator[tuple[Path, str]]:
    """The folder in which a film is placed, and its file's name."""
    data = random.Random(1).randbytes(FILM_BYTES)
    digests = b"".join(hashlib.sha256(data[at : at + BLOCK_BYTES]).digest() for at in range(0, len(data), BLOCK_BYTES))
    root = hashlib.sha256(digests).hexdigest()
    placed = folder / "placed" / TITLE
    placed.mkdir(parents=True)
    (placed / f"{root}.mp4").write_bytes(data)
    (placed / f"{root}.blocks").write_bytes(digests)
    yield folder / "placed", f"{root}.mp4"


def run(folder: Path, count: int, only: str) -> tuple[list[Figure], list[str]]:
    figures, left_out = [], []
    peers = [name for name in servers.PEERS if servers.installed(name)]
    left_out += [f"{name} is not installed" for name in servers.PEERS if name not in peers]
    with contextlib.ExitStack() as stack:
        if not only or re.search(only, "server CPU-seconds throughput at saturation over Varnish Traffic"):
            films, name = stack.enter_context(film(folder / "one"))
            running = {BARE: stack.enter_context(servers.bare(folder / "bare", films, name))}
            running[OURS] = stack.enter_context(servers.appliance(folder / "one", name))
            for each in peers:
                running[each] = stack.enter_context(servers.PEERS[each][1](folder / each.replace(" ", "-"), running[BARE]))
            figures += plain(rounds(running, count, folder / "ask.lua"), peers)
    with contextlib.ExitStack() as stack:
        if not shutil.which("wrk"):
            left_out.append("wrk is not installed")
        elif not only or re.search(only, "HTTPS"):
            films, name = stack.enter_context(film(folder / "two"))
            tls = servers.certificate(folder)
            running = {BARE: stack.enter_context(servers.bare(folder / "bare-tls", films, name, tls))}
            running[OURS] = stack.enter_context(servers.appliance(folder / "two", name, tls))
            figures += secure(rounds(running, count, folder / "ask.lua"))
    if not only or re.search(only, "clients absent fetch"):
        figures += asyncio.run(crowd(folder))
    return figures, left_out


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, one for who asks")
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        Path(folder).chmod(0o755)
        figures, left_out = run(Path(folder), given.rounds, given.only)
    for each in left_out:
        print(f"left out: {each} (apt-get install --no-install-recommends wrk varnish trafficserver)", file=sys.stderr)
    return show("edge", figures, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
