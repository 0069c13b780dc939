"""What can befall an edge: it is killed, it freezes, its packets are lost. Each is undone at the end, whatever happens in between.

Cut off: a socket filter that takes no packet (SO_ATTACH_FILTER, socket(7)) is put on nginx's own sockets, fetched by
pidfd_getfd(2). The kernel then drops what arrives for them, SYN and ACK alike, and nobody is told: a cable pulled out. It needs no
firewall and no right but to look into a process of one's own, and it goes with the sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence

SYS_PIDFD_GETFD = 438
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
RETURN_0 = struct.pack("HBBI", 0x06, 0, 0, 0)
"""Classic BPF, ``ret #0``: keep no byte of the packet, which drops it."""


class CannotCutOff(Exception):
    """This machine does not let us at the sockets."""


@contextlib.contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def killed(pids: Sequence[int]) -> None:
    """kill -9."""
    _signal(pids, signal.SIGKILL)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextlib.contextmanager
def cut_off(pids: Sequence[int], *, new_alone: bool = False) -> Iterator[None]:
    """Drop every packet for the sockets of ``pids``; ``new_alone``: only for those that listen, as when nobody takes what is connected
    out of their queue. Raises CannotCutOff.
    """
    program = ctypes.create_string_buffer(RETURN_0)
    filter_ = struct.pack("HxxxxxxQ", 1, ctypes.addressof(program))
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for pid in pids for each in _sockets_of(pid)]
        if new_alone:
            sockets = [each for each in sockets if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
        if not sockets:
            raise CannotCutOff(f"no TCP socket in {list(pids)}")
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
            stack.callback(_heal, each)
        yield


def _heal(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, struct.pack("i", 0))


def _sockets_of(pid: int) -> Iterator[socket.socket]:
    """Copies of the TCP sockets that ``pid`` has open."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
            descriptor = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
            if descriptor < 0:
                raise CannotCutOff(os.strerror(ctypes.get_errno()))
            found = socket.socket(fileno=descriptor)
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                yield found
            else:
                found.close()
    except PermissionError as error:
        raise CannotCutOff(str(error)) from error
    finally:
        os.close(pidfd)
