"""The supervisor's process: every process of the table on this machine, as ``nearcast up`` starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from nearcast.base import log
from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home, find_home
from nearcast.base.spawn import Nursery, Started
from nearcast.base.supervise import Command, Supervisor
from nearcast.system import places, settings
from nearcast.system.settings import Settings
from nearcast.system.table import DNS_PREFIX

_log = structlog.get_logger("supervisor")


def commands(home: Home, whole: Settings) -> list[Command]:
    """One command for each process, to be forked from the nursery.

    The configuration's digest is in its environment: a process that was started with another one is not taken over.
    """
    environment = {"NEARCAST_HOME": str(home.root), "PYTHONUNBUFFERED": "1"}
    return [
        Command(
            name=name,
            arguments=(name,),
            needs=bulkhead.after,
            environment={**environment, "NEARCAST_CONFIG_DIGEST": settings.digest(whole)},
            sign=str(home.sign(name)) if name.startswith(DNS_PREFIX) else "",
        )
        for name, bulkhead in places.processes(whole).items()
    ]


async def supervise(home: Home, whole: Settings, early: Started | None = None) -> None:
    """Keep the system running until SIGTERM or SIGINT. ``early``: a nursery that loads already. Raises AlreadyRunning."""
    nursery = Nursery((sys.executable, "-m", "nearcast.system.nursery"), home.log("nursery"), early)
    supervisor = Supervisor(commands(home, whole), home.run, home.logs, spawner=nursery)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run()


def run(early: Started | None = None) -> int:
    """The supervisor's whole life. Answers with the exit status."""
    home = find_home(os.environ, Path.cwd(), Path.home())
    log.configure("supervisor")
    try:
        whole = settings.load(home)
        asyncio.run(supervise(home, whole, early))
    except NearcastError as error:
        _log.error("cannot supervise", code=error.code, error=error.message, hint=error.hint)
        return error.exit_code
    return 0
