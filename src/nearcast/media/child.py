"""One worker process as the fleet sees it: started with its keys on standard input, heard line by line, gone when the fleet is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from nearcast.base.errors import NearcastError, Problem, Remote
from nearcast.media.files import disk
from nearcast.media.workspace import Report, Start, Workspace
from nearcast.model.services import KeySet

LINE_BYTES_MAX = 1 << 20
SECRET_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "NEARCAST_LICENSE_", "NEARCAST_ORIGIN", "NEARCAST_STORE")
_decode = msgspec.json.Decoder(Report).decode


class WorkerDied(NearcastError):
    """The worker process was killed, again and again, without getting further."""

    code = "NC1504"
    cure = "see worker.log in the job's folder; if memory is short, set media.encode.chunks_at_once = 1"


class Child:
    """``run`` ends when the worker has; ``kill`` ends it at once. ``process`` is None while none runs."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    async def run(self, keys: KeySet | None, hear: Callable[[Report], None]) -> bool:
        """True when the job is done, False when the worker was killed by someone else. Raises what the worker reports."""
        if self._killed:
            return False
        with disk(), self._space.log.open("ab") as log:
            command = [sys.executable, "-m", "nearcast.media.worker", str(self._space.root)]
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=log, limit=LINE_BYTES_MAX, env=_environment()
            )
        try:
            return await self._converse(self._process, keys, hear)
        finally:
            await self._end()

    async def _converse(self, process: asyncio.subprocess.Process, keys: KeySet | None, hear: Callable[[Report], None]) -> bool:
        assert process.stdin is not None  # noqa: S101  (asked for above)
        assert process.stdout is not None  # noqa: S101  (likewise)
        # A worker that was killed before it could read has ended like any other (RuntimeError: uvloop's word for a closed pipe).
        with contextlib.suppress(ConnectionError, RuntimeError):
            # The pipe stays open: its end tells the worker that the fleet is gone.
            process.stdin.write(msgspec.json.encode(Start(keys=keys)) + b"\n")
            await process.stdin.drain()
        problem: Problem | None = None
        done = False
        async for line in process.stdout:
            try:
                report = _decode(line)
            except msgspec.MsgspecError:
                continue  # a library that prints
            problem, done = report.error or problem, done or report.kind == "done"
            if report.kind not in ("error", "done"):
                hear(report)
        await process.wait()
        if problem:
            raise Remote(problem)
        return done

    def kill(self) -> None:
        """End the worker now; the kernel ends its tools with it."""
        self._killed = True
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end(self) -> None:
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _environment() -> dict[str, str]:
    """The fleet's own without what is secret in it, with the folder that this code runs from in reach.

    The worker's tools read files that nobody vouches for: the origin's credentials and the master key are not for them.
    """
    source = str(Path(__file__).resolve().parents[2])
    paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    open_ones = {name: value for name, value in os.environ.items() if not name.startswith(SECRET_PREFIXES)}
    return {**open_ones, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
