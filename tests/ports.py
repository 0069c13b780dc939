"""Ports for what tests start, each handed out to one test process alone: lots run side by side, and none may take what another is about to.

A port that is bound for a moment and let go belongs to nobody: in the range that the kernel hands out to clients, any connection may
take it before the server is there. So they lie below that range, each process takes a block for itself, and goes through it in turn.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from functools import cache

FIRST, LAST = 12_000, 32_000
BLOCK = 500


@cache
def _block(pid: int) -> tuple[socket.socket, itertools.cycle[int]]:
    """A block that no other process has, and its ports. It is held by the name of a socket, which goes with the process ``pid``."""
    for start in range(FIRST, LAST, BLOCK):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0nearcast-test-ports-{start}")
        except OSError:
            held.close()
        else:
            return held, itertools.cycle(range(start, start + BLOCK))
    raise RuntimeError(f"process {pid}: {(LAST - FIRST) // BLOCK} others run tests here")


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody holds now, by TCP or UDP."""
    _, ports = _block(os.getpid())
    return list(itertools.islice((each for each in ports if _free(each, host)), count))


def free_port(host: str = "127.0.0.1") -> int:
    return free_ports(1, host)[0]


def _free(port: int, host: str) -> bool:
    with contextlib.suppress(OSError), socket.create_server((host, port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((host, port))
        return True
    return False
