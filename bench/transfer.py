"""How well the fill keeps to its cap, beside ``curl --limit-rate`` from the same origin in the same run.

    python -m bench.transfer [--json] [--seconds N]

Files are copied as an appliance's agent copies them: two at a time, each block verified before it is written. The origin is Nearcast's own,
in a process of its own, on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from obstore.store import LocalStore

from bench.report import Figure, show
from nearcast.base.web import serve_asgi
from nearcast.delivery.fill import source
from nearcast.delivery.fill.disk import Disk
from nearcast.delivery.fill.source import HttpSource, Opener
from nearcast.delivery.fill.transfer import Transfers
from nearcast.delivery.origin import application
from nearcast.model.fill import Assignment, FillItem
from nearcast.model.rendition import BLOCK_BYTES, File

CAPS_BPS = (2e6, 20e6, 200e6)
FILES = 5
TOKEN = "bench"  # noqa: S105  (it opens nothing but this)
RUNS = 3


def publish(store: Path, size_bytes: int, seed: int) -> FillItem:
    """A film of random bytes at the origin."""
    data = random.Random(seed).randbytes(size_bytes)
    blocks = b"".join(hashlib.sha256(data[at : at + BLOCK_BYTES]).digest() for at in range(0, size_bytes, BLOCK_BYTES))
    file = File(root=hashlib.sha256(blocks).hexdigest(), extension="mp4", size_bytes=size_bytes)
    folder = store / "titles" / f"t_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file.name).write_bytes(data)
    (folder / file.blocks_name).write_bytes(blocks)
    return FillItem(title_id=f"t_{seed}", file=file)


async def filled_bps(url: str, items: list[FillItem], cap_bps: float) -> float:
    """Bits a second from the order to the last file in its place."""
    folder = Path(tempfile.mkdtemp(prefix="nearcast-bench-"))
    client = source.client()
    transfers = Transfers(Disk(folder), Opener(client, HttpSource(client, url, TOKEN)))
    task = asyncio.create_task(transfers.run())
    try:
        began_s = time.perf_counter()
        transfers.assign(Assignment(version=1, items=tuple(items), rate_bps=cap_bps))
        while transfers.missing_bytes():  # noqa: ASYNC110  (it tells nobody when it is done)
            await asyncio.sleep(0.005)
        return 8 * sum(each.file.size_bytes for each in items) / (time.perf_counter() - began_s)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()
        await asyncio.to_thread(shutil.rmtree, folder)


def curled_bps(url: str, item: FillItem, cap_bps: float) -> float:
    """The same bytes as one file, to nowhere: curl keeps to its limit file by file."""
    limit = ["--limit-rate", str(int(cap_bps / 8))] if cap_bps else []
    address = f"{url}/titles/{item.title_id}/{item.file.name}"
    began_s = time.perf_counter()
    subprocess.run(["curl", "-sf", *limit, "-H", f"Authorization: Bearer {TOKEN}", "-o", "/dev/null", address], check=True)
    return 8 * item.file.size_bytes / (time.perf_counter() - began_s)


@contextmanager
def origin() -> Iterator[tuple[str, Path]]:
    """An origin in a process of its own: its address and its folder."""
    store = Path(tempfile.mkdtemp(prefix="nearcast-bench-"))
    child = subprocess.Popen([sys.executable, "-m", "bench.transfer", "--origin", str(store)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        url = next(line.strip() for line in child.stdout if line.startswith("http://"))
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        yield url, store
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(store)


async def serve(store: Path) -> None:
    server = await serve_asgi(application(LocalStore(store), TOKEN), "127.0.0.1", 0)
    print(server.url, flush=True)
    await server.wait()


def off(measured_bps: float, cap_bps: float) -> float:
    """Percent by which the cap was missed, to either side."""
    return 100 * abs(measured_bps / cap_bps - 1)


def measure(seconds: float) -> list[Figure]:
    figures = []
    with origin() as (url, store):
        for cap_bps in CAPS_BPS:
            print(f"copying at {cap_bps / 1e6:g} Mb/s …", file=sys.stderr, flush=True)
            items = [publish(store, int(cap_bps / 8 * seconds / FILES) + each, each) for each in range(FILES)]
            ours = [asyncio.run(filled_bps(url, items, cap_bps)) for _ in range(RUNS)]
            theirs = curled_bps(url, publish(store, int(cap_bps / 8 * seconds), FILES), cap_bps)
            note = f"ours {ours[-1] / 1e6:.2f}, curl {theirs / 1e6:.2f} Mb/s ({off(theirs, cap_bps):.1f} % off)"
            samples = tuple(off(each, cap_bps) for each in ours)
            figures.append(Figure(name=f"off a cap of {cap_bps / 1e6:g} Mb/s", unit="%", samples=samples, reach=5, quantile=1.0, note=note))
        items = [publish(store, 200_000_000, each) for each in range(2)]
        print("copying without a cap …", file=sys.stderr, flush=True)
        ours = [asyncio.run(filled_bps(url, items, 0.0)) / 1e6 for _ in range(RUNS)]
        theirs_all = [curled_bps(url, items[0], 0.0) / 1e6 for _ in range(RUNS)]
        name = "without a cap, verified and on the disk"
        figures.append(
            Figure(
                name=name, unit="Mb/s", samples=tuple(ours), reach=400, at_least=True, note=f"curl, to nowhere: {max(theirs_all):.0f} Mb/s"
            )
        )
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long a copy is to take")
    parser.add_argument("--origin", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.origin:
        asyncio.run(serve(Path(arguments.origin)))
        return 0
    return show(f"The fill's pace, {os.cpu_count()} processors", measure(arguments.seconds), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
