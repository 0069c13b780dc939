"""Runs the processes of a system on one machine: in order of their needs, until they are ready, again when they fall, and down in reverse.

Readiness is systemd's protocol (sd_notify(3)): a process sends ``READY=1`` to the datagram socket named by ``NOTIFY_SOCKET``.
Processes outlive a supervisor that is killed (films play on), and the next one adopts those that still fit what it was told to run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from nearcast.base import vital
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Internal
from nearcast.base.processes import Identity, Lock, Place, end, gone, identify, place_of, rotate, send, write_atomically
from nearcast.base.spawn import Order, Programs, Spawner

BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 30.0
STABLE_S = 10.0
LOG_BYTES_MAX = 10_000_000
LOGS_KEPT = 3
ROTATE_S = 5.0
_log = structlog.get_logger("supervise")

State = Literal["waiting", "starting", "ready", "backoff", "stopping", "stopped"]


class Command(Struct, frozen=True, kw_only=True):
    """A process to keep running. ``environment`` is added to the supervisor's own.

    ``sign``: the file in which it gives signs of life (``base.vital``) once it is ready; empty: it gives none.
    """

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 8.0
    sign: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes when a running process is no longer what this command would start."""
        return hashlib.sha256(msgspec.json.encode((self.arguments, sorted(self.environment.items())))).hexdigest()[:16]


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """``since`` is the Unix time of the last change of state; ``last_exit`` says how the process ended before, if it did."""

    name: str
    state: State
    since: float
    identity: Identity | None = None
    started_at: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    log: str = ""
    fingerprint: str = ""


class SystemStatus(Struct, frozen=True, kw_only=True):
    """What ``status.json`` holds. ``place``: the folder that it was written for."""

    supervisor: Identity
    started_at: float
    processes: tuple[ProcessStatus, ...]
    place: Place | None = None

    @property
    def ready(self) -> bool:
        return all(each.state == "ready" for each in self.processes)


# --- decisions --------------------------------------------------------------------------------------------------------


