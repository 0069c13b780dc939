"""The nursery: forks that run, end, are named, and outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from nearcast.base.processes import family, identify
from nearcast.base.spawn import Nursery, Order, Programs

NURSE = """
import os, sys, time
from nearcast.base.spawn import Stage, nurse
def run(arguments):
    exec(arguments[0])
    return 0
nurse([Stage("early-", ("json",)), Stage("", ("wave",))], run)
"""


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    found = Nursery((sys.executable, "-c", NURSE), tmp_path / "nursery.log")
    yield found
    await found.close()


def order(log: Path, code: str, name: str = "x", **environment: str) -> Order:
    return Order(name, (code,), environment, str(log))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in other processes)
            await asyncio.sleep(0.01)


async def test_a_fork_runs_with_its_environment_and_writes_to_its_log(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    pid = await nursery.spawn(order(log, "print(os.environ['COLOUR'], 'wave' in sys.modules, os.getsid(0) == os.getpid())", COLOUR="red"))
    assert await nursery.exit_code(pid) == 0
    assert log.read_text() == "red True True\n"


async def test_an_early_fork_does_not_wait_for_what_it_does_not_need(nursery: Nursery, tmp_path: Path) -> None:
    logs = {name: tmp_path / f"{name}.log" for name in ("late", "early-1")}
    pids = await asyncio.gather(*(nursery.spawn(order(log, "print('wave' in sys.modules)", name=name)) for name, log in logs.items()))
    assert await asyncio.gather(*map(nursery.exit_code, pids)) == [0, 0]
    assert {name: log.read_text() for name, log in logs.items()} == {"late": "True\n", "early-1": "False\n"}


async def test_how_a_fork_ends_is_known(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with_status = await nursery.spawn(order(log, "sys.exit(3)"))
    killed = await nursery.spawn(order(log, "os.kill(os.getpid(), 9)"))
    raised = await nursery.spawn(order(log, "1 / 0"))
    assert await nursery.exit_code(killed) == -signal.SIGKILL
    assert await nursery.exit_code(with_status) == 1, "a fork ends with what its body returns; leaving it by force is a failure"
    assert await nursery.exit_code(raised) == 1
    assert "ZeroDivisionError" in log.read_text()


async def test_many_at_once(nursery: Nursery, tmp_path: Path) -> None:
    pids = await asyncio.gather(
        *(nursery.spawn(order(tmp_path / f"{number}.log", f"print({number})", name=f"n{number}")) for number in range(12))
    )
    assert len(set(pids)) == 12
    assert await asyncio.gather(*map(nursery.exit_code, pids)) == [0] * 12
    assert {(tmp_path / f"{number}.log").read_text() for number in range(12)} == {f"{number}\n" for number in range(12)}


async def test_a_fork_bears_its_name(nursery: Nursery, tmp_path: Path) -> None:
    pid = await nursery.spawn(order(tmp_path / "a.log", "time.sleep(30)", name="edge-fra-1"))
    await until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"nearcast edge-fra-1\0"))
    await until(lambda: Path(f"/proc/{pid}/comm").read_text() == "nc-edge-fra-1\n")
    os.kill(pid, signal.SIGTERM)
    assert await nursery.exit_code(pid) == -signal.SIGTERM


async def test_forks_outlive_the_nursery_and_a_new_one_is_started(nursery: Nursery, tmp_path: Path) -> None:
    first = await nursery.spawn(order(tmp_path / "a.log", "time.sleep(30)"))
    parent = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    await until(lambda: nursery._listener is not None and nursery._listener.done())
    survivor = identify(first)
    assert survivor
    assert survivor.alive
    second = await nursery.spawn(order(tmp_path / "b.log", "pass"))
    assert await nursery.exit_code(second) == 0
    os.kill(first, signal.SIGKILL)


async def test_what_is_given_up_while_it_starts_is_ended(nursery: Nursery, tmp_path: Path) -> None:
    """A supervisor that is told to end while the nursery still loads must not leave behind what it had ordered."""
    log = tmp_path / "a.log"
    first = asyncio.create_task(nursery.spawn(order(log, "print('began', flush=True); time.sleep(60)")))
    await until(lambda: nursery._writer is not None and "x" in nursery._spawned)
    process = nursery._process
    assert process is not None
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = await nursery.spawn(order(tmp_path / "b.log", "pass", name="y"))  # the nursery has come to both orders
    assert await nursery.exit_code(second) == 0
    await until(lambda: family(process.pid) == [process.pid])


async def test_no_fork_is_made_once_nobody_would_look_after_it(tmp_path: Path) -> None:
    """What was ordered while the nursery loaded is not started after its supervisor has gone."""
    slow = NURSE.replace('("wave",)', '("slow",)')
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.5)\n")
    log, ours, theirs = tmp_path / "a.log", *socket.socketpair()
    with theirs:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", slow, stdin=theirs.fileno(), env=environment)
    with ours:
        ours.sendall(msgspec.json.encode(order(log, "print('began', flush=True)")) + b"\n")
    assert await process.wait() == 0
    assert not log.exists()


async def test_programs_say_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await Programs().spawn(Order("x", ("/nonexistent/program",), {}, str(tmp_path / "x.log")))
