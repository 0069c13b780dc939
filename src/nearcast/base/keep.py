"""Keeps a program of others running beside us: started again with growing pauses when it ends, dead when we are.

For daemons that another process must not outlive (a BGP speaker, a BFD daemon). What is to outlive us is kept elsewhere (nginx).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from nearcast.base.clock import Clock
from nearcast.base.processes import Identity, die_with_parent, gone, identify, rotate, send
from nearcast.base.supervise import backoff_s, exit_text, failures_after

LOG_BYTES_MAX = 4_000_000
LOGS_KEPT = 2
ROTATE_S = 5.0
_log = structlog.get_logger("keep")


class Keeper:
    """One program. ``run`` ends after ``stop``; cancelled, it kills the program. ``restart`` ends one that is frozen; the next follows."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        clock: Clock,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """``environment`` is added to our own; ``log`` takes what the program says; ``begin`` is called before each start.

        A program that changes its user later would outlive us (prctl(2)): give it a ``command`` that does so beforehand.
        """
        self.name = name
        self.restarts = 0
        self.last_exit = ""
        self._command, self._log_path, self._clock, self._folder, self._begin = tuple(command), log, clock, folder, begin
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self._stopping = False

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._identity.pid if self._identity and self._identity.alive else 0

    async def run(self) -> None:
        """Keep it running."""
        failures = 0
        try:
            while not self._stopping:
                await self._clock.sleep(backoff_s(failures))
                began_s = self._clock.monotonic_s()
                try:
                    await self._one()
                except OSError as error:
                    self.last_exit = f"cannot be started: {error.strerror or error}"
                if self._stopping:
                    return
                failures = failures_after(failures, self._clock.monotonic_s() - began_s)
                self.restarts += 1
                _log.error("a program has ended; it is started again", name=self.name, ended=self.last_exit, wait_s=backoff_s(failures))
        finally:
            self.kill()

    async def _one(self) -> None:
        """One life of it."""
        child = self._start()
        self._identity = identify(child.pid)
        _log.info("a program was started", name=self.name, pid=child.pid)
        if self._identity is not None:
            turning = asyncio.create_task(self._turn_log())
            try:
                await gone(self._identity)
            finally:
                turning.cancel()
        self.last_exit = exit_text(await asyncio.to_thread(child.wait))

    async def _turn_log(self) -> None:
        """While it lives, for months perhaps."""
        while True:
            try:
                await asyncio.to_thread(rotate, self._log_path, LOG_BYTES_MAX, LOGS_KEPT)
            except OSError as error:  # a full disk is no reason to end what runs
                _log.error("a log cannot be turned", path=self._log_path.name, error=error.strerror)
            await self._clock.sleep(ROTATE_S)

    def _start(self) -> subprocess.Popen[bytes]:
        """From the main thread, since it dies with the one that started it."""
        self._begin()
        with self._log_path.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self._child

    def restart(self, why: str) -> None:
        """End it at once, frozen or not."""
        if self.pid and not self._stopping:
            _log.error("a program is ended, to be started again", name=self.name, pid=self.pid, why=why)
            self.kill()

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and end it after ``grace_s``."""
        self._stopping = True
        if self._identity:
            send(self._identity, signal.SIGTERM)
            send(self._identity, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone(self._identity), grace_s)
        self.kill()

    def kill(self) -> None:
        """End it and what it has started in its session."""
        if self._identity:
            send(self._identity, signal.SIGKILL, group=True)
        if self._child is not None:
            self._child.wait()
