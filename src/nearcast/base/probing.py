"""Looks at health URLs from outside, again and again: HTTP/1.1 GET, few resources for many targets.

Connections are kept, so that an answer takes one round trip and a late one means something at any distance. What that would hide is a
server that takes no new connections: so each FRESH_S a look opens one anew, and until that has succeeded, every look does (with several
lines to a far target some half of all looks). For each target
there are as many lines as it takes to begin a look every interval, even while one before waits for its timeout: a target that freezes is
found after ``failures`` intervals and one timeout, not after as many timeouts. The first look comes at a random moment, and intervals vary.

A certificate that cannot be verified is told of in the log, and is no failure: who is dead shows all the same, and viewers may know an
authority that we do not.
"""

from __future__ import annotations

import asyncio
import errno
import math
import random
import re
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

import structlog
from msgspec import Struct

from nearcast.base import ports

Look = Literal["reached", "refused", "lost"]
"""``refused``: something answered, and not what was expected; ``lost``: nothing did."""

FRESH_S = 0.5
LOOKS_PER_S_MAX = 3000.0
FRESH_PER_S_MAX = 400.0
"""Of all targets together: to open a connection costs several times what a look costs, with TLS more."""
LINES_MAX = 4
SLOW_AFTER = 4
SLOW_S = 1.0
"""A target that failed SLOW_AFTER times is looked at this often by each line."""
LATE_S = 0.2
"""We were held up ourselves when a timeout comes so late, and it says nothing of the target."""
JITTER = 0.1
HEAD_BYTES_MAX = 8192
BODY_BYTES_MAX = 1024
_OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
"""What this machine is short of is nobody else's failure."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9}) *\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close *\r\n", re.IGNORECASE)
_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname, _UNVERIFIED.verify_mode = False, ssl.CERT_NONE
_log = structlog.get_logger("probes")


@lru_cache(maxsize=1)
def _public() -> ssl.SSLContext:
    """By the public authorities; to read them takes long."""
    return ssl.create_default_context()


def interval_for(wanted_s: float, count: int, per_s_max: float = LOOKS_PER_S_MAX) -> float:
    """Between two looks at one of ``count`` targets."""
    return max(wanted_s, count / per_s_max)


def fresh_for(count: int) -> float:
    """Between two looks at one of ``count`` targets that open a connection."""
    return max(FRESH_S, count / FRESH_PER_S_MAX)


class Target(Struct, frozen=True):
    """``url`` is asked; 200 and ``text`` (whitespace aside) is the answer that counts."""

    url: str
    text: str


class _Wrong(Exception):
    """It answered, but not as it should."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.open = True

    async def ask(self, request: bytes, text: bytes) -> None:
        """Raises _Wrong, OSError, or IncompleteReadError where it was closed."""
        self._writer.write(request)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None or int(length[1]) > BODY_BYTES_MAX:
                raise _Wrong("no short answer")
            body = await self._reader.readexactly(int(length[1]))
        except asyncio.LimitOverrunError as error:
            raise _Wrong("no short answer") from error
        status = head.split(b" ", 2)
        self.open = head.startswith(b"HTTP/1.1 ") and not _CLOSE.search(head)
        if len(status) < 2 or status[1] != b"200" or body.strip() != text:
            raise _Wrong("another answer")

    def close(self) -> None:
        self._writer.transport.abort()


