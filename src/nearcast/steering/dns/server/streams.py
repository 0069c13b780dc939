"""DNS over TCP (RFC 7766): pipelined queries, answered in order, on few connections that nobody can hold for nothing.

A connection has ``idle_s`` from its last whole query, or from the last byte of an answer that was taken, and LIFE_S in all: single bytes
now and then, in or out, keep nothing open. When there are too many, the one that would be closed next makes room.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

from nearcast.steering.dns import limit
from nearcast.steering.dns.wire import HEADER_BYTES

LIFE_S = 120.0
ACCEPTED_AT_ONCE = 32
QUERIES_AT_ONCE = 64
"""Of one connection, before others have their turn."""
UNSENT_BYTES_MAX = 1 << 17
"""A client that takes no answers is asked for no more queries."""
_READ_BYTES = 65536
_BACKLOG = 1024

Answer = Callable[[bytes, bytes], bytes | None]


def listen(address: str, port: int) -> socket.socket:
    """A listening socket that shares its port with other workers. Raises OSError."""
    ipv6 = ":" in address
    found = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ipv6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((address, port))
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found


class _Connection:
    __slots__ = ("closing", "deadline_s", "ends_s", "network", "received", "socket", "source", "unsent")

    def __init__(self, accepted: socket.socket, source: bytes, now_s: float, idle_s: float) -> None:
        self.socket = accepted
        self.source = source
        self.network = limit.network(source)
        self.received = bytearray()
        self.unsent = bytearray()
        self.ends_s = now_s + LIFE_S
        self.deadline_s = now_s + idle_s
        self.closing = False


class Streams:
    """All connections of a worker, watched by its epoll. Times are monotonic."""

    def __init__(self, poll: select.epoll, answer: Answer, *, connections: int, connections_each: int, idle_s: float) -> None:
        self._poll = poll
        self._answer = answer
        self._most, self._most_each, self._idle_s = connections, connections_each, idle_s
        self._open: dict[int, _Connection] = {}
        self._by_network: dict[bytes, int] = {}
        self._unfinished: set[int] = set()
        self.accepted = self.refused = self.lapsed = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def busy(self) -> bool:
        """Whether queries that have come already wait for their turn."""
        return bool(self._unfinished)

    def accept(self, listener: socket.socket, now_s: float) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no more files, or gone before it was taken
                self._evict()
                return
            self._take(accepted, address[0], now_s)

    def _take(self, accepted: socket.socket, address: str, now_s: float) -> None:
        source = socket.inet_pton(accepted.family, address.partition("%")[0])
        connection = _Connection(accepted, source, now_s, self._idle_s)
        if self._by_network.get(connection.network, 0) >= self._most_each:
            self.refused += 1
            accepted.close()
            return
        if len(self._open) >= self._most:
            self._evict()
        accepted.setblocking(False)
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[accepted.fileno()] = connection
        self._by_network[connection.network] = self._by_network.get(connection.network, 0) + 1
        self._poll.register(accepted.fileno(), select.EPOLLIN)
        self.accepted += 1

    def _evict(self) -> None:
        if self._open:
            self.lapsed += 1
            self._close(min(self._open, key=lambda fd: self._open[fd].deadline_s))

    def ready(self, fd: int, events: int, now_s: float) -> None:
        """Something can be read or written on a connection of ours."""
        connection = self._open.get(fd)
        if connection is None:
            return
        try:
            if events & select.EPOLLOUT:
                self._write(fd, connection, now_s)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and fd in self._open:
                self._read(fd, connection, now_s)
        except OSError:  # the client is gone
            self._close(fd)

    def go_on(self, now_s: float) -> None:
        """The next queries of those that sent many at once."""
        for fd in list(self._unfinished):
            self._unfinished.discard(fd)
            connection = self._open.get(fd)
            if connection is not None:
                try:
                    self._work(fd, connection, now_s)
                except OSError:
                    self._close(fd)

    def _read(self, fd: int, connection: _Connection, now_s: float) -> None:
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            connection.closing = True
            if not connection.unsent and fd not in self._unfinished:
                self._close(fd)
                return
        connection.received += data
        self._work(fd, connection, now_s)

    def _work(self, fd: int, connection: _Connection, now_s: float) -> None:
        received, at = connection.received, 0
        for _ in range(QUERIES_AT_ONCE):
            if len(received) < at + 2 or len(connection.unsent) >= UNSENT_BYTES_MAX:
                break
            size = received[at] << 8 | received[at + 1]
            if size < HEADER_BYTES:
                self._close(fd)
                return
            if len(received) < at + 2 + size:
                break
            answer = self._answer(bytes(received[at + 2 : at + 2 + size]), connection.source)
            at += 2 + size
            if answer is None:  # what is no query deserves no connection
                connection.closing = True
                at = len(received)
                break
            connection.unsent += len(answer).to_bytes(2, "big") + answer
            connection.deadline_s = now_s + self._idle_s
        else:
            self._unfinished.add(fd)
        del received[:at]
        self._write(fd, connection, now_s)

    def _write(self, fd: int, connection: _Connection, now_s: float) -> None:
        was_full = len(connection.unsent) >= UNSENT_BYTES_MAX
        if connection.unsent:
            with contextlib.suppress(BlockingIOError):
                sent = connection.socket.send(connection.unsent)
                del connection.unsent[:sent]
                connection.deadline_s = now_s + self._idle_s
        if connection.unsent:
            full = len(connection.unsent) >= UNSENT_BYTES_MAX or connection.closing
            self._poll.modify(fd, select.EPOLLOUT | (0 if full else select.EPOLLIN))
            if was_full and not full:
                self._unfinished.add(fd)
            return
        if was_full:
            self._unfinished.add(fd)
        if connection.closing and fd not in self._unfinished:
            self._close(fd)
            return
        self._poll.modify(fd, 0 if connection.closing else select.EPOLLIN)

    def sweep(self, now_s: float) -> None:
        """Close those whose time is over."""
        for fd in [fd for fd, each in self._open.items() if now_s >= min(each.deadline_s, each.ends_s)]:
            self.lapsed += 1
            self._close(fd)

    def flush(self, now_s: float) -> None:
        """Write what can be written."""
        for fd in list(self._open):
            self.ready(fd, select.EPOLLOUT, now_s)

    def close_idle(self) -> None:
        """Close those that owe nobody an answer."""
        for fd in [fd for fd, each in self._open.items() if not each.unsent and fd not in self._unfinished]:
            self._close(fd)

    def close(self) -> None:
        for fd in list(self._open):
            self._close(fd)

    def _close(self, fd: int) -> None:
        connection = self._open.pop(fd)
        self._unfinished.discard(fd)
        left = self._by_network.get(connection.network, 1) - 1
        if left > 0:
            self._by_network[connection.network] = left
        else:
            self._by_network.pop(connection.network, None)
        with contextlib.suppress(OSError):
            self._poll.unregister(fd)
        connection.socket.close()
