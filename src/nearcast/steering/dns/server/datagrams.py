"""UDP in batches: one system call takes up to 64 queries, one gives all answers (recvmmsg(2), sendmmsg(2)).

Python's own recvfrom and sendto cost two calls and two address conversions a query, which is more than an answer costs. The answer
goes to the very address structure that the kernel filled in, and leaves from the address the query came to (ip(7), IP_PKTINFO).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable

from nearcast.base.errors import Internal
from nearcast.steering.dns.settings import WILDCARDS

BATCH = 64
QUERY_BYTES = 2048
"""What is longer is cut off, and so malformed: no query is."""
ANSWER_BYTES = 1280
_NAME_BYTES = 28
"""struct sockaddr_in6."""
_CONTROL_BYTES = 64
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_RECEIVE_BUFFER_BYTES = 4 << 20
_SMALL_SERVICES = frozenset((0, 7, 13, 17, 19))
"""Source ports of echo, daytime, quotes and chargen: whoever answers these may be answering for ever."""
_WORDS = 8
"""64-bit words of a struct mmsghdr where pointers have 64 bits: name, its length, iov, its length, control, its length, flags, bytes."""


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr (recvmmsg(2))."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("_gap", ctypes.c_int),
        ("bytes", ctypes.c_uint32),
        ("_end", ctypes.c_int),
    )


Answer = Callable[[bytes, bytes], bytes | None]
"""From a query and its sender's address (4 or 16 bytes) to the answer, or None."""


def bind(address: str, port: int) -> socket.socket:
    """A UDP socket that shares its port with other workers. Raises OSError."""
    ipv6 = ":" in address
    found = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        if ipv6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if address in WILDCARDS:
            found.setsockopt(*((socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO) if ipv6 else (socket.IPPROTO_IP, _IP_PKTINFO)), 1)
        found.bind((address, port))
    except OSError:
        found.close()
        raise
    return found


class NotHere(Internal):
    """This machine has no recvmmsg and sendmmsg as 64-bit Linux has them."""

    code = "NC3062"
    cure = "run the name server on 64-bit Linux"


def _system() -> ctypes.CDLL:
    """The C library with both calls. Raises NotHere."""
    found = ctypes.CDLL(None)
    if ctypes.sizeof(_Message) != 8 * _WORDS or not (hasattr(found, "recvmmsg") and hasattr(found, "sendmmsg")):
        raise NotHere("the name server takes its queries with recvmmsg, which is not here")
    found.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    found.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    return found


class Datagrams:
    """The queries of one socket. ``serve`` takes what has come and answers it; call it when the socket can be read."""

    def __init__(self, bound: socket.socket) -> None:
        self.socket = bound
        self._system = _system()
        self._fd = bound.fileno()
        self._ipv6 = bound.family == socket.AF_INET6
        self._control_bytes = _CONTROL_BYTES if bound.getsockname()[0] in WILDCARDS else 0
        self._name_bytes = 28 if self._ipv6 else 16
        self._in, self._out = bytearray(BATCH * QUERY_BYTES), bytearray(BATCH * ANSWER_BYTES)
        self._names, self._controls = bytearray(BATCH * _NAME_BYTES), bytearray(BATCH * _CONTROL_BYTES)
        self._received, self._received_iov = self._headers(self._in, QUERY_BYTES)
        self._sent, self._sent_iov = self._headers(self._out, ANSWER_BYTES)
        self._in_view, self._out_view = memoryview(self._in), memoryview(self._out)
        self._received_words = memoryview(self._received).cast("B").cast("Q")
        self._sent_words = memoryview(self._sent).cast("B").cast("Q")
        self._sent_lengths = memoryview(self._sent_iov).cast("B").cast("Q")
        self.unsent = 0

    def _headers(self, data: bytearray, size: int) -> tuple[ctypes.Array[_Message], ctypes.Array[_Iovec]]:
        start, names, controls = (ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in (data, self._names, self._controls))
        iov = (_Iovec * BATCH)()
        messages = (_Message * BATCH)()
        for index in range(BATCH):
            iov[index] = _Iovec(start + index * size, size)
            control = controls + index * _CONTROL_BYTES if self._control_bytes else None
            place = ctypes.addressof(iov) + index * ctypes.sizeof(_Iovec)
            name = names + index * _NAME_BYTES
            messages[index] = _Message(name, self._name_bytes, place, 1, control, self._control_bytes, 0, 0)
        return messages, iov

    def serve(self, answer: Answer) -> int:
        """Answer one batch. Answers with how many queries there were; fewer than BATCH: no more wait."""
        words, control_bytes = self._received_words, self._control_bytes
        if control_bytes:  # the kernel wrote what was used of it
            for index in range(BATCH):
                words[index * _WORDS + 5] = control_bytes
        count: int = self._system.recvmmsg(self._fd, ctypes.addressof(self._received), BATCH, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return 0
        names, incoming, outgoing, lengths = bytes(self._names[: count * _NAME_BYTES]), self._in_view, self._out_view, self._sent_lengths
        first, last = (8, 24) if self._ipv6 else (4, 8)
        begin = at = out = name = 0
        for index in range(count):
            size = words[index * _WORDS + 7] & 0xFFFFFFFF if _LITTLE else words[index * _WORDS + 7] >> 32
            found = None
            port = names[name + 2] << 8 | names[name + 3]
            if port not in _SMALL_SERVICES and not (control_bytes and self._stray(index)):
                found = answer(incoming[at : at + size].tobytes(), names[name + first : name + last])
            if found is None:
                if begin < index:
                    self._send(begin, index)
                begin = index + 1
            else:
                outgoing[out : out + len(found)] = found
                lengths[2 * index + 1] = len(found)
            at += QUERY_BYTES
            out += ANSWER_BYTES
            name += _NAME_BYTES
        if begin < count:
            self._send(begin, count)
        return count

    def _send(self, begin: int, end: int) -> None:
        """Send the answers ``begin`` to ``end``; one that cannot be sent is lost, as datagrams are."""
        if self._control_bytes:
            for index in range(begin, end):
                self._sent_words[index * _WORDS + 5] = self._received_words[index * _WORDS + 5]
        while begin < end:
            place = ctypes.addressof(self._sent) + begin * 8 * _WORDS
            sent: int = self._system.sendmmsg(self._fd, place, end - begin, socket.MSG_DONTWAIT)
            if sent <= 0:
                self.unsent += 1
                sent = 1
            begin += sent

    def _stray(self, index: int) -> bool:
        """Whether a query came to a broadcast or multicast address; its answer leaves by whatever route there is, not its interface."""
        base = index * _CONTROL_BYTES + 16  # behind struct cmsghdr
        if self._ipv6:
            struct.pack_into("=I", self._controls, base + 16, 0)
            return self._controls[base] == 0xFF
        local, target = self._controls[base + 4 : base + 8], self._controls[base + 8 : base + 12]
        struct.pack_into("=I", self._controls, base, 0)
        return local != target


_LITTLE = struct.pack("=H", 1) == b"\1\0"