class _Watched:
    """One target with its lines."""

    def __init__(self, target: Target) -> None:
        self.target = target
        parts = urlsplit(target.url)
        self.host, self.secure = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        host = ports.authority(self.host, self.port)
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: nearcast\r\nAccept: */*\r\n\r\n".encode("ascii", "replace")
        self.text = target.text.encode()
        self.tasks: list[asyncio.Task[None]] = []
        self.failures = 0
        self.good_since = -math.inf
        """When the latest look that succeeded began: one that began before and fails later tells of the past."""
        self.fresh_s = -math.inf
        """When a look last began to open a connection."""
        self.shut = False
        """Whether that failed, or did not end yet."""
        self.typical_s: float | None = None
        self.verified = True


class Prober:
    """Looks at what ``watch`` names, and calls ``found`` with the name and the result. Belongs to one running loop.

    ``tls``: for https targets. With more than ``looks_per_s_max`` / ``interval_s`` targets the interval grows.
    """

    def __init__(
        self,
        found: Callable[[str, Look], None],
        *,
        interval_s: float,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        looks_per_s_max: float = LOOKS_PER_S_MAX,
        connecting_max: int = 256,
        rng: random.Random | None = None,
    ) -> None:
        self._found = found
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._tls = tls
        self._looks_per_s_max = looks_per_s_max
        self._connecting = asyncio.Semaphore(connecting_max)
        self._rng = rng or random.Random()  # noqa: S311  (spreads looks over time)
        self._watched: dict[str, _Watched] = {}

    @property
    def interval_s(self) -> float:
        """Between two looks at one target."""
        return interval_for(self._interval_s, len(self._watched), self._looks_per_s_max)

    @property
    def fresh_s(self) -> float:
        """Between two looks at one target that open a connection."""
        return fresh_for(len(self._watched))

    def watch(self, targets: Mapping[str, Target]) -> None:
        """Look at these from now on, and at no others."""
        for name in [name for name, each in self._watched.items() if targets.get(name) != each.target]:
            self._end(self._watched.pop(name))
        for name, target in targets.items():
            if name in self._watched:
                continue
            try:
                watched = _Watched(target)
            except ValueError:  # no address that could be asked
                continue
            self._watched[name] = watched
            lines = min(LINES_MAX, max(1, math.ceil(self._timeout_s / self._interval_s)))
            first_s = self._rng.random() * self.interval_s
            watched.tasks = [
                asyncio.create_task(self._line(name, watched, first_s + line * self.interval_s, lines), name=f"probes of {name}")
                for line in range(lines)
            ]

    async def stop(self) -> None:
        ended = [task for each in self._watched.values() for task in each.tasks]
        self.watch({})
        await asyncio.gather(*ended, return_exceptions=True)

    @staticmethod
    def _end(watched: _Watched) -> None:
        for task in watched.tasks:
            task.cancel()

    async def _line(self, name: str, watched: _Watched, first_s: float, lines: int) -> None:
        loop = asyncio.get_running_loop()
        connection: _Connection | None = None
        try:
            await asyncio.sleep(first_s)
            while True:
                began_s = loop.time()
                connection, look = await self._look(watched, connection)
                if look is not None:
                    self._tell(name, watched, look, began_s)
                period_s = lines * self.interval_s
                if watched.failures >= SLOW_AFTER:
                    period_s = max(period_s, SLOW_S)
                period_s *= 1 + JITTER * (2 * self._rng.random() - 1)
                await asyncio.sleep(max(0.01, began_s + period_s - loop.time()))
        finally:
            if connection is not None:
                connection.close()

    def _tell(self, name: str, watched: _Watched, look: Look, began_s: float) -> None:
        if look == "reached":
            watched.failures, watched.good_since = 0, max(watched.good_since, began_s)
        elif began_s < watched.good_since:
            return
        else:
            watched.failures += 1
        self._found(name, look)

    async def _look(self, watched: _Watched, kept: _Connection | None) -> tuple[_Connection | None, Look | None]:
        """One look, over ``kept`` where it can be; the connection to keep, and the result (None: none, through our own fault)."""
        if kept is not None and (watched.shut or asyncio.get_running_loop().time() - watched.fresh_s >= self.fresh_s):
            kept.close()
        elif kept is not None:
            try:
                return await self._ask(watched, kept, self._timeout_s)
            except (asyncio.IncompleteReadError, ConnectionError):  # closed while it was idle, as servers may (RFC 9112, 9.3.1)
                kept.close()
        watched.fresh_s, watched.shut = asyncio.get_running_loop().time(), True
        try:
            async with self._connecting:
                connection, look = await self._afresh(watched)
        except (asyncio.IncompleteReadError, ConnectionError):
            connection, look = None, "refused"
        watched.shut = look != "reached"
        return connection, look

    async def _afresh(self, watched: _Watched) -> tuple[_Connection | None, Look | None]:
        """Over a new connection, which takes up to three round trips more (TCP, TLS)."""
        loop = asyncio.get_running_loop()
        more_s = 2 * self._timeout_s if watched.typical_s is None else min(2 * self._timeout_s, 3 * watched.typical_s)
        deadline_s = loop.time() + self._timeout_s + more_s
        try:
            async with asyncio.timeout_at(deadline_s):
                connection = await self._open(watched)
        except (ConnectionRefusedError, ConnectionResetError, ssl.SSLError):
            return None, "refused"
        except (OSError, UnicodeError) as error:  # TimeoutError is one; a name that cannot be looked up
            if getattr(error, "errno", None) in _OURS:
                _log.error("this machine is short of something; appliances cannot be looked at", error=str(error))
                return None, None
            return None, "lost" if loop.time() - deadline_s < LATE_S else None
        return await self._ask(watched, connection, deadline_s - loop.time())

    async def _open(self, watched: _Watched) -> _Connection:
        """Raises OSError, ssl.SSLError among them."""
        secure = (self._tls or _public()) if watched.secure else None
        try:
            found = _Connection(*await asyncio.open_connection(watched.host, watched.port, ssl=secure, limit=HEAD_BYTES_MAX))
            watched.verified = True
        except ssl.SSLCertVerificationError as error:
            if watched.verified:
                _log.warning("a certificate cannot be verified", url=watched.target.url, error=error.verify_message)
            watched.verified = False
            found = _Connection(*await asyncio.open_connection(watched.host, watched.port, ssl=_UNVERIFIED, limit=HEAD_BYTES_MAX))
        return found

    async def _ask(self, watched: _Watched, connection: _Connection, left_s: float) -> tuple[_Connection | None, Look | None]:
        """Raises IncompleteReadError or ConnectionError where it was closed before it answered."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        look: Look | None = "reached"
        try:
            async with asyncio.timeout(left_s):
                await connection.ask(watched.request, watched.text)
            took_s = loop.time() - began_s
            watched.typical_s = took_s if watched.typical_s is None else 0.8 * watched.typical_s + 0.2 * took_s
        except _Wrong:
            look = "refused"
        except ConnectionError:
            connection.close()
            raise
        except OSError:
            look = "lost" if loop.time() - (began_s + left_s) < LATE_S else None
        except BaseException:
            connection.close()
            raise
        if look == "reached" and connection.open:
            return connection, look
        connection.close()
        return None, look
