"""Reads what nginx logs of its answers: counts for reports and metrics. Bounds the log by size.

A line is one JSON object with CMCD (CTA-5004) as the player sent it, in the query or in four headers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

READ_BYTES_MAX = 8 << 20


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One answer of nginx. ``cache`` is empty for placed files, else MISS, HIT, EXPIRED, …; ``completion`` is OK or empty."""

    at: float
    status: int
    bytes: int
    request_time_s: float
    method: str = ""
    session: str = ""
    title: str = ""
    file: str = ""
    range: str = ""
    cache: str = ""
    completion: str = ""
    client: str = ""
    protocol: str = ""
    parent_status: str = ""
    parent_bytes: str = ""
    parent_time_s: str = ""
    cmcd: str = ""
    cmcd_object: str = ""
    cmcd_request: str = ""
    cmcd_session: str = ""
    cmcd_status: str = ""
    user_agent: str = ""

    @property
    def source(self) -> str:
        """Where the bytes came from: ``placed``, ``cache``, ``parent``, or ``none`` for refusals."""
        if self.cache or self.parent_status:  # without the first it was passed on, for want of space to keep it
            return "cache" if self.cache == "HIT" else "parent"
        return "placed" if self.status in (200, 206, 304) else "none"


_decode = msgspec.json.Decoder(Line).decode


def read_line(raw: bytes) -> Line | None:
    """A line of the log, or None where it is damaged (cut short by a full disk)."""
    try:
        return _decode(raw)
    except msgspec.MsgspecError:
        return None


def parent_bytes(line: Line) -> int:
    """Bytes that came from the parent for this answer; nginx lists one figure for each slice."""
    figures = line.parent_bytes.replace(" : ", ", ").split(", ")
    return sum(int(each) for each in figures if each.isdigit())


class Counts(Struct):
    """Totals since the agent started."""

    requests: int = 0
    sent_bytes: int = 0
    parent_bytes: int = 0
    damaged: int = 0
    by_outcome: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)
    """Requests by source and status."""

    def add(self, line: Line) -> None:
        self.requests += 1
        self.sent_bytes += line.bytes
        if line.parent_bytes:
            self.parent_bytes += parent_bytes(line)
        key = (line.source, line.status)
        self.by_outcome[key] = self.by_outcome.get(key, 0) + 1


class AccessLog:
    """Follows ``path`` from its end. ``reopen`` makes nginx open its logs anew after they were renamed."""

    def __init__(self, path: Path, bytes_max: int, reopen: Callable[[], None], on_line: Callable[[Line], None] | None = None) -> None:
        self.counts = Counts()
        self._path = path
        self._bytes_max = bytes_max
        self._reopen = reopen
        self._on_line = on_line
        self._file: BinaryIO | None = None
        self._rest = b""
        self._first = True

    def poll(self) -> None:
        """Read what is new, then rotate when the log has grown too long. Never raises for a log that is not there yet."""
        self._read()
        if self._file is None:
            return
        try:
            too_long = self._path.stat().st_size > self._bytes_max
        except OSError:  # renamed just now, and nginx has not opened the new one yet
            return
        if too_long:
            self._path.replace(self._path.with_suffix(".log.1"))
            self._path.touch(mode=0o600)
            self._reopen()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> None:
        """What is new in the file that is open; at its end, go over to the one that took its place."""
        for _ in range(2):
            file = self._file = self._file or self._open()
            if file is None:
                return
            data = file.read(READ_BYTES_MAX)
            self._take(data)
            if data or not self._replaced(file):
                return
            self.close()

    def _open(self) -> BinaryIO | None:
        try:
            file = self._path.open("rb")
        except OSError:
            return None
        if self._first:
            file.seek(0, os.SEEK_END)  # what was served under an earlier agent was counted by it
        self._first = False
        return file

    def _replaced(self, file: BinaryIO) -> bool:
        """Has nginx begun to write to a new file? Only then has the old one everything that it will ever have."""
        try:
            ours, there = os.fstat(file.fileno()), self._path.stat()
        except OSError:
            return False
        return ours.st_ino != there.st_ino and there.st_size > 0

    def _take(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            line = read_line(raw)
            if line is None:
                self.counts.damaged += 1
                continue
            self.counts.add(line)
            if self._on_line is not None:
                self._on_line(line)
