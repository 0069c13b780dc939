"""``python -m nearcast.operations.lab.delay QUEUE:DELAY_MS:JITTER_MS:LOSS:SEED …``: delay, jitter and loss where the kernel has no netem.

A rule hands forwarded packets to NFQUEUE; this process says ACCEPT when their time has come, or DROP at once. It speaks the kernel's
netlink itself (linux/netfilter/nfnetlink_queue.h): only metadata is copied, and one verdict lets through all packets up to an id.
Packets keep their order whatever the jitter, as on a line.
"""

from __future__ import annotations

import random
import select
import signal
import socket
import struct
import sys
import time
from collections import deque

from msgspec import Struct

NETLINK_NETFILTER = 12
QUEUE_SUBSYSTEM = 3 << 8
PACKET, VERDICT, CONFIG, VERDICT_BATCH = (QUEUE_SUBSYSTEM | each for each in range(4))
REQUEST, ACKNOWLEDGE = 1, 4
BIND, COPY_META = 1, 1
CFG_COMMAND, CFG_PARAMETERS, CFG_LENGTH, CFG_MASK, CFG_FLAGS = range(1, 6)
FAIL_OPEN, GSO = 1, 4
VERDICT_HEADER = 2
DROP, ACCEPT = 0, 1
SO_RCVBUFFORCE = 33
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
QUEUE_PACKETS_MAX = 100_000
EARLY_S = 0.00005
"""What is due within the kernel's own timer slack goes now."""
_HEADER = struct.Struct("=IHHII")


class Line:
    """When each packet of one direction leaves: ``delay_s`` after it came, give or take ``jitter_s``, never before the one ahead of it."""

    def __init__(self, delay_s: float, jitter_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self._delay_s, self._jitter_s, self._loss = delay_s, jitter_s, loss
        self._random = random.Random(seed)  # noqa: S311  (a replayable line, no secret)
        self._last_s = 0.0

    def due_s(self, now_s: float) -> float | None:
        """When the packet that came now shall leave; None: it is lost."""
        if self._loss and self._random.random() < self._loss:
            return None
        off_s = self._random.uniform(-self._jitter_s, self._jitter_s) if self._jitter_s else 0.0
        self._last_s = max(self._last_s, now_s, now_s + self._delay_s + off_s)
        return self._last_s


class Asked(Struct, frozen=True):
    """One queue of the command line."""

    queue: int
    delay_s: float
    jitter_s: float
    loss: float
    seed: int

    @classmethod
    def of(cls, text: str) -> Asked:
        queue, delay_ms, jitter_ms, loss, seed = text.split(":")
        return cls(int(queue), float(delay_ms) / 1000, float(jitter_ms) / 1000, float(loss), int(seed))


def attribute(kind: int, content: bytes) -> bytes:
    """A netlink attribute, filled up to four bytes."""
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def message(kind: int, queue: int, content: bytes, flags: int = REQUEST) -> bytes:
    """A message of nfnetlink for one queue."""
    body = struct.pack("=BB", socket.AF_UNSPEC, 0) + struct.pack(">H", queue) + content
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def verdict(kind: int, queue: int, what: int, packet: int) -> bytes:
    return message(kind, queue, attribute(VERDICT_HEADER, struct.pack(">II", what, packet)))


def packet_ids(datagram: bytes | memoryview) -> list[int]:
    """The ids of the packets that a datagram of the kernel's tells of; the header attribute comes first in each."""
    found, at = [], 0
    while at + _HEADER.size <= len(datagram):
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            break
        if kind == PACKET:
            found.append(struct.unpack_from(">I", datagram, at + _HEADER.size + 8)[0])
        at += (length + 3) & ~3
    return found


class Queue:
    """One NFQUEUE, bound by this process."""

    def __init__(self, asked: Asked) -> None:
        self.number = asked.queue
        self.line = Line(asked.delay_s, asked.jitter_s, asked.loss, asked.seed)
        self.waiting: deque[tuple[float, int]] = deque()
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self._configure(attribute(CFG_COMMAND, struct.pack(">BxH", BIND, socket.AF_UNSPEC)))
        self._configure(attribute(CFG_PARAMETERS, struct.pack(">IB", 0, COPY_META)))
        self._configure(attribute(CFG_LENGTH, struct.pack(">I", QUEUE_PACKETS_MAX)))
        both = struct.pack(">I", GSO | FAIL_OPEN)
        self._configure(attribute(CFG_MASK, both) + attribute(CFG_FLAGS, both))
        self.socket.setblocking(False)

    def _configure(self, content: bytes) -> None:
        """Raises OSError with the kernel's reason."""
        self.socket.send(message(CONFIG, self.number, content, REQUEST | ACKNOWLEDGE))
        answer = self.socket.recv(4096)
        if number := struct.unpack_from("=i", answer, _HEADER.size)[0]:
            raise OSError(-number, f"queue {self.number} is refused")

    def take(self, now_s: float) -> None:
        """Note what has come; say DROP for what is lost."""
        for _ in range(512):
            try:
                datagram = self.socket.recv(65536)
            except (BlockingIOError, OSError):
                return
            for packet in packet_ids(datagram):
                due_s = self.line.due_s(now_s)
                if due_s is None:
                    self.socket.send(verdict(VERDICT, self.number, DROP, packet))
                else:
                    self.waiting.append((due_s, packet))

    def release(self, now_s: float) -> None:
        """Let through what is due: all up to the last such id, by one verdict."""
        last = -1
        while self.waiting and self.waiting[0][0] <= now_s + EARLY_S:
            last = self.waiting.popleft()[1]
        if last >= 0:
            self.socket.send(verdict(VERDICT_BATCH, self.number, ACCEPT, last))


def main(arguments: list[str]) -> int:
    """Serve until a signal comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    queues = [Queue(Asked.of(each)) for each in arguments]
    print("ready", flush=True)
    while True:
        due = [each.waiting[0][0] for each in queues if each.waiting]
        left_s = max(0.0, min(due) - time.monotonic()) if due else 1.0
        select.select([each.socket for each in queues], [], [], left_s)
        now_s = time.monotonic()
        for each in queues:
            each.take(now_s)
        now_s = time.monotonic()
        for each in queues:
            each.release(now_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
