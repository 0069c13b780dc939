"""Asks a name server for the IPv4 addresses of a name, by one datagram (RFC 1035)."""

from __future__ import annotations

import secrets
import socket
import struct

from nearcast.operations.lab.commands import CommandFailed

A, IN = 1, 1
PORT = 53


def query(number: int, name: str) -> bytes:
    """A question for A records."""
    labels = b"".join(bytes([len(each)]) + each.encode("ascii") for each in name.split("."))
    return struct.pack(">HHHHHH", number, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", A, IN)


def addresses(message: bytes, number: int) -> list[str]:
    """The A records of an answer, sorted. Raises ValueError for one to another question, or with an error in it."""
    found, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", message)
    if found != number or not flags & 0x8000 or flags & 0xF:
        raise ValueError(f"no answer: id {found}, flags {flags:04x}")
    at = 12
    for _ in range(questions):
        at = _past_name(message, at) + 4
    records = []
    for _ in range(answers):
        at = _past_name(message, at)
        kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if kind == A:
            records.append(socket.inet_ntoa(message[at : at + length]))
        at += length
    return sorted(records)


def _past_name(message: bytes, at: int) -> int:
    """Where what stands behind a name begins; a pointer ends it (RFC 1035, 4.1.4)."""
    while (length := message[at]) and length < 0xC0:
        at += 1 + length
    return at + (2 if length >= 0xC0 else 1)


def ask(server: str, name: str, timeout_s: float = 1.0) -> list[str]:
    """Raises CommandFailed where no good answer comes."""
    number = secrets.randbelow(65536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout_s)
        asking.sendto(query(number, name), (server, PORT))
        try:
            return addresses(asking.recv(4096), number)
        except (TimeoutError, ValueError, struct.error, IndexError) as error:
            raise CommandFailed(f"{server} does not answer for {name}: {error}") from error
