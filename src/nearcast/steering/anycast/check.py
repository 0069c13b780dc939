"""Looks at the service that the addresses lead to, many times a second: HTTP, DNS.

A look that ended late because this process itself was held up says nothing of the service, and counts for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct

import httpx
from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.steering.anycast.settings import AnycastCheck

SOA = 6
HELD_UP_S = 0.1
"""A timer that fires so late tells that this process was held up."""
_HEAD = struct.Struct("!HHHHHH")


class Row(Struct, frozen=True):
    """Looks in a row that passed, or failed; one of the two is 0. ``why`` the last one failed."""

    passed: int = 0
    failed: int = 0
    why: str = ""


def after(row: Row, failures: list[str]) -> Row:
    """The row after one look at everything that is checked: ``failures`` in words, none where all is well."""
    return Row(0, row.failed + 1, "; ".join(failures)) if failures else Row(row.passed + 1, 0)


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
    """``look`` once at everything; answers with what failed, or None where this process was held up itself."""

    def __init__(self, checks: tuple[AnycastCheck, ...], timeout_s: float, clock: Clock) -> None:
        self._checks, self._timeout_s, self._clock = checks, timeout_s, clock
        self._numbers = itertools.count(1)
        # Each look opens a connection of its own: whether new ones are taken is what is to be known. The certificate names the public
        # address, and the service is on this machine: nothing to verify.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(trust_env=False, verify=False, limits=limits, timeout=timeout_s)  # noqa: S501

    async def look(self) -> list[str] | None:
        began_s = self._clock.monotonic_s()
        found = await asyncio.gather(*(self._one(each) for each in self._checks))
        late = self._clock.monotonic_s() - began_s > self._timeout_s + HELD_UP_S
        failures = [each for each in found if each]
        return None if failures and late else failures

    async def _one(self, check: AnycastCheck) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                why = await (self._http(check) if check.kind == "http" else self._dns(check))
        except (TimeoutError, httpx.TimeoutException):
            why = "does not answer in time"
        except (OSError, httpx.HTTPError) as error:
            why = f"cannot be reached ({error})"
        return f"{check.target} {why}" if why else ""

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
