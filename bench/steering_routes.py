"""The route table's figures: compiled as large as the internet is, changed by one announcement, looked up.

Prefixes are drawn as ``bench.prefixes`` has them; each is announced by one of 200 ISPs for two of 1,000 sites, with paths of one to
six systems. Compiling is what production does: a program of its own reads the last table, compiles, writes and syncs the next.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from bench.prefixes import generate
from bench.report import Figure
from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.routes import Prefix, Table
from nearcast.steering.routes.bgp import Update
from nearcast.steering.routes.reader import TableReader
from nearcast.steering.routes.rib import Rib
from nearcast.steering.routes.settings import BgpSettings, Isp
from nearcast.steering.routes.store import OVERLAY_MAX, TableWriter
from nearcast.steering.view import NO_VIEW, View

PREFIXES_4, PREFIXES_6, SITES, ISPS, WAYS = 1_000_000, 200_000, 1_000, 200, 2
COMPILE_S, COMPILE_MB, ANNOUNCE_MS, LOOKUPS, REHEARSE_S, BLOCKED_MS = 10.0, 1000.0, 10.0, 250_000, 5.0, 100.0
OUR_ASN, WAITING = 64_500, 100_000
COMPILATIONS, ANNOUNCEMENTS, CLIENTS, ROUNDS, REHEARSALS = 3, 400, 20_000, 5, 3
GAP_S = 0.01
"""Between two announcements, so that each is seen alone."""
SITE_NAMES = tuple(f"site-{number:04}" for number in range(SITES))
ISP_NAMES = tuple(f"isp-{number:03}" for number in range(ISPS))


def sites() -> tuple[Site, ...]:
    return tuple(Site(name=name) for name in SITE_NAMES)


def write_table(folder: Path, seed: int) -> None:
    """Generation 1 of a table of that size, with an empty log, as a writer that has ended would leave it."""
    from nearcast.steering.routes.arrays import write
    from nearcast.steering.routes.compile import Columns, Paths
    from nearcast.steering.routes.folder import BASE_MAGIC, State, base_path, log_path
    from nearcast.steering.routes.log import LogWriter
    from nearcast.steering.routes.rows import Rows, arrays_of

    source = np.random.default_rng(seed)
    (fours, lengths_4), (sixes, lengths_6) = generate(source, PREFIXES_4, 4), generate(source, PREFIXES_6, 6)
    zeros = np.zeros
    count = (PREFIXES_4 + PREFIXES_6) * WAYS
    first = source.integers(0, SITES, count // WAYS)
    site = (first[:, None] + np.arange(WAYS) * source.integers(1, SITES - 1, count // WAYS)[:, None]) % SITES
    hops = source.integers(1, 7, 5_000)
    columns = Columns(
        np.repeat(np.repeat(np.array([4, 6], dtype=np.uint8), [PREFIXES_4, PREFIXES_6]), WAYS),
        np.repeat(np.append(zeros(PREFIXES_4, dtype=np.uint64), sixes), WAYS),
        np.repeat(np.append(fours, zeros(PREFIXES_6, dtype=np.uint64)), WAYS),
        np.repeat(np.append(lengths_4, lengths_6), WAYS),
        site.ravel().astype(np.uint32),
        np.repeat(source.integers(1, ISPS + 1, count // WAYS), WAYS).astype(np.uint16),
        source.integers(0, len(hops), count).astype(np.uint32),
        source.integers(0, 4, count).astype(np.uint32),
        zeros(count, dtype=np.uint16),
        np.full(count, -1, dtype=np.int32),
    )
    shuffled = source.permutation(count)
    paths = Paths(np.append(0, np.cumsum(hops)).astype(np.uint32), source.integers(1, 400_000, int(hops.sum())).astype(np.uint32))
    rows = Rows(Columns._make(column[shuffled] for column in columns), paths, ("config", *ISP_NAMES))
    meta, arrays = arrays_of(rows, sites(), None)
    write(base_path(folder, 1), BASE_MAGIC, 1, meta, arrays)
    LogWriter(log_path(folder, 1), 1, 1).close()
    State(folder, write=True).generation = 1


@contextmanager
def world(seed: int) -> Iterator[Path]:
    """A folder with the table; made by another process, so that this one stays small."""
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as name:
        maker = multiprocessing.get_context("spawn").Process(target=write_table, args=(Path(name), seed))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise RuntimeError("the table could not be made")
        yield Path(name)


def compiling(seed: int) -> list[Figure]:
    with world(seed) as folder:
        found = [_compilation(folder) for _ in range(COMPILATIONS)]
    name = f"compile {PREFIXES_4:,} IPv4 + {PREFIXES_6:,} IPv6 prefixes × {SITES:,} sites"
    note = f"{WAYS} ways each; {statistics.median(cpu_s for _, _, cpu_s in found):.1f} s of processor time"
    return [
        Figure(name=name, unit="s", samples=tuple(took_s for took_s, _, _ in found), reach=COMPILE_S, note=note),
        Figure(
            name="the same, peak memory",
            unit="MB",
            samples=tuple(mb for _, mb, _ in found),
            reach=COMPILE_MB,
            note="with its input, mapped",
        ),
    ]


def _compilation(folder: Path) -> tuple[float, float, float]:
    """Seconds, MB and seconds of processor time of one compilation from the table in the folder."""
    from nearcast.steering.routes.folder import log_path
    from nearcast.steering.routes.log import LogReader
    from nearcast.steering.routes.rebuild import Rebuild

    order = Rebuild(
        folder=str(folder),
        old=1,
        log_end=LogReader(log_path(folder, 1)).committed,
        new=2,
        sites=sites(),
        sources=frozenset(("config", *ISP_NAMES)),
    )
    (folder / "order").write_bytes(msgspec.msgpack.encode(order))
    started_s = time.perf_counter()
    command = [sys.executable, "-m", "nearcast.steering.routes.worker", "compile", str(folder / "order")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took_s = time.perf_counter() - started_s
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError("compiling failed")
    return took_s, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def watch(folder: Path, until: int, out: Connection) -> None:
    """A reader in its own process: when it first saw each version, on the machine's monotonic clock."""
    reader, seen = TableReader(folder), {}
    version = reader.table().version
    out.send(version)
    while version < until:
        table = reader.table()
        if table.version != version:
            version = table.version
            table.match("192.0.2.1")
            seen[version] = time.monotonic()
    out.send(seen)


