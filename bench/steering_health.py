"""The health view's figures: from a fault to what every process of the host reads, with real appliances; and what watching costs.

Three appliances (nginx and agent) in three sites, discovery and the watcher are processes of their own. A fault's time runs from the
signal to the first look of a reader that has it, and the reader looks as often as decisions do.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.e2e import faults
from tests.faults.fleet import BLIND, Fleet

from bench.report import Figure
from nearcast.base.probing import Look, Prober, Target
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.policy.sight import Sight
from nearcast.steering.health.merge import Evidence, merge
from nearcast.steering.health.published import ViewReader, ViewWriter

KNOWN_S, VIEW_US, MERGE_MS, LOOKS_SHARE = 2.0, 1.0, 50.0, 0.5
ROUNDS, APPLIANCES = 10, 1_000
VICTIM = "bom-1"


def watching(seed: int) -> list[Figure]:
    """Time from a fault to the view."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder))
        try:
            fleet.up()
            return _faults(fleet, random.Random(seed))
        finally:
            fleet.down()


def _faults(fleet: Fleet, rng: random.Random) -> list[Figure]:
    edge = fleet.edges[VICTIM]

    def stopped(pids: Callable[[], list[int]]) -> Callable[[], AbstractContextManager[None]]:
        return lambda: faults.frozen(pids())

    killed = [_killed(fleet, rng) for _ in range(ROUNDS)]
    frozen = [_known(fleet, stopped(lambda: fleet.pids(VICTIM)), rng) for _ in range(ROUNDS)]
    nginx = [_known(fleet, stopped(edge.nginx_pids), rng) for _ in range(ROUNDS)]
    found = {"killed": killed, "frozen": frozen, "nginx frozen": nginx}
    try:
        found["cut off"] = [_cut_off(fleet, rng) for _ in range(ROUNDS)]
        for name, who in ((VICTIM, "its agent and others see"), (BLIND, "others see")):
            shut = [_known(fleet, partial(_shut, fleet, name), rng, name) for _ in range(ROUNDS)]
            found[f"that takes no new connections, as {who}"] = shut
    except faults.CannotCutOff as error:
        print(f"packets cannot be dropped here: {error}")
    return [
        Figure(
            name=f"appliance {name}: known to every reader", unit="s", samples=tuple(times), reach=KNOWN_S, quantile=1.0, note="the longest"
        )
        for name, times in found.items()
    ]


def _shut(fleet: Fleet, name: str) -> AbstractContextManager[None]:
    return faults.cut_off(fleet.edges[name].nginx_pids(), new_alone=True)


def _wait_down(fleet: Fleet, since_s: float, name: str = VICTIM) -> float:
    while fleet[name].state != "down":
        if time.monotonic() - since_s > 30:
            raise RuntimeError("the view does not say so")
        time.sleep(0.002)
    return time.monotonic() - since_s


def _settled(fleet: Fleet, rng: random.Random) -> None:
    """All is well, and the fault comes at any moment of the intervals."""
    fleet.wait_well()
    time.sleep(1.0 + rng.random())


def _killed(fleet: Fleet, rng: random.Random) -> float:
    _settled(fleet, rng)
    since_s = time.monotonic()
    fleet.edges[VICTIM].kill_all()
    took_s = _wait_down(fleet, since_s)
    fleet.edges[VICTIM].up()
    return took_s


def _known(fleet: Fleet, fault: Callable[[], AbstractContextManager[None]], rng: random.Random, name: str = VICTIM) -> float:
    _settled(fleet, rng)
    since_s = time.monotonic()
    with fault():
        return _wait_down(fleet, since_s, name)


def _cut_off(fleet: Fleet, rng: random.Random) -> float:
    _settled(fleet, rng)
    edge = fleet.edges[VICTIM]
    since_s = time.monotonic()
    with faults.frozen([edge.pid]), faults.cut_off(edge.nginx_pids()):
        return _wait_down(fleet, since_s)


def costs(seed: int) -> list[Figure]:
    """What 1,000 appliances cost: one merge, one look of a reader, and looks at all of them as a share of a core."""
    rng = random.Random(seed)
    names = [f"edge-{number:04}" for number in range(APPLIANCES)]
    found = {
        name: Evidence(told="up", fresh=True, sight=Sight(True), votes=dict.fromkeys(rng.sample(names, 3), True), before="up")
        for name in names
    }
    merges = []
    for _ in range(20):
        began_s = time.perf_counter()
        merge(found)
        merges.append(1e3 * (time.perf_counter() - began_s))
    return [
        Figure(name="merge of 1,000 appliances", unit="ms", samples=tuple(merges), reach=MERGE_MS),
        Figure(name="the view, at each decision", unit="µs", samples=_reads(names), reach=VIEW_US, note="1,000 appliances"),
        Figure(
            name="1,000 appliances looked at",
            unit="cores",
            samples=asyncio.run(_looks(names)),
            reach=LOOKS_SHARE,
            note="three times a second each",
        ),
    ]


def _reads(names: list[str]) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        writer, reader = ViewWriter(Path(folder)), ViewReader(Path(folder))
        writer.open()
        each = [ApplianceHealth(id=name, site=name[:7], address=f"http://{name}") for name in names]
        writer.publish(HealthSnapshot(version=0, published_s=0.0, appliances=tuple(each)), {})
        times = []
        for _ in range(10):
            began_s = time.perf_counter()
            for _ in range(100_000):
                reader.view()
            times.append(10 * (time.perf_counter() - began_s))
            writer.beat()
        reader.close()
        writer.close()
    return tuple(times)


async def _looks(names: list[str]) -> tuple[float, ...]:
    """Processor seconds a second, without those of the server that answers, measured beside."""
    child = await asyncio.create_subprocess_exec("nginx", "-c", str(_nginx_conf()), "-g", "daemon off;", stderr=asyncio.subprocess.DEVNULL)
    seen = 0

    def found(name: str, look: Look) -> None:
        nonlocal seen
        seen += look == "reached"

    prober = Prober(found, interval_s=0.3, timeout_s=0.5)
    try:
        await asyncio.sleep(1.0)
        prober.watch({name: Target(f"http://127.0.0.1:{_PORT}/healthz", "ok") for name in names})
        await asyncio.sleep(4.0)
        shares = []
        for _ in range(5):
            seen, before_s, began_s = 0, time.process_time(), time.monotonic()
            await asyncio.sleep(2.0)
            took_s = time.monotonic() - began_s
            shares.append((time.process_time() - before_s) / took_s)
            if seen < len(names) * took_s:
                raise RuntimeError(f"only {seen} looks in {took_s:.1f} s: this machine is busy")
        return tuple(shares)
    finally:
        await prober.stop()
        child.terminate()
        await child.wait()


_PORT = 18_471


def _nginx_conf() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nearcast-bench-"))
    conf = folder / "nginx.conf"
    conf.write_text(
        f"pid {folder}/pid; error_log {folder}/log; worker_processes 1; events {{ worker_connections 8192; }}"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{_PORT};"
        ' location = /healthz { default_type text/plain; return 200 "ok"; } } }'
    )
    return conf
