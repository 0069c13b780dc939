"""What the reactive partition misses, beside the best single policies on the same requests.

    python -m bench.eviction [--json] [--seed N] [--rows]

The judge is libCacheSim (its LRU, SIEVE, S3-FIFO and W-TinyLFU as they come); ours is ``delivery.edge.eviction``, which production runs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bench import requests
from bench.report import Figure, show
from bench.requests import Trace
from nearcast.delivery.edge.eviction import Eviction

SHARES = (0.02, 0.1, 0.25)
"""Capacities, as shares of all different bytes of a trace."""
PEERS = {"LRU": "LRU", "SIEVE": "Sieve", "S3-FIFO": "S3FIFO", "W-TinyLFU": "WTinyLFU"}
"""What libCacheSim calls them."""
OURS = "ours"
Misses = tuple[float, float]
"""Shares of bytes and of requests that were missed, in percent."""


def replay(trace: Trace, holds: Callable[[int, int], bool]) -> Misses:
    missed = missed_bytes = all_bytes = 0
    for name, size_bytes in trace:
        all_bytes += size_bytes
        if not holds(name, size_bytes):
            missed += 1
            missed_bytes += size_bytes
    return 100 * missed_bytes / all_bytes, 100 * missed / len(trace)


def ours(trace: Trace, capacity_bytes: int) -> Misses:
    partition = Eviction(capacity_bytes)

    def holds(name: int, size_bytes: int) -> bool:
        held = str(name) in partition
        partition.request(str(name), size_bytes)
        return held

    return replay(trace, holds)


def judged(judge: Any, policy: str, trace: Trace, capacity_bytes: int) -> Misses:
    cache = getattr(judge, policy)(cache_size=capacity_bytes)
    request = judge.Request()

    def holds(name: int, size_bytes: int) -> bool:
        request.obj_id, request.obj_size = name + 1, size_bytes
        return bool(cache.get(request))

    return replay(trace, holds)


def measure(judge: Any, traces: dict[str, Trace]) -> dict[tuple[str, float], dict[str, Misses]]:
    """Misses by trace and share of capacity, then by policy."""
    found = {}
    for name, trace in traces.items():
        footprint_bytes = sum(dict(trace).values())
        for share in SHARES:
            print(f"replaying {name}, {share:.0%} …", file=sys.stderr, flush=True)
            capacity_bytes = int(footprint_bytes * share)
            row = {policy: judged(judge, theirs, trace, capacity_bytes) for policy, theirs in PEERS.items()}
            found[name, share] = {**row, OURS: ours(trace, capacity_bytes)}
    return found


def figures(found: dict[tuple[str, float], dict[str, Misses]]) -> list[Figure]:
    out = []
    for at, what in enumerate(("bytes", "requests")):
        means = {policy: statistics.fmean(row[policy][at] for row in found.values()) for policy in PEERS}
        best = min(means, key=means.__getitem__)
        mine = tuple(row[OURS][at] for row in found.values())
        peers = ", ".join(f"{policy} {mean:.2f}" for policy, mean in means.items())
        out.append(
            Figure(
                name=f"missed {what}, mean of all traces and capacities",
                unit="%",
                samples=(statistics.fmean(mine),),
                reach=1.0,
                peer=f"best single policy of {peers}: {best}",
                peer_samples=(means[best],),
            )
        )
        worse = {case: row[OURS][at] - min(row[policy][at] for policy in PEERS) for case, row in found.items()}
        where = max(worse, key=worse.__getitem__)
        out.append(
            Figure(
                name=f"missed {what}, above the best policy of each case (largest)",
                unit="points",
                samples=tuple(worse.values()),
                reach=1.0,
                quantile=1.0,
                note=f"limit; largest in {where[0]} at {where[1]:.0%}",
            )
        )
    return out


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """The judge, which is C, talks on standard output; what we print there is data."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.eviction", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--seed", type=int, default=requests.SEED, help="of the generated traces (default: %(default)s)")
    parser.add_argument("--rows", action="store_true", help="print every case too")
    options = parser.parse_args(arguments)
    try:
        judge = importlib.import_module("libcachesim")
    except ImportError:
        parser.error("libcachesim is not installed: its wheels are for Linux on x86_64, Python before 3.14")
    with stdout_to_stderr():
        found = measure(judge, {**requests.recorded(), **requests.generated(options.seed)})
    if options.rows:
        for (name, share), row in found.items():
            cells = "  ".join(f"{policy} {misses[0]:.2f}/{misses[1]:.2f}" for policy, misses in row.items())
            print(f"{name:16} {share:>4.0%}  bytes/requests %: {cells}")
    return show("eviction", figures(found), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
