"""Looks at the service that the addresses lead to, many times a second: HTTP, DNS.

On a host that is short of processor time answers are late from a service that is well. This process is late then, too, and sees it by its
own timers: a time limit that was missed meanwhile says nothing of the service, and counts for nothing for a while. What is refused, or
answered wrongly, counts at once.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct

import httpx
from msgspec import Struct
from msgspec.structs import replace

from nearcast.base.clock import Clock
from nearcast.steering.anycast.settings import AnycastCheck

SOA = 6
TICK_S = 0.01
HELD_UP_SHARE = 0.2
"""So much of a look lost by this process itself means that it was held up."""
EXCUSED_S = 1.0
"""For so long at most: a service that stays silent is dead, too, on a busy host."""
_HEAD = struct.Struct("!HHHHHH")


class Look(Struct, frozen=True):
    """One look at everything that is checked, and what failed of it, in words. ``slow``: by missing its time limit, and nothing worse.

    ``late_s`` of the ``took_s`` that it lasted this process was not run, although it was due.
    """

    failures: tuple[str, ...] = ()
    slow: bool = False
    took_s: float = 0.0
    late_s: float = 0.0


class Row(Struct, frozen=True):
    """Looks in a row that passed, or failed; one of the two is 0. ``why`` the last one failed. ``excused_s`` lasted those that did not
    count, since the last that passed."""

    passed: int = 0
    failed: int = 0
    why: str = ""
    excused_s: float = 0.0


def after(row: Row, look: Look) -> Row:
    """The row after one more look."""
    if not look.failures:
        return Row(row.passed + 1, 0)
    if look.slow and look.late_s > HELD_UP_SHARE * look.took_s and row.excused_s < EXCUSED_S:
        return replace(row, excused_s=row.excused_s + look.took_s)
    return Row(0, row.failed + 1, "; ".join(look.failures), row.excused_s)


def question(number: int, name: str) -> bytes:
    """A DNS query for the SOA of ``name`` (RFC 1035, 4.1)."""
    labels = [each.encode("idna") for each in name.rstrip(".").split(".") if each]
    return _HEAD.pack(number, 0, 1, 0, 0, 0) + b"".join(bytes([len(each)]) + each for each in labels) + b"\0" + struct.pack("!HH", SOA, 1)


def fault(number: int, answer: bytes) -> str:
    """What is wrong with an answer to ``question``; empty: nothing."""
    if len(answer) < _HEAD.size:
        return "answers what is no DNS"
    found, flags = _HEAD.unpack_from(answer)[:2]
    if found != number or not flags & 0x8000:
        return "answers another question"
    return f"answers with error {flags & 15}" if flags & 15 else ""


class Checker:
    """``look`` once at everything."""

    def __init__(self, checks: tuple[AnycastCheck, ...], timeout_s: float, clock: Clock) -> None:
        self._checks, self._timeout_s, self._clock = checks, timeout_s, clock
        self._numbers = itertools.count(1)
        # Each look opens a connection of its own: whether new ones are taken is what is to be known. The certificate names the public
        # address, and the service is on this machine: nothing to verify.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(trust_env=False, verify=False, limits=limits, timeout=timeout_s)  # noqa: S501

    async def look(self) -> Look:
        lateness = Lateness(self._clock)
        feeling = asyncio.create_task(lateness.run())
        try:
            found = await asyncio.gather(*(self._one(each) for each in self._checks))
        finally:
            feeling.cancel()
        failures = [(why, slow) for why, slow in found if why]
        return Look(tuple(why for why, _ in failures), all(slow for _, slow in failures), lateness.took_s, lateness.late_s)

    async def _one(self, check: AnycastCheck) -> tuple[str, bool]:
        """What failed, and whether by being late alone; empty: nothing."""
        why, slow = "", False
        try:
            async with asyncio.timeout(self._timeout_s):
                why = await (self._http(check) if check.kind == "http" else self._dns(check))
        except (TimeoutError, httpx.TimeoutException):
            why, slow = "does not answer in time", True
        except (OSError, httpx.HTTPError) as error:
            why = f"cannot be reached ({error})"
        return (f"{check.target} {why}" if why else ""), slow

    async def _http(self, check: AnycastCheck) -> str:
        status = (await self._client.get(check.target)).status_code
        return "" if status == 200 else f"answers with status {status}"

    async def _dns(self, check: AnycastCheck) -> str:
        host, _, port = check.target.rpartition(":")
        number = next(self._numbers) & 0xFFFF
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if "[" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.connect((host.strip("[]"), int(port)))
            await loop.sock_sendall(channel, question(number, check.name))
            return fault(number, await loop.sock_recv(channel, 4096))

    async def close(self) -> None:
        await self._client.aclose()


class Lateness:
    """How late this process is run while ``run`` is: the sum of what its timers lag behind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._due_s = self._began_s + TICK_S
        self._sum_s = 0.0

    @property
    def took_s(self) -> float:
        return self._clock.monotonic_s() - self._began_s

    @property
    def late_s(self) -> float:
        return self._sum_s + max(0.0, self._clock.monotonic_s() - self._due_s)

    async def run(self) -> None:
        while True:
            self._due_s = self._clock.monotonic_s() + TICK_S
            await asyncio.sleep(TICK_S)
            self._sum_s += max(0.0, self._clock.monotonic_s() - self._due_s)
