"""How a supervisor starts processes: each as a program of its own, or as a fork of a nursery that has loaded everything before.

Ten Python processes that each load the same modules take ten times as long and as much memory as one that loads them and
forks (the way of Android's zygote). A nursery has one thread, no event loop and no open connection, so that a fork is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from nearcast.base.processes import gone, identify, send

ROOM_FOR_TITLE = "-" * 200
"""Keeps room in the nursery's command line, so that its forks can write their own names there."""
EXIT_KNOWN_S = 2.0
UNWANTED_S = 8.0


class Order(Struct, frozen=True):
    """One process to start: what it is called, its arguments, what is added to its environment, and where its words go."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: str


class Spawner(Protocol):
    """Starts processes. ``spawn`` answers with the process id, or raises OSError; ``exit_code`` is asked once it has ended."""

    async def spawn(self, order: Order) -> int: ...
    async def exit_code(self, pid: int) -> int | None: ...
    async def close(self) -> None: ...


class Programs:
    """Each order's arguments are a command line, run in a session of its own."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    async def spawn(self, order: Order) -> int:
        child = _program(order.arguments, Path(order.log), subprocess.DEVNULL, {**os.environ, **order.environment})
        self._children[child.pid] = child
        return child.pid

    async def exit_code(self, pid: int) -> int | None:
        child = self._children.pop(pid, None)
        return child.wait() if child else None

    async def close(self) -> None:
        self._children.clear()


