"""Runs processes of the table: builds them, answers for their services, says that they are ready, and ends them when told to.

``python -m nearcast.system.serve NAME…`` is what the supervisor starts; ``nearcast serve NAME…`` is the same by hand.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from nearcast.base import log, rpc
from nearcast.base.errors import Internal, NearcastError, NotFound
from nearcast.base.paths import Home, find_home
from nearcast.base.processes import Lock
from nearcast.base.supervise import notifier
from nearcast.system import leases, part, places, secrets, settings, start
from nearcast.system.table import CALLS, Bulkhead

STOP_S = 6.0
_log = structlog.get_logger("serve")


class UnknownProcess(NotFound):
    """There is no process of this name."""

    code = "NC0204"
    exit_code = 2


def open_system(home: Home, names: Sequence[str] = ()) -> part.System:
    """The system of ``home`` for a process that runs ``names``, with the keys of these; without any, for one that only calls.

    Raises BadConfiguration, SecretMissing, UnknownProcess.
    """
    whole = settings.load(home)
    known = known_processes(whole, names)
    purposes = {CALLS, *(purpose for name in names for purpose in known[name].keys)}
    return part.System(home, whole, secrets.keys_for(home.secrets, purposes))


def known_processes(whole: settings.Settings, names: Sequence[str]) -> dict[str, Bulkhead]:
    """The processes of the table. Raises UnknownProcess where one of ``names`` is not among them."""
    known = places.processes(whole)
    for name in names:
        if name not in known:
            raise UnknownProcess(f"there is no process {name}", hint=f"there are: {', '.join(known)}")
    return known


async def serve(system: part.System, names: Sequence[str]) -> None:
    """Run the processes ``names`` inside this one until SIGTERM or SIGINT. Raises what a builder raises."""
    start.check_protected(system.settings)
    known = places.processes(system.settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    closers: list[part.Closer] = [system.channels.close]
    try:
        parts = {name: await _start(system, name, known[name], closers) for name in names}
        notify_ready = notifier()
        for each in parts.values():
            if each.settled:
                each.settled(len(parts) == 1)
        failures = {asyncio.ensure_future(each.failed()): name for name, each in parts.items() if each.failed}
        notify_ready()
        _log.info("ready", names=list(names), pid=os.getpid())
        waiting = asyncio.ensure_future(stopping.wait())
        await asyncio.wait([waiting, *failures], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            _tell_ended({name: each for each, name in failures.items() if each.done()})
    finally:
        await _close(closers)


def _tell_ended(ended: Mapping[str, asyncio.Future[object]]) -> None:
    """Write down, with its traceback, what ended each process by itself. Raises Internal."""
    reasons = {name: None if each.cancelled() else each.exception() for name, each in ended.items()}
    for name, reason in reasons.items():
        _log.error("a part has ended by itself", process=name, exc_info=reason)
    raise Internal(f"a part of {', '.join(ended)} has ended by itself", hint="its log says why") from next(iter(reasons.values()))


async def _start(system: part.System, name: str, bulkhead: Bulkhead, closers: list[part.Closer]) -> part.Part:
    from nearcast.base.metrics import Metrics, ProcessMetrics

    lock = Lock(system.home.run / f"{name}.lock")
    lock.take()
    closers.append(_freeing(lock))
    system.home.socket(name).unlink(missing_ok=True)  # nobody holds the lock, so the socket is a dead one's
    built = await part.builder(bulkhead)(system, name)
    closers += built.closers
    system.add_local(built.services)
    address = system.address(name)
    mutual = system.mutual() if rpc.elsewhere(address) else None
    server = await rpc.serve({Metrics: ProcessMetrics(name), **built.services}, address, token=system.rpc_token, mutual=mutual)
    closers.append(lambda: server.stop(2.0))
    if built.leases:
        keeper = asyncio.create_task(leases.keep(system, name, time.time()))
        closers.append(lambda: leases.end(keeper))
    return built


async def _close(closers: list[part.Closer]) -> None:
    for close in reversed(closers):
        try:
            async with asyncio.timeout(STOP_S):
                await close()
        except Exception:  # the others are still to be closed
            _log.exception("did not close cleanly")


def _freeing(lock: Lock) -> part.Closer:
    async def free() -> None:
        lock.free()

    return free


def run(names: Sequence[str]) -> int:
    """The body of a process. Answers with its exit status."""
    import uvloop

    home = find_home(os.environ, Path.cwd(), Path.home())
    log.configure("+".join(names))
    try:
        system = open_system(home, names)
        log.configure("+".join(names), level=system.settings.log.level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(system, names))
    except NearcastError as error:
        _log.error("cannot run", code=error.code, error=error.message, hint=error.hint)
        return error.exit_code
    except Exception:
        _log.exception("ended by a defect")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
