"""One worker of the name server: its sockets, and the loop that answers on them until it is told to stop.

A plain loop over epoll, in a thread of its own beside the process's event loop: through asyncio an answer costs several times as much.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import structlog

from nearcast.base import ports
from nearcast.base.errors import BadInput, Internal, Unavailable
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.choose import NO_TABLE, Table
from nearcast.steering.dns.finished import Counts
from nearcast.steering.dns.server import datagrams, sharing, streams
from nearcast.steering.dns.server.datagrams import BATCH, Datagrams
from nearcast.steering.dns.settings import DnsSettings
from nearcast.steering.dns.wire import NOERROR, SERVFAIL, response_flags
from nearcast.steering.view import View

LOOK_S = 0.05
"""So often is looked whether table or view have changed."""
SWEEP_S = 0.5
BATCHES_AT_ONCE = 8
LEAVE_S = 1.0
"""When told to stop: for answers that TCP clients have still to take."""
TOLD_S = 10.0
"""A log line of one kind at most so often."""
SHOWN = 5
"""Appliances in one log line."""
STANDS_STILL_S = 15.0
"""A loop that did not turn for so long will not turn again."""
_log = structlog.get_logger("dns")


def or_none(published: Callable[[], Table]) -> Callable[[], Table]:
    """``published``, or while there is nothing yet, a table without routes: names that depend on nobody are answered all the same."""

    def found() -> Table:
        try:
            return published()
        except Unavailable:
            return NO_TABLE

    return found


class StandsStill(Internal):
    """The loop of a name server's worker does not go on."""

    code = "NC3063"


class CannotListen(BadInput):
    """The name server cannot listen where it is told to."""

    code = "NC3061"
    exit_code = 3
    cure = "set listen to addresses of this machine and a port that is free; ports below 1024 need root or CAP_NET_BIND_SERVICE"


def _refused(error: OSError, address: str, port: int) -> CannotListen:
    where = ports.authority(address, port)
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"{where} is in use", hint=f"find by whom with `ss -lntup sport = :{port}`")
    return CannotListen(f"cannot listen at {where}: {os.strerror(error.errno or 0)}")