def announcing(seed: int) -> list[Figure]:
    """From the call in the writer until another process has it in its table; both have the whole table."""
    context = multiprocessing.get_context("spawn")
    source = np.random.default_rng(seed)
    with world(seed) as folder:
        writer = TableWriter(folder, sites(), (), ISP_NAMES)
        writer.start()
        ours, theirs = context.Pipe()
        first = writer.table().version
        watcher = context.Process(target=watch, args=(folder, first + ANNOUNCEMENTS, theirs))
        watcher.start()
        ours.recv()
        sent, took_s = {}, []
        for number in range(ANNOUNCEMENTS):
            prefix = f"{source.integers(1, 224)}.{source.integers(256)}.{source.integers(256)}.0/24"
            told = Announcement(prefix=prefix, site=SITE_NAMES[number % SITES], source=ISP_NAMES[0], as_path=(65001,), med=7)
            sent[first + number + 1] = time.monotonic()
            writer.announce([told])
            took_s.append(time.monotonic() - sent[first + number + 1])
            time.sleep(GAP_S)
        seen = ours.recv()
        watcher.join()
        writer.close()
    # A reader that came late saw several at once: each counts from its own time.
    when = [min(at for version, at in seen.items() if version >= each) for each in sent]
    samples = tuple(1000 * (at - sent[version]) for at, version in zip(when, sent, strict=True))
    note = f"{1000 * statistics.median(took_s):.3f} ms of it in the writer"
    return [
        Figure(name="one announcement, seen by another process, p50", unit="ms", samples=samples, reach=ANNOUNCE_MS, note=note),
        Figure(name="the same, p99", unit="ms", samples=samples, reach=ANNOUNCE_MS, quantile=0.99),
    ]


def _inside(prefix: Prefix, source: np.random.Generator) -> IPv4Address | IPv6Address:
    """Some address of a prefix."""
    room = min(prefix.end - prefix.number, 1 << 62)
    number = prefix.number + int(source.integers(0, room))
    return IPv4Address(number) if prefix.version == 4 else IPv6Address(number)


def _rate(reader: TableReader, clients: list[str]) -> float:
    """Lookups in a second of processor time: what else runs on the machine does not count."""
    started_s = time.process_time()
    for each in clients:
        reader.table().match(each)
    return len(clients) / (time.process_time() - started_s)


def looking_up(seed: int) -> list[Figure]:
    """Address in text to ranked sites, one core: clients of prefixes met before, and each prefix for the first time."""
    source = np.random.default_rng(seed)
    with world(seed) as folder:
        reader = TableReader(folder)
        base = reader.table().base
        chosen = source.integers(0, PREFIXES_4 + PREFIXES_6, CLIENTS * (ROUNDS + 1))
        clients = [str(_inside(base.prefix(int(each)), source)) for each in chosen]
        cold = []
        for start in range(0, CLIENTS * ROUNDS, CLIENTS):
            cold.append(_rate(reader, clients[start : start + CLIENTS]))
        warm = [_rate(reader, clients[:CLIENTS]) for _ in range(ROUNDS)]
    note = f"{CLIENTS:,} clients of the whole table; {PREFIXES_6 / (PREFIXES_4 + PREFIXES_6):.0%} IPv6"
    return [
        Figure(name="lookups, one core", unit="/s", samples=tuple(warm), reach=LOOKUPS, at_least=True, note=note),
        Figure(name="lookups, each prefix for the first time", unit="/s", samples=tuple(cold), reach=LOOKUPS / 10, at_least=True),
    ]


