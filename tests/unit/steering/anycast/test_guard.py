"""What is guarded goes on only while signs of life come, and no longer than its guard."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from nearcast.base.processes import family
from nearcast.delivery.edge.process import alive
from nearcast.steering.anycast import guard

from ...delivery.making import until

ENDS_WELL = "trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done"


@contextmanager
def guarded(folder: Path, patience_s: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A guard of a shell that ends with 7 when it is asked to, and where to give signs of life."""
    fifo = folder / "life"
    os.mkfifo(fifo)
    life = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    arguments = [sys.executable, "-I", "-m", guard.__name__, str(fifo), str(patience_s), "/bin/sh", "-c", ENDS_WELL]
    process = subprocess.Popen(arguments, cwd=folder)
    try:
        yield process, life
    finally:
        process.kill()
        process.wait()
        os.close(life)


def ward(process: subprocess.Popen[bytes]) -> int:
    """The shell."""
    return next(pid for pid in family(process.pid) if pid != process.pid)


async def test_without_a_sign_of_life_it_is_killed(tmp_path: Path) -> None:
    with guarded(tmp_path, 1.5) as (process, life):
        for _ in range(25):
            os.write(life, b".")
            await asyncio.sleep(0.1)
        assert process.poll() is None
        await until(lambda: process.poll() is not None, 60.0)
        assert process.returncode == 128 + signal.SIGKILL


async def test_asked_to_end_it_asks_and_killed_it_takes_its_ward_along(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with guarded(tmp_path / "a", 60.0) as (process, _):
        await until(lambda: (tmp_path / "a" / "ready").exists(), 60.0)
        process.terminate()
        await until(lambda: process.poll() is not None, 60.0)
        assert process.returncode == 7
    with guarded(tmp_path, 60.0) as (process, _):
        await until(lambda: (tmp_path / "ready").exists(), 60.0)
        pid = ward(process)
        assert alive(pid)
        process.kill()
        await until(lambda: not alive(pid), 60.0)


def test_a_ward_whose_guard_is_gone_before_it_is_bound_to_it_does_not_begin(tmp_path: Path) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    late = subprocess.Popen(["/bin/sh", "-c", f"touch {tmp_path}/begun"], preexec_fn=partial(guard.die_with, gone.pid))
    assert late.wait(60.0) == -signal.SIGKILL
    assert not (tmp_path / "begun").exists()
    ours = subprocess.Popen(["/bin/sh", "-c", f"touch {tmp_path}/begun"], preexec_fn=partial(guard.die_with, os.getpid()))
    assert ours.wait(60.0) == 0
    assert (tmp_path / "begun").exists()
