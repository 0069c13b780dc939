"""Answers of the name server for each second of processor time that it takes, Knot and PowerDNS beside it: `python -m bench.dns`.

20,000 prefixes (IPv4 and IPv6) of 500 ISPs with rankings of their own, 100 sites of 3 appliances, 1,000 titles asked for by Zipf's law
beside `play`, clients anywhere in the prefixes, told by client subnet; rate limiting off; the health view renewed twice a second. Server
on one core, the sender (C, compiled here) on the other; processor time as the kernel counts it for the server's process. Once more with
routes that change 50 times a second, each change another ranking of one prefix. Once more from the first query on, of servers that have
just started and have seen nobody yet, and with 100,000 titles, each of which some 18 appliances hold.

`--fuzz` gives the answering code a million damaged packets instead.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import dns.message
import dns.query

from bench import dns_fuzz, dns_peers, dns_world
from bench.dns_world import World
from bench.report import Figure, show
from bench.servers import CLIENT_CORE, SERVER_CORE, TICKS, alone, free_port

WINDOW = 256
WARM_S_MAX, RUN_S, RUNS = 60.0, 5.0, 3
QUERIES = 200_000
MANY_TITLES, MANY_QUERIES = 100_000, 400_000
COLD_S, COLD_RUNS = 3.0, 3
REACH, COLD_REACH = 80_000, 60_000
CHANGES_PER_S = 50


class Run(NamedTuple):
    """Answers for each second of processor time and of the clock; the query of the sample that comes next."""

    per_cpu_s: float
    per_s: float
    answered: int
    failed: int
    following: int


def blaster(folder: Path) -> Path:
    """The compiled sender. Raises RuntimeError without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the sender is written in C: install a C compiler (Debian: gcc)")
    found = folder / "blast"
    subprocess.run([compiler, "-O2", "-o", str(found), str(Path(__file__).with_name("dns_blast.c"))], check=True)
    return found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measured(pid: int, blast: Path, port: int, queries: Path, seconds: float, start: int = 0) -> Run:
    """One run. Raises RuntimeError when answers were truncated."""
    before_s = cpu_s(pid)
    command = [str(blast), "127.0.0.1", str(port), str(seconds), str(WINDOW), str(queries), str(start)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=lambda: alone(0, CLIENT_CORE))
    took_s, answered, failed, truncated, _, following = (float(each) for each in done.stdout.split())
    if truncated:
        raise RuntimeError(f"{truncated:.0f} answers were truncated")
    return Run(answered / (cpu_s(pid) - before_s), answered / took_s, int(answered), int(failed), int(following))


def pin(pid: int) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        alone(int(task), SERVER_CORE)


def answers(pid: int, blast: Path, port: int, queries: Path, count: int = QUERIES, start: int = 0) -> list[Run]:
    """Of a server that runs and has been asked everything in the sample of ``count`` twice; each run goes on where the one before ended."""
    pin(pid)
    warmed, deadline_s = 0, time.monotonic() + WARM_S_MAX
    while warmed < 2 * count and time.monotonic() < deadline_s:
        run = measured(pid, blast, port, queries, 1.0, start)
        warmed, start = warmed + run.answered, run.following
    runs: list[Run] = []
    for _ in range(RUNS):
        runs.append(measured(pid, blast, port, queries, RUN_S, start))
        start = runs[-1].following
    if any(each.failed for each in runs):
        raise RuntimeError(f"{sum(each.failed for each in runs)} answers were errors")
    return runs


def cold(arguments: argparse.Namespace, blast: Path, queries: Path) -> list[Run]:
    """The first seconds of servers that have just started, each with another part of the sample."""
    runs = []
    for turn in range(COLD_RUNS):
        port = free_port()
        with ours(arguments, port) as process:
            pin(process.pid)
            runs.append(measured(process.pid, blast, port, queries, COLD_S, turn * QUERIES // COLD_RUNS))
    return runs


def many(arguments: argparse.Namespace, folder: Path, blast: Path) -> list[Figure]:
    """With many titles: from the first query on, and once all were asked for twice."""
    told = argparse.Namespace(**{**vars(arguments), "titles": MANY_TITLES})
    queries = dns_world.queries(dns_world.make(told.seed, told.prefixes, told.titles), told.seed + 4, MANY_QUERIES)
    names = len({packet[12:].partition(b"\0")[0].lower() for packet in queries})
    file, port = write(folder / "many", queries), free_port()
    with ours(told, port) as process:
        pin(process.pid)
        first = measured(process.pid, blast, port, file, COLD_S)
        runs = answers(process.pid, blast, port, file, MANY_QUERIES, first.following)
    return [
        figure(f"unsigned answers, {names:,} names, just started", [first], COLD_REACH, f"{first.answered:,} answers"),
        figure(f"unsigned answers, {names:,} names", runs, REACH, ""),
    ]


def write(path: Path, packets: list[bytes]) -> Path:
    path.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in packets))
    return path