def _program(arguments: Sequence[str], log: Path, stdin: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starting takes a millisecond: not worth a thread."""
    with log.open("ab") as out:
        return subprocess.Popen(arguments, stdin=stdin, stdout=out, stderr=out, env=environment, start_new_session=True)


# --- nursery, supervisor's side ---------------------------------------------------------------------------------------


class Spawned(Struct, frozen=True, tag=True):
    name: str
    pid: int


class Ended(Struct, frozen=True, tag=True):
    pid: int
    code: int


Started = tuple[subprocess.Popen[bytes], socket.socket]
"""A nursery's process, and our end of its standard input."""


class Nursery:
    """Starts processes as forks of ``command`` (which calls ``nurse``). It is started on first use, and again when it falls.

    Names tell the orders apart, so that only one process of a name may be asked for at a time.
    """

    def __init__(self, command: Sequence[str], log: Path, early: Started | None = None) -> None:
        self._command = [*command, ROOM_FOR_TITLE]
        self._log = log
        self._early = early
        self._lock = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._spawned: dict[str, asyncio.Future[int]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._unwanted: set[str] = set()

    async def spawn(self, order: Order) -> int:
        async with self._lock:
            if self._listener is None or self._listener.done():
                await self._start()
            if self._writer is None:
                raise OSError("the nursery does not start")
            spawned: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._spawned[order.name] = spawned
            self._unwanted.discard(order.name)
            self._writer.write(msgspec.json.encode(order) + b"\n")
        try:
            return await spawned
        except asyncio.CancelledError:
            # The order is out: what it brings is nobody's, and is ended as soon as it is known.
            if spawned.done() and not spawned.cancelled():
                await _end(spawned.result())
            else:
                self._unwanted.add(order.name)
            raise

    async def _start(self) -> None:
        if self._process is not None:  # one that has fallen
            await asyncio.to_thread(self._process.wait)
        self._process, ours = self._early or self._begun()
        self._early = None
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._listener = asyncio.create_task(self._listen(self._reader, self._writer))

    def _begun(self) -> Started:
        ours, theirs = socket.socketpair()
        with theirs:
            return _program(self._command, self._log, theirs.fileno(), dict(os.environ)), ours

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decode = msgspec.json.Decoder(Spawned | Ended).decode
        try:
            while line := await reader.readline():
                event = decode(line)
                if isinstance(event, Spawned) and event.name in self._unwanted:
                    self._unwanted.discard(event.name)
                    await _end(event.pid)
                elif isinstance(event, Spawned):
                    self._ended[event.pid] = asyncio.get_running_loop().create_future()
                    spawned = self._spawned.pop(event.name, None)
                    if spawned is not None and not spawned.done():
                        spawned.set_result(event.pid)
                elif event.pid in self._ended and not self._ended[event.pid].done():
                    self._ended[event.pid].set_result(event.code)
        finally:
            writer.close()
            for spawned in self._spawned.values():
                if not spawned.done():
                    spawned.set_exception(OSError("the nursery has ended"))
            self._spawned.clear()

    async def exit_code(self, pid: int) -> int | None:
        future = self._ended.get(pid)
        if future is None:
            return None
        try:
            return await asyncio.wait_for(asyncio.shield(future), EXIT_KNOWN_S)
        except TimeoutError:  # the nursery has fallen, and nobody knows any more
            return None
        finally:
            self._ended.pop(pid, None)

    async def close(self) -> None:
        """End the nursery; what it has started goes on, but for what was given up before it was known to have started."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write_eof()  # and listen to its end: it may have forked a moment ago
        if self._listener is not None:
            await asyncio.gather(self._listener, return_exceptions=True)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)


async def _end(pid: int) -> None:
    """End a process that has just been forked, and wait until it is gone."""
    identity = identify(pid)
    if identity is None:
        return
    send(identity, signal.SIGTERM)
    try:
        await asyncio.wait_for(gone(identity), UNWANTED_S)
    except TimeoutError:
        send(identity, signal.SIGKILL, group=True)


# --- nursery, its own process -----------------------------------------------------------------------------------------


class Stage(Struct, frozen=True):
    """What must be loaded before processes whose names begin with ``prefix`` are forked."""

    prefix: str
    modules: tuple[str, ...]


def nurse(stages: Sequence[Stage], run: Callable[[Sequence[str]], int]) -> None:
    """The nursery's body: load stage by stage, fork for each order that comes in on standard input, until that ends.

    A fork calls ``run`` with the order's arguments, in a session of its own, and ends with its status. The last stage's
    prefix is empty: whatever was not forked before is forked then. Once standard input has ended nobody would look after a
    fork, so that none is made, even if it was ordered before.
    """
    channel = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wakeup_read, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    selector.register(wakeup_read, selectors.EVENT_READ)
    orders = _Orders(channel)
    loading = [(stage.prefix, module) for stage in stages for module in stage.modules]
    prefixes: tuple[str, ...] = ()
    while True:
        loads = bool(loading)
        if loading:
            prefix, module = loading.pop(0)
            importlib.import_module(module)
            if not any(each == prefix for each, _ in loading):
                gc.collect()
                gc.freeze()  # what is loaded stays where it is, so that forks share its memory
                prefixes += (prefix,)
        ready = {key.fileobj for key, _ in selector.select(0 if loads else None)}
        if wakeup_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wakeup_read, 4096)
            _reap(channel)
        if channel in ready:
            orders.receive()
            if not orders.open:
                return
        for order in orders.take(prefixes):
            _fork(order, run, channel, selector, (wakeup_read, wakeup_write))


class _Orders:
    """What has come in and was not started yet."""

    def __init__(self, channel: socket.socket) -> None:
        self.open = True
        self._channel = channel
        self._buffer = b""
        self._waiting: list[Order] = []

    def receive(self) -> None:
        received = self._channel.recv(65536)
        self.open = bool(received)
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        self._waiting += [msgspec.json.decode(line, type=Order) for line in lines]

    def take(self, prefixes: tuple[str, ...]) -> list[Order]:
        found = [each for each in self._waiting if each.name.startswith(prefixes)]
        self._waiting = [each for each in self._waiting if each not in found]
        return found


def _reap(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(channel, Ended(found[0], os.waitstatus_to_exitcode(found[1])))


def _tell(channel: socket.socket, event: Spawned | Ended) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        channel.sendall(msgspec.json.encode(event) + b"\n")


def _fork(
    order: Order, run: Callable[[Sequence[str]], int], channel: socket.socket, selector: selectors.BaseSelector, pipe: tuple[int, int]
) -> None:
    pid = os.fork()
    if pid:
        _tell(channel, Spawned(order.name, pid))
        return
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        selector.close()
        channel.close()
        for descriptor in pipe:
            os.close(descriptor)
        _redirect(order.log)
        os.environ.update(order.environment)
        set_title(f"nearcast {order.name}")
        status = run(order.arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(out)


def set_title(title: str, stat: Path = Path("/proc/self/stat")) -> None:
    """Write ``title`` over this process's command line, where ``ps`` and our own messages read it (proc(5), arg_start).

    Does nothing where the kernel does not tell where the command line lies.
    """
    fields = stat.read_text().rpartition(")")[2].split()
    if len(fields) < 47:
        return
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start <= 0 or room <= 1:
        return
    ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"nc-{title.rpartition(' ')[2]}"[:15])
