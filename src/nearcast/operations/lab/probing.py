"""Asks the doors behind an address every few milliseconds, and tells how long nobody answered after a fault."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Sequence

from msgspec import Struct

from nearcast.operations.lab.commands import Inside

INTERVAL_S = 0.01
ANSWER_S = 1.0
"""Who has not answered by then is not waited for."""
FRESH_S = 0.1
_DOOR = re.compile(rb"^HTTP/1\.1 204 .*?\r\nX-Nearcast-Door: ([^\r\n]+)\r\n", re.DOTALL)


class Heard(Struct, frozen=True):
    """One answer: when it was asked for, when it came (monotonic clock), and who gave it."""

    sent_s: float
    came_s: float
    name: str


def next_answered_s(heard: Sequence[Heard], fault_s: float, failed: str) -> float:
    """How long after the fault the first answer of another than ``failed`` came to a question asked after it; infinite where none did."""
    return min((each.came_s - fault_s for each in heard if each.sent_s >= fault_s and each.name != failed), default=float("inf"))


def question(host: str) -> bytes:
    """What a browser asks before it sends a token (Fetch, CORS preflight): the door passes it on, and an appliance alone answers 204."""
    return f"OPTIONS /cat/lab/{'0' * 64}.mp4 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def door(head: bytes) -> str:
    """The door behind which an appliance answered; empty for any other answer."""
    found = _DOOR.match(head)
    return found[1].decode() if found else ""


class Prober:
    """A question each 10 ms, over a connection of its own, from the namespace of a viewer. What is heard is kept until ``forget``."""

    def __init__(self, namespace: str, address: str, port: int) -> None:
        self._inside = Inside(namespace)
        self._address, self._port, self._question = address, port, question(address)
        self._heard: list[Heard] = []
        self._over = threading.Event()

    @property
    def heard(self) -> list[Heard]:
        return list(self._heard)

    @property
    def last(self) -> str:
        """Who answered last, if that was just now; else empty."""
        latest = self._heard[-1:]
        return latest[0].name if latest and time.monotonic() - latest[0].came_s < FRESH_S else ""

    def forget(self) -> None:
        self._heard = []

    def __enter__(self) -> Prober:
        self._running = self._inside.begin(lambda: asyncio.run(self._ask()))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._running.result()
        self._inside.close()

    async def _ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            due_s = time.monotonic()
            while not self._over.is_set():
                due_s = max(due_s + INTERVAL_S, time.monotonic() - 10 * INTERVAL_S)
                group.create_task(self._ask_once())
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _ask_once(self) -> None:
        sent_s = time.monotonic()
        with contextlib.suppress(OSError, EOFError, TimeoutError):  # no answer, which is what is looked for
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(self._address, self._port)
                try:
                    writer.write(self._question)
                    name = door(await reader.readuntil(b"\r\n\r\n"))
                finally:
                    writer.close()
            if name:
                self._heard.append(Heard(sent_s, time.monotonic(), name))
