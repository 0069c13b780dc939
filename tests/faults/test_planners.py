"""Several planners at once, in processes of their own, one of them killed while it commits: nothing is made twice, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

from nearcast.delivery.fill.store import SqlitePlacements
from nearcast.model.fill import Placement
from tests.unit.delivery.making import until

from .appliances import PATIENCE_S
from .appliances import until as waited

GENERATIONS = 200
HOLDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    f"edge-{number}": {f"t_{title}": ("a.mp4", "b.mp4") for title in range(50)} for number in range(20)
}


def plans(path: str, said: str, who: int) -> None:
    """Commits generations as fast as it can, and writes down each that was acknowledged, until there are enough."""

    async def body(log: TextIO) -> None:
        store = SqlitePlacements(Path(path))
        await until(lambda: Path(path).with_name("go").exists())
        while True:
            latest = await store.latest()
            number = latest.generation if latest else 0
            if number >= GENERATIONS:
                break
            if await store.commit(Placement(generation=number + 1, made_at=float(who), holdings=HOLDINGS)):
                log.write(f"{number + 1}\n")
        store.close()

    with Path(said).open("a", buffering=1) as log:
        asyncio.run(body(log))


def acknowledged(folder: Path) -> list[list[int]]:
    """By planner. A line that the kill cut off was not written."""
    return [[int(line) for line in path.read_text().splitlines() if line] for path in sorted(folder.glob("said-*"))]


def started(folder: Path, who: int) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=plans, args=(str(folder / "fill.db"), str(folder / f"said-{who}"), who))
    process.start()
    return process


async def latest(folder: Path) -> Placement | None:
    store = SqlitePlacements(folder / "fill.db")
    with contextlib.closing(store):
        return await store.latest()


def test_planners_at_once_and_one_killed(tmp_path: Path) -> None:
    planners = [started(tmp_path, who) for who in range(3)]
    waited(lambda: len(acknowledged(tmp_path)) == 3)
    (tmp_path / "go").touch()
    waited(lambda: any(acknowledged(tmp_path)))
    said = acknowledged(tmp_path)
    victim = planners[max(range(3), key=lambda who: len(said[who]))]  # who is busiest: the others may hardly get a turn
    assert victim.pid
    os.kill(victim.pid, signal.SIGKILL)
    planners.append(started(tmp_path, 3))
    for each in planners:
        each.join(PATIENCE_S)
    made = sorted(generation for each in acknowledged(tmp_path) for generation in each)
    assert len(made) == len(set(made)), "nobody made what another had made"
    lost = set(range(1, GENERATIONS + 1)) - set(made)
    assert len(lost) <= 1, "only what the killed one was about to acknowledge"
    found = asyncio.run(latest(tmp_path))
    assert found is not None
    assert (found.generation, found.holdings) == (GENERATIONS, HOLDINGS)
    assert [each.exitcode for each in planners] == [-signal.SIGKILL if each is victim else 0 for each in planners]