def rehearsing(seed: int) -> list[Figure]:
    """Who would move, by the service itself: both default routes change, which concerns every prefix; a site goes, which compiles; an ISP
    may announce all that waits. Over the table lie as many changes as there may be before it is compiled anew."""
    with world(seed) as folder:
        found = [asyncio.run(_rehearsals(folder, seed)) for _ in range(REHEARSALS)]
    default, compiled, let_in, blocked, moved = zip(*found, strict=True)
    note = f"{moved[0]:,} prefixes would move; at a {PREFIXES_4:,} + {PREFIXES_6:,} prefixes table, {OVERLAY_MAX:,} changed since"
    waiting = f"{WAITING:,} prefixes wait beyond the maximum of an ISP, of two routers"
    return [
        Figure(name="rehearse both default routes", unit="s", samples=default, reach=REHEARSE_S, note=note),
        Figure(name="rehearse a site that goes: compiled anew", unit="s", samples=compiled, reach=2 * REHEARSE_S),
        Figure(name="rehearse a higher maximum: what waits is let in", unit="s", samples=let_in, reach=2 * REHEARSE_S, note=waiting),
        Figure(name="longest wait of others on that process meanwhile", unit="ms", samples=blocked, reach=BLOCKED_MS),
    ]


class _Present:
    """What the service reads: a table with an overlay that is full, no view, and an ISP of which much waits."""

    def __init__(self, folder: Path, seed: int, isp: Isp) -> None:
        source = np.random.default_rng(seed)
        told = (
            Announcement(
                prefix=f"{20 + number // 65_536}.{number // 256 % 256}.{number % 256}.0/24",
                site=SITE_NAMES[int(source.integers(SITES))],
                source=ISP_NAMES[1],
                as_path=(2,),
            )
            for number in source.choice(1 << 20, OVERLAY_MAX, replace=False)
        )
        self._table = TableReader(folder).table().altered(told)
        self.rib = Rib(isp, OUR_ASN)
        networks = tuple(IPv4Network((0x50000000 + (number << 8), 24)) for number in range(isp.prefixes_max + WAITING))
        for router in ("192.0.2.11", "192.0.2.12"):
            self.rib.apply(Update(router, networks, (), (isp.asn,)))
        self.rib.changes()
        if self.rib.waiting != WAITING:
            raise RuntimeError(f"{self.rib.waiting:,} prefixes wait instead of {WAITING:,}")

    def table(self) -> Table:
        return self._table

    def view(self) -> View:
        return NO_VIEW

    def held(self, isp: str, *, refused: bool) -> Iterator[Announcement]:
        return self.rib.held(refused=refused) if isp == self.rib.isp.name else iter(())


async def _rehearsals(folder: Path, seed: int) -> tuple[float, float, float, float, float]:
    """Seconds of the three, milliseconds for which nothing else got its turn, and prefixes that move."""
    from nearcast.model.services import PlannedIsp, RehearseQuestion
    from nearcast.steering.routing import RoutingService
    from nearcast.steering.settings import SteeringSettings

    first = Isp(name=ISP_NAMES[0], asn=1, sites=SITE_NAMES[:1], allow=("80.0.0.0/6",), prefixes_max=WAITING)
    isps = (first, *(Isp(name=name, asn=number + 2, sites=SITE_NAMES[:1]) for number, name in enumerate(ISP_NAMES[1:])))
    settings = SteeringSettings(sites=sites(), routes=(), isps=isps, bgp=BgpSettings(asn=OUR_ASN))
    present = _Present(folder, seed, first)
    service = RoutingService(settings, present, present, tuple, held=present.held)
    longest_ms = 0.0

    async def watch_others() -> None:
        nonlocal longest_ms
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(0.001)
            longest_ms = max(longest_ms, (time.perf_counter() - began_s) * 1e3)

    watching = asyncio.create_task(watch_others())
    await asyncio.sleep(0.01)
    routes = tuple(Route(prefix=prefix, sites=SITE_NAMES[5:8]) for prefix in ("0.0.0.0/0", "::/0"))
    more = tuple(
        PlannedIsp(name=each.name, asn=each.asn, sites=each.sites, allow=each.allow, prefixes_max=10 * each.prefixes_max)
        if each is first
        else PlannedIsp(name=each.name, asn=each.asn, sites=each.sites, allow=each.allow, prefixes_max=each.prefixes_max)
        for each in isps
    )
    took_s, moved = [], 0
    for question in (RehearseQuestion(routes=routes), RehearseQuestion(sites=sites()[:-1]), RehearseQuestion(isps=more)):
        began_s = time.perf_counter()
        found = await service.rehearse(replace(question, limit=40))
        took_s.append(time.perf_counter() - began_s)
        assert found.moved_total
        moved = moved or found.moved_total
    assert found.accepted_total > 0.9 * WAITING  # the table has some of them by chance
    watching.cancel()
    return took_s[0], took_s[1], took_s[2], longest_ms, moved
