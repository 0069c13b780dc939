"""A port that the workers of one home share among them (SO_REUSEPORT), and with nobody else.

The kernel lets any process of the same user join, and gives it its part of the queries. So each worker holds a lock of its home, and who
finds nobody there looks first whether the port is free.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterable
from pathlib import Path


def join(lock: Path, addresses: Iterable[str], port: int) -> int:
    """The lock, as a file descriptor to be held while the port is. Raises OSError with what is in use as its file name."""
    found = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another worker of ours has the port, or looks at it now
        else:
            for address in addresses:
                _look(address, port)
        fcntl.flock(found, fcntl.LOCK_SH)
    except BaseException:
        os.close(found)
        raise
    return found


def _look(address: str, port: int) -> None:
    """Take the port alone, and let it go."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind | socket.SOCK_CLOEXEC) as probe:
            if kind == socket.SOCK_STREAM:  # connections that have ended are in nobody's way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    probe.listen(1)
            except OSError as error:
                raise OSError(error.errno, error.strerror, address) from error