def start_order(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Names in groups: each needs only names of earlier groups. Raises Internal for a circle or an unknown name."""
    left = {name: set(each) for name, each in needs.items()}
    unknown = sorted({need for each in left.values() for need in each} - left.keys())
    if unknown:
        raise Internal(f"needed, but not in the table: {', '.join(unknown)}")
    order: list[list[str]] = []
    while left:
        free = [name for name, each in left.items() if not each]
        if not free:
            raise Internal(f"these need each other in a circle: {', '.join(sorted(left))}")
        order.append(free)
        left = {name: each - set(free) for name, each in left.items() if name not in free}
    return order


def backoff_s(failures: int, first_s: float = BACKOFF_FIRST_S, last_s: float = BACKOFF_LAST_S) -> float:
    """How long to wait before start ``failures`` + 1: first · 2^(failures - 1), at most ``last_s``; none before the first."""
    return 0.0 if failures <= 0 else min(last_s, first_s * 2.0 ** min(failures - 1, 30))


def failures_after(failures: int, ran_s: float, stable_s: float = STABLE_S) -> int:
    """The count of failures once a process has ended: one that ran ``stable_s`` starts again at 1."""
    return 1 if ran_s >= stable_s else failures + 1


def adoptable(recorded: ProcessStatus, command: Command, alive: bool) -> bool:
    """Whether a process left over from a killed supervisor can go on as it is."""
    return alive and recorded.state == "ready" and recorded.fingerprint == command.fingerprint


def exit_text(code: int | None) -> str:
    """How a process ended, as people say it."""
    if code is None:
        return "ended"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"


# --- status file ------------------------------------------------------------------------------------------------------


def read_status(path: Path) -> SystemStatus | None:
    """The last status written in this folder; None where there is none that can be read, or one that came with a copy of another folder."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=SystemStatus)
        return found if found.place is None or found.place.same(place_of(path.parent)) else None
    except (OSError, msgspec.MsgspecError):
        return None


def notify_ready(environment: Mapping[str, str] = os.environ) -> None:
    """Tell whoever started this process (a supervisor, systemd) that it is ready; nothing where nobody asked."""
    notifier(environment)()


def notifier(environment: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """``notify_ready`` for later, once, by a process that may then not go to the socket any more."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda: None
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    with contextlib.suppress(OSError):
        out.connect("\0" + address[1:] if address.startswith("@") else address)

    def notify() -> None:
        with out, contextlib.suppress(OSError):
            out.send(f"READY=1\nMAINPID={os.getpid()}\n".encode())

    return notify


def _read_ready(message: bytes) -> int | None:
    """The process id in a READY message."""
    fields = dict(line.split("=", 1) for line in message.decode(errors="replace").splitlines() if "=" in line)
    pid = fields.get("MAINPID", "")
    return int(pid) if fields.get("READY") == "1" and pid.isdigit() else None


# --- the supervisor ---------------------------------------------------------------------------------------------------


class _Kept:
    """One command and what has become of it."""

    def __init__(self, command: Command, status: ProcessStatus) -> None:
        self.command = command
        self.status = status
        self.ready = asyncio.Event()
        self.down = asyncio.Event()
        self.refusal = ""


class Supervisor:
    """``run`` returns after ``stop`` was called and everything has ended. One for each ``run_folder``, by flock."""

    def __init__(
        self,
        commands: Sequence[Command],
        run_folder: Path,
        log_folder: Path,
        *,
        spawner: Spawner | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._spawner = spawner or Programs()
        self._clock = clock or SystemClock()
        self._run_folder = run_folder
        self._log_folder = log_folder
        self._status_path = run_folder / "status.json"
        self._notify_path = run_folder / "notify.sock"
        self._lock = Lock(run_folder / "supervisor.lock")
        self._stopping = asyncio.Event()
        self._unwritten = False
        self._started_at = self._clock.now_s()
        self._order = start_order({command.name: command.needs for command in commands})
        self._kept = {
            command.name: _Kept(
                command,
                ProcessStatus(
                    name=command.name,
                    state="waiting",
                    since=self._started_at,
                    log=str(log_folder / f"{command.name}.log"),
                    fingerprint=command.fingerprint,
                ),
            )
            for command in commands
        }

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Keep everything running until ``stop``. Raises AlreadyRunning when another supervisor holds the folder."""
        self._lock.take()
        listener = self._listen()
        try:
            await self._adopt(read_status(self._status_path))
            self._write()
            tasks = [asyncio.create_task(self._keep(each), name=name) for name, each in self._kept.items()]
            tasks.append(asyncio.create_task(self._tend_files()))
            try:
                await self._until_stopped(tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._stop_all()
        finally:
            listener.close()
            await self._spawner.close()
            self._notify_path.unlink(missing_ok=True)
            self._write()
            self._lock.free()

    async def _until_stopped(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done:
            task.result()  # a defect in the supervisor itself ends it aloud

    def _listen(self) -> socket.socket:
        self._notify_path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        listener.bind(str(self._notify_path))
        asyncio.get_running_loop().add_reader(listener, self._heard, listener)
        return listener

    def _heard(self, listener: socket.socket) -> None:
        pid = _read_ready(listener.recv(4096))
        for each in self._kept.values():
            if each.status.identity and each.status.identity.pid == pid:
                each.ready.set()

    def _change(self, kept: _Kept, state: State, **fields: object) -> None:
        kept.status = msgspec.structs.replace(kept.status, state=state, since=self._clock.now_s(), **fields)
        self._write()
        _log.info("process", name=kept.command.name, state=state, pid=kept.status.identity.pid if kept.status.identity else 0)

    def _write(self) -> None:
        supervisor = identify(os.getpid())
        if supervisor is None:
            raise Internal("this process is not in /proc", hint="mount /proc")
        processes = tuple(each.status for each in self._kept.values())
        try:
            place = place_of(self._run_folder)
            status = SystemStatus(supervisor=supervisor, started_at=self._started_at, processes=processes, place=place)
            write_atomically(self._status_path, msgspec.json.encode(status))
            self._unwritten = False
        except OSError as error:  # a full disk is no reason to end what runs; `_tend_files` tries again
            self._unwritten = True
            _log.error("the status cannot be written", error=error.strerror)

    async def _adopt(self, recorded: SystemStatus | None) -> None:
        """Take over what a killed supervisor left running and still fits; end the rest of it.

        A supervisor that lives although the lock of this folder is ours works in another folder: what it runs is not for us.
        """
        leftovers: list[ProcessStatus] = []
        for status in recorded.processes if recorded and not recorded.supervisor.alive else ():
            if status.identity is None or not status.identity.alive:
                continue
            kept = self._kept.get(status.name)
            if kept and adoptable(status, kept.command, True):
                kept.status = status
                kept.ready.set()
                _log.info("adopted", name=status.name, pid=status.identity.pid)
            else:
                leftovers.append(status)
        await asyncio.gather(*(end(status.identity, 8.0) for status in leftovers if status.identity))

    async def _keep(self, kept: _Kept) -> None:
        failures = 0
        while True:
            if not kept.ready.is_set():
                for need in kept.command.needs:
                    await self._kept[need].ready.wait()
                await self._clock.sleep(backoff_s(failures))
                kept.refusal = await self._spawn(kept)
            began_s = self._clock.monotonic_s()
            identity = kept.status.identity
            if identity is not None and not kept.refusal:
                await self._watch(kept, identity)
            failures = failures_after(failures, self._clock.monotonic_s() - began_s)
            kept.ready.clear()
            code = await self._spawner.exit_code(identity.pid) if identity else None
            restarts = kept.status.restarts + 1
            self._change(kept, "backoff", identity=None, restarts=restarts, last_exit=kept.refusal or exit_text(code))

    async def _watch(self, kept: _Kept, identity: Identity) -> None:
        """Return when the process has ended; end it when it does not get ready in time."""
        ended = asyncio.create_task(gone(identity))
        ready = asyncio.create_task(kept.ready.wait())
        try:
            await asyncio.wait([ended, ready], timeout=kept.command.ready_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                if kept.ready.is_set():
                    self._change(kept, "ready")
                    await self._while_it_lives(kept.command, identity, ended)
                else:
                    _log.error("not ready in time", name=kept.command.name, timeout_s=kept.command.ready_timeout_s)
                    await end(identity, kept.command.stop_timeout_s)
                await ended
        finally:
            ended.cancel()
            ready.cancel()

    async def _while_it_lives(self, command: Command, identity: Identity, ended: asyncio.Task[None]) -> None:
        """Return when the process has ended, or was killed because it gives no sign of life."""
        with contextlib.closing(vital.Watch(Path(command.sign))) as watch:
            while command.sign and not ended.done():
                await asyncio.wait([ended], timeout=vital.LOOK_S)
                if not ended.done() and watch.dead(identity.pid):
                    _log.error("gives no sign of life; it is killed and started again", name=command.name, pid=identity.pid)
                    send(identity, signal.SIGKILL, group=True)
                    return

    async def _spawn(self, kept: _Kept) -> str:
        """Start the process. Answers with why it could not be started, empty when it was."""
        command = kept.command
        environment = {**command.environment, "NOTIFY_SOCKET": str(self._notify_path)}
        try:
            pid = await self._spawner.spawn(Order(command.name, command.arguments, environment, kept.status.log))
        except OSError as error:
            return f"cannot be started: {error.strerror or error}"
        self._change(kept, "starting", identity=identify(pid), started_at=self._clock.now_s())
        return ""

    async def _stop_all(self) -> None:
        """End everything, each once those who need it have ended."""
        await asyncio.gather(*(self._stop_one(each) for each in self._kept.values()))

    async def _stop_one(self, kept: _Kept) -> None:
        for other in self._kept.values():
            if kept.command.name in other.command.needs:
                await other.down.wait()
        identity = kept.status.identity
        code: int | None = None
        if identity is not None:
            self._change(kept, "stopping")
            await end(identity, kept.command.stop_timeout_s)
            code = await self._spawner.exit_code(identity.pid)
        self._change(kept, "stopped", identity=None, last_exit=exit_text(code) if identity else kept.status.last_exit)
        kept.down.set()

    async def _tend_files(self) -> None:
        """Turn logs that have grown too long, and write a status that could not be written."""
        while True:
            await self._clock.sleep(ROTATE_S)
            if self._unwritten:
                self._write()
            for path in self._log_folder.glob("*.log"):
                try:
                    rotate(path, LOG_BYTES_MAX, LOGS_KEPT)
                except OSError as error:
                    _log.error("a log cannot be turned", path=path.name, error=error.strerror)
