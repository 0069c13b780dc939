"""Asks one server for byte ranges over many connections, as fast as it answers, and throws the bytes away unread.

    python -m bench.blast HOST:PORT PATH FILE_BYTES RANGE_BYTES CONNECTIONS SECONDS
    python -m bench.blast HOST:PORT PATH FILE_BYTES RANGE_BYTES CONNECTIONS crowd

In a crowd every connection asks for the first range, all at the same moment, and but once.

Bodies are discarded in the kernel (recv with MSG_TRUNC, tcp(7)), so that one core of this asks for more than one core of any server can
send. Prints one JSON object: requests, bytes, seconds; of a crowd how long after all had asked each first byte came.
"""

from __future__ import annotations

import json
import random
import re
import resource
import select
import socket
import sys
import time

HEADERS = (
    'CMCD-Session: sid="6e2fb550-c457-11e9-bb97-0800200c9a66",cid="t_film"\r\n'
    "CMCD-Request: bl=21300,dl=18500,mtp=48100\r\nCMCD-Object: br=3200,d=4004,ot=v,tb=6000\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n"
)
HEAD_BYTES = 4096
CROWD_S = 40.0
DISCARDED = bytearray(8 << 20)
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


class Connection:
    """``left`` bytes of the answer are still to come; -1: not even its head is there."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.left = -1

    def read(self) -> int:
        """How many bytes of a body came. Raises OSError where the answer is no part of a film."""
        try:
            if self.left < 0:
                head = self.socket.recv(HEAD_BYTES)
                end = head.find(b"\r\n\r\n")
                length = _LENGTH.search(head, 0, end + 2)
                if not head.startswith(b"HTTP/1.1 206") or length is None:
                    raise OSError(head[:200].decode("latin-1") or "closed")
                came = len(head) - end - 4
                self.left = int(length[1]) - came
            else:
                came = self.socket.recv_into(DISCARDED, self.left, socket.MSG_TRUNC)
                if not came:
                    raise OSError("closed within an answer")
                self.left -= came
        except BlockingIOError:
            return 0
        return came


def blast(address: tuple[str, int], requests: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    poll, opened = select.epoll(), {}
    for _ in range(connections):
        each = Connection(address)
        opened[each.socket.fileno()] = each
        poll.register(each.socket, select.EPOLLIN)
        each.socket.send(random.choice(requests))
    done = received = 0
    began_s = time.monotonic()
    until_s = began_s + seconds
    while (now_s := time.monotonic()) < until_s:
        for number, _ in poll.poll(0.5):
            each = opened[number]
            received += each.read()
            if each.left == 0:
                done += 1
                each.left = -1
                each.socket.send(random.choice(requests))
    return {"requests": done, "bytes": received, "seconds": now_s - began_s}


def crowd(address: tuple[str, int], request: bytes, connections: int) -> dict[str, object]:
    poll, opened = select.epoll(), {}
    for _ in range(connections):
        each = Connection(address)
        opened[each.socket.fileno()] = each
        poll.register(each.socket, select.EPOLLIN)
    began_s = time.monotonic()
    for each in opened.values():
        each.socket.send(request)
    first_s: dict[int, float] = {}
    received = done = failed = 0
    while done + failed < connections and time.monotonic() - began_s < CROWD_S:
        for number, _ in poll.poll(0.5):
            each = opened[number]
            first_s.setdefault(number, time.monotonic() - began_s)
            try:
                received += each.read()
            except OSError:
                failed += 1
                poll.unregister(each.socket)
                continue
            if each.left == 0:
                done += 1
                poll.unregister(each.socket)
    return {"requests": done, "bytes": received, "seconds": time.monotonic() - began_s, "first_byte_s": sorted(first_s.values())}


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
    where, path, file_bytes, range_bytes, connections, seconds = sys.argv[1:]
    host, _, port = where.rpartition(":")
    size, step = int(file_bytes), int(range_bytes)
    head = f"GET {path} HTTP/1.1\r\nHost: {where}\r\n{HEADERS}Range: bytes="
    requests = [f"{head}{start}-{start + step - 1}\r\n\r\n".encode() for start in range(0, size - step, step)]
    if seconds == "crowd":
        json.dump(crowd((host, int(port)), requests[0], int(connections)), sys.stdout)
        return
    json.dump(blast((host, int(port)), requests, int(connections), float(seconds)), sys.stdout)


if __name__ == "__main__":
    main()