@contextlib.contextmanager
def ours(arguments: argparse.Namespace, port: int, changes_per_s: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "bench.dns_server",
        *(str(each) for each in (port, arguments.seed, arguments.prefixes, arguments.titles, changes_per_s)),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise RuntimeError("our server does not start")
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(30)


def check(world: World, port: int, packets: list[bytes], count: int = 200) -> None:
    """Some answers one by one: each must be an address of the best site of the longest prefix. Raises RuntimeError."""
    wanted = {network: f"s{ranking[0]}" for network, ranking in zip(world.networks, world.rankings, strict=True)}
    sites = {address: each.site for each in world.view.snapshot.appliances for address in each.addresses}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", port))
        for packet in packets[:count]:
            client.send(packet)
            found = dns.message.from_wire(client.recv(4096))
            option = next(each for each in dns.message.from_wire(packet).options if isinstance(each, dns.edns.ECSOption))
            network = ipaddress.ip_network((option.address, option.srclen))
            while network not in wanted:
                network = network.supernet()
            for each in found.answer[0]:
                if b"play" in packet.lower() and sites[each.address] != wanted[network]:
                    raise RuntimeError(f"{option.address} of {network} was sent to {sites[each.address]} instead of {wanted[network]}")


def speed(arguments: argparse.Namespace, folder: Path) -> list[Figure]:
    world = dns_world.make(arguments.seed, arguments.prefixes, arguments.titles)
    blast = blaster(folder)
    plain = dns_world.queries(world, arguments.seed + 1, QUERIES)
    files = {
        "plain": write(folder / "plain", plain),
        "signed": write(folder / "signed", dns_world.queries(world, arguments.seed + 2, QUERIES, signed=True)),
        "peers": write(folder / "peers", dns_world.queries(world, arguments.seed + 3, QUERIES, names=dns_peers.NAMES)),
    }
    port = free_port()
    with ours(arguments, port) as process:
        check(world, port, plain)
        unsigned = answers(process.pid, blast, port, files["plain"])
        same = answers(process.pid, blast, port, files["peers"])
        signed = answers(process.pid, blast, port, files["signed"])
    with ours(arguments, port, CHANGES_PER_S) as process:
        changing = answers(process.pid, blast, port, files["plain"])
    just_started = cold(arguments, blast, files["plain"])
    beside = []
    for name in dns_peers.PEERS:
        if dns_peers.installed(name):
            runs = peer(name, world, folder, blast, files["peers"])
            beside.append(f"{name} {middle(runs):,.0f}")
        else:
            beside.append(f"{name} is not installed")
    return [
        figure("unsigned answers with client subnet", unsigned, REACH, f"at {unsigned[0].per_s:,.0f}/s on one core of two"),
        figure(
            f"the same while {CHANGES_PER_S} announcements a second are applied",
            changing,
            REACH,
            f"{middle(changing) / middle(unsigned):.0%} of it",
        ),
        figure("the same, just started", just_started, COLD_REACH, f"the first {COLD_S:.0f} s: {just_started[0].answered:,} answers"),
        *many(arguments, folder, blast),
        figure("the same, only the peers' two names", same, REACH, "; ".join(beside)),
        figure("signed answers", signed, 0, "told apart; no reach"),
    ]


def figure(name: str, runs: list[Run], reach: float, note: str) -> Figure:
    samples = tuple(each.per_cpu_s for each in runs)
    return Figure(name=name, unit="/CPU-s", samples=samples, reach=reach, at_least=True, note=note)


def middle(runs: list[Run]) -> float:
    return sorted(each.per_cpu_s for each in runs)[len(runs) // 2]


def peer(name: str, world: World, folder: Path, blast: Path, queries: Path) -> list[Run]:
    port = free_port()
    with dns_peers.running(name, world, folder / name.replace(" ", "-"), port) as process:
        deadline_s = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError, dns.exception.DNSException):
                asked = dns.message.make_query(f"play.{dns_world.ZONE}", "A")
                if dns.query.udp(asked, "127.0.0.1", timeout=1, port=port).answer:
                    break
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{name} does not answer: see {folder}")
            time.sleep(0.2)
        return answers(process.pid, blast, port, queries)


def fuzz(arguments: argparse.Namespace) -> int:
    """Damaged packets. 0 when nothing was wrong."""
    from tests.unit.steering.dns.making import NOW_S, RESOLVER, answerer

    made, wrong, answered, began_s = answerer(signed=True), 0, 0, time.monotonic()
    for index, packet in enumerate(islice(dns_fuzz.packets(arguments.seed, dns_world.ZONE), arguments.packets)):
        answer = made.answer(packet, RESOLVER, NOW_S, stream=index % 4 == 0)
        answered += answer is not None
        if complaint := dns_fuzz.complaint(packet, answer, stream=index % 4 == 0):
            wrong += 1
            print(f"{complaint}: {packet.hex()}", file=sys.stderr)
    print(f"{arguments.packets:,} packets in {time.monotonic() - began_s:.0f} s, {answered:,} answered, no crash, {wrong} wrong answers")
    return bool(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prefixes", type=int, default=20_000)
    parser.add_argument("--titles", type=int, default=dns_world.TITLES)
    parser.add_argument("--fuzz", action="store_true", help="damaged packets instead of speed")
    parser.add_argument("--packets", type=int, default=1_000_000, help="how many damaged ones")
    arguments = parser.parse_args()
    if arguments.fuzz:
        return fuzz(arguments)
    with tempfile.TemporaryDirectory(prefix="nearcast-dns-") as folder:
        return show("Name server", speed(arguments, Path(folder)), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
