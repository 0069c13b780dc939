"""Asks an address every few milliseconds who answers there, and tells how long nobody did after a fault."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence

from msgspec import Struct

from nearcast.operations.lab.commands import Inside

INTERVAL_S = 0.005
_SENT = struct.Struct("=d")


class Heard(Struct, frozen=True):
    """One answer: when it was asked for, when it came (monotonic clock), and who gave it."""

    sent_s: float
    came_s: float
    name: str


def next_answered_s(heard: Sequence[Heard], fault_s: float, failed: str) -> float:
    """How long after the fault the first answer of another than ``failed`` came to a question asked after it; infinite where none did."""
    return min((each.came_s - fault_s for each in heard if each.sent_s >= fault_s and each.name != failed), default=float("inf"))


class Prober:
    """A datagram each 5 ms from a viewer to ``address``. What is heard is kept until ``forget``."""

    def __init__(self, inside: Inside, address: str, port: int) -> None:
        self._socket = inside.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._target = (address, port)
        self._heard: list[Heard] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="prober", daemon=True)

    @property
    def heard(self) -> list[Heard]:
        return list(self._heard)

    @property
    def last(self) -> str:
        """Who answered last, if that was just now; else empty."""
        latest = self._heard[-1:]
        return latest[0].name if latest and time.monotonic() - latest[0].came_s < 10 * INTERVAL_S else ""

    def forget(self) -> None:
        self._heard = []

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _ask(self) -> None:
        due_s = time.monotonic()
        while not self._over.is_set():
            due_s = max(due_s + INTERVAL_S, time.monotonic() - 10 * INTERVAL_S)
            with contextlib.suppress(OSError):  # an unreachable network is no answer, which is what is looked for
                self._socket.sendto(_SENT.pack(time.monotonic()), self._target)
            while (left_s := due_s - time.monotonic()) > 0:
                if select.select([self._socket], [], [], left_s)[0]:
                    self._take()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            data = self._socket.recv(256)
            came_s = time.monotonic()
            self._heard.append(Heard(_SENT.unpack_from(data)[0], came_s, data[_SENT.size + 1 :].decode()))