class Worker:
    """``table`` and ``view`` give what is published now; ``alive`` is called while the loop goes on.

    ``bind`` takes the port, ``begin`` answers, ``start`` does both; ``wait`` returns when it has ended.
    """

    def __init__(
        self,
        settings: DnsSettings,
        answerer: Answerer,
        table: Callable[[], Table],
        view: Callable[[], View],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._answerer = answerer
        self._table, self._view, self._alive = table, view, alive
        self._thread = threading.Thread(target=self._run, name="dns", daemon=True)
        self._stopping = False
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._datagrams: dict[int, Datagrams] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._wake_out, self._wake_in = socket.socketpair()
        self._poll = select.epoll()
        self.streams = streams.Streams(
            self._poll,
            self._answered_stream,
            connections=settings.connections,
            connections_each=settings.connections_each,
            idle_s=settings.idle_s,
        )
        self._lock: int | None = None
        self._now_s = 0.0
        self._turned_s = time.monotonic()
        self._looked_s = self._swept_s = float("-inf")
        self._reported, self._reported_s = (0, 0), float("-inf")
        self._told: dict[str, tuple[float, int]] = {}
        self._live = True
        self._unusable: dict[str, tuple[str, ...]] = {}
        self.queries_udp = self.queries_tcp = self.defects = 0

    # --- from other threads -------------------------------------------------------------------------------------------

    def start(self, lock: Path | None = None) -> None:
        """Raises CannotListen."""
        self.bind(lock)
        self.begin()

    def bind(self, lock: Path | None = None) -> None:
        """Raises CannotListen. ``lock``: of the workers that may share the port (``sharing.join``); None: whoever likes may."""
        try:
            if lock is not None:
                self._lock = self._joined(lock)
            for address in self._settings.listen:
                self._bind(address, self._settings.port)
        except CannotListen:
            self._close()
            raise

    def begin(self) -> None:
        """Answer what has come since, and what comes."""
        self._turned_s = time.monotonic()
        self._look(time.time(), self._turned_s)
        self._thread.start()

    def stop(self) -> None:
        """Answer what has come, then end."""
        self._stopping = True
        if self._thread.ident is None:
            self._close()
            self._ended.set()
        else:
            self._wake_out.send(b"\0")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended. Raises what ended it."""
        ended = self._ended.wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        return ended

    def check(self) -> None:
        """Raises StandsStill."""
        if time.monotonic() - self._turned_s > STANDS_STILL_S:
            raise StandsStill(f"no query was looked at for {STANDS_STILL_S:.0f} s", hint="the process is started again")

    @property
    def counts(self) -> Counts:
        return self._answerer.counts

    def answers(self) -> dict[int, int]:
        """How many there were by code. Those from finished answers, which are not counted one by one, are what is left over."""
        counts = self.counts
        found = dict(counts.by_rcode)
        others = sum(found.values()) + counts.truncated + counts.slipped + counts.dropped + counts.ignored + self.defects
        found[NOERROR] += max(0, self.queries_udp + self.queries_tcp - others)
        found[SERVFAIL] += self.defects
        return found

    @property
    def unsent(self) -> int:
        return sum(each.unsent for each in self._datagrams.values())

    def _joined(self, lock: Path) -> int:
        try:
            return sharing.join(lock, self._settings.listen, self._settings.port)
        except OSError as error:
            raise _refused(error, str(error.filename), self._settings.port) from error

    def _bind(self, address: str, port: int) -> None:
        try:
            bound = datagrams.bind(address, port)
            self._datagrams[bound.fileno()] = Datagrams(bound)
            listener = streams.listen(address, port)
            self._listeners[listener.fileno()] = listener
        except OSError as error:
            raise _refused(error, address, port) from error

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for fd in (*self._datagrams, *self._listeners, self._wake_in.fileno()):
                self._poll.register(fd, select.EPOLLIN)
            while not self._stopping:
                self._turn(LOOK_S)
            self._leave()
        except BaseException as error:
            self._failure = error
            _log.exception("the name server's loop has ended by a defect")
        finally:
            self._close()
            self._ended.set()

    def _turn(self, timeout_s: float) -> None:
        for fd, events in self._poll.poll(0 if self.streams.busy else timeout_s):
            now_s = time.monotonic()
            self._now_s = time.time()
            if fd in self._datagrams:
                self._datagrams_of(self._datagrams[fd])
            elif fd in self._listeners:
                self.streams.accept(self._listeners[fd], now_s)
            else:
                self.streams.ready(fd, events, now_s)
        now_s = self._turned_s = time.monotonic()
        self.streams.go_on(now_s)
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._alive()
            self._look(time.time(), now_s)
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            self.streams.sweep(now_s)
            self._report(now_s)

    def _datagrams_of(self, found: Datagrams) -> None:
        for _ in range(BATCHES_AT_ONCE):
            count = found.serve(self._answered)
            self.queries_udp += count
            if count < BATCH:
                return

    def _answered(self, packet: bytes, source: bytes) -> bytes | None:
        try:
            return self._answerer.answer(packet, source, self._now_s)
        except Exception as error:
            return self._defect(packet, error)

    def _answered_stream(self, packet: bytes, source: bytes) -> bytes | None:
        self.queries_tcp += 1
        try:
            return self._answerer.answer(packet, source, self._now_s, stream=True)
        except Exception as error:
            return self._defect(packet, error)

    def _defect(self, packet: bytes, error: Exception) -> bytes | None:
        """A query that we fail at is answered with SERVFAIL, and costs nobody else theirs."""
        self.defects += 1
        self._tell("a query ended in a defect", error, packet=packet[:512].hex())
        flags = response_flags(int.from_bytes(packet[2:4], "big"), SERVFAIL, authoritative=False)
        return packet[:2] + flags.to_bytes(2, "big") + bytes(8)

    def _look(self, unix_s: float, now_s: float) -> None:
        """Take over what is published now. What cannot be read or taken over stays as it was, and is tried again."""
        try:
            table, view = self._table(), self._view()
        except Exception as error:
            self._tell("what is published cannot be read; the last known stays", error)
            return
        live = view.snapshot.source == "live"
        if live != self._live:
            self._live = live
            if live:
                _log.info("the health view is live again", version=view.snapshot.version)
            elif view.snapshot.version:
                _log.warning("the health view is old: answers go on from the last known", version=view.snapshot.version)
            else:
                _log.warning("there is no health view yet: names that depend on who asks are answered with SERVFAIL")
        try:
            self._answerer.use(table, view, now_s)
        except Exception as error:
            self._tell("what is published cannot be taken over; the last known stays", error)
        if (unusable := self._answerer.unusable) != self._unusable:
            self._unusable = unusable
            if unusable:
                some = dict(list(unusable.items())[:SHOWN])
                self._tell("addresses of an appliance are none; they are left out", None, appliances=len(unusable), some=some)

    def _report(self, now_s: float) -> None:
        """Say what is sent to us that should not be: how often since it was last said, and the last of it."""
        if now_s - self._reported_s < TOLD_S:
            return
        counts = self.counts
        malformed, limited = counts.malformed - self._reported[0], counts.slipped + counts.dropped - self._reported[1]
        if malformed:
            source, why = counts.malformed_last
            _log.warning("malformed queries", times=malformed, last_from=str(ip_address(source)), why=why)
        if limited:
            _log.warning("answers are held back by the rate limit", times=limited, last_from=str(ip_address(counts.limited_last)))
        if malformed or limited:
            self._reported_s, self._reported = now_s, (counts.malformed, counts.slipped + counts.dropped)

    def _tell(self, event: str, error: Exception | None, **more: object) -> None:
        """One line of a kind each TOLD_S, with how many there were; an ``error`` with its trace."""
        told_s, count = self._told.get(event, (float("-inf"), 0))
        now_s = time.monotonic()
        if now_s - told_s < TOLD_S:
            self._told[event] = told_s, count + 1
            return
        self._told[event] = now_s, 0
        if error is None:
            _log.warning(event, times=count + 1, **more)
        else:
            _log.error(event, error=f"{type(error).__name__}: {error}", times=count + 1, exc_info=error, **more)

    def _leave(self) -> None:
        for listener in self._listeners.values():
            self._poll.unregister(listener.fileno())
        for found in self._datagrams.values():
            self._now_s = time.time()
            self._datagrams_of(found)
        until_s = time.monotonic() + LEAVE_S
        self.streams.close_idle()
        while len(self.streams) and time.monotonic() < until_s:
            time.sleep(0.02)
            self._alive()
            self.streams.flush(time.monotonic())
            self.streams.close_idle()

    def _close(self) -> None:
        self.streams.close()
        for found in self._datagrams.values():
            found.socket.close()
        for listener in self._listeners.values():
            listener.close()
        if self._lock is not None:
            os.close(self._lock)
        self._poll.close()
        self._wake_in.close()
        self._wake_out.close()
