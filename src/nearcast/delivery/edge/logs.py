"""Reads what nginx logs of its answers: counts for reports and metrics. Bounds the log by size.

A line is a JSON array of Line's fields, with CMCD (CTA-5004) as the player sent it, in the query or in four headers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

READ_BYTES_MAX = 4 << 20
READS_MAX = 64
"""In one poll: a busy edge writes some 10 MB a second."""
MEMORY = "memory"
PARENT = "parent"
Source = Literal["placed", "cache", "parent", "none"]


class Line(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One answer of nginx. ``door`` is empty for viewers, else the one that another appliance came by (``titles``, ``held``), or
    ``parent`` for a fetch of this edge's own, a line for each slice and each parent that was tried.

    ``zone`` is empty for placed files, else where the slices were looked for: ``landing`` (memory), ``slices`` (disk), ``off``.
    ``cache`` is MISS, HIT, …, of the first slice; ``parent`` who gave it (``memory``: the window, not a parent), an appliance's id or
    ``origin``; ``completion`` is OK or empty. The order is that of nginx's log_format.
    """

    at: float
    door: str = ""
    status: int
    bytes: int
    request_time_s: float
    title: str = ""
    file: str = ""
    range: str = ""
    zone: str = ""
    cache: str = ""
    parent: str = ""
    session: str = ""
    method: str = ""
    client: str = ""
    protocol: str = ""
    completion: str = ""
    parent_status: str = ""
    parent_time_s: str = ""
    cmcd: str = ""
    cmcd_object: str = ""
    cmcd_request: str = ""
    cmcd_session: str = ""
    cmcd_status: str = ""
    user_agent: str = ""

    @property
    def source(self) -> Source:
        """Where the bytes came from; ``none`` for refusals, ``cache`` for the reactive partition, in memory or on disk."""
        return source_of(self.zone, self.cache, self.parent, self.status)


def source_of(zone: str, cache: str, parent: str, status: int) -> Source:
    if zone:
        return "cache" if cache == "HIT" or parent == MEMORY else "parent"
    return "placed" if status in (200, 206, 304) else "none"


_decode = msgspec.json.Decoder(Line)


def read_line(raw: bytes) -> Line | None:
    """A line of the log, or None where it is damaged (cut short by a full disk)."""
    try:
        return _decode.decode(raw)
    except msgspec.MsgspecError:
        return None


def read_lines(raw: bytes) -> tuple[list[Line], int]:
    """Whole lines, and how many were damaged. All at once where all are whole: that is half the time."""
    try:
        return _decode.decode_lines(raw), 0
    except msgspec.MsgspecError:
        found = [read_line(each) for each in raw.splitlines()]
        whole = [each for each in found if each is not None]
        return whole, len(found) - len(whole)


class Counts(Struct):
    """Totals since the agent started: of viewers, where nothing else is said.

    ``sent_bytes`` is the sum of ``placed_bytes``, ``reactive_bytes``, ``missed_bytes`` and of what refusals took. ``errors`` are answers of
    500 and more but for those that were refused for load (``refused``). ``doors_requests`` and ``doors_bytes`` are what other appliances
    were served. ``parent_bytes_by`` came on misses, of viewers and of other appliances, by the id of who gave them;
    ``parent_errors_by`` counts fetches that failed.
    """

    requests: int = 0
    sent_bytes: int = 0
    placed_bytes: int = 0
    reactive_bytes: int = 0
    missed_bytes: int = 0
    errors: int = 0
    refused: int = 0
    doors_requests: int = 0
    doors_bytes: int = 0
    damaged: int = 0
    parent_bytes_by: dict[str, int] = msgspec.field(default_factory=dict)
    parent_errors_by: dict[str, int] = msgspec.field(default_factory=dict)
    by_outcome: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)
    """Requests by source and status."""

    @property
    def parent_bytes(self) -> int:
        return sum(self.parent_bytes_by.values())

    def add(self, lines: Sequence[Line]) -> None:
        groups: dict[tuple[str, str, str, str, int], list[int]] = {}
        for line in lines:
            key = (line.door, line.zone, line.cache, line.parent, line.status)
            group = groups.get(key)
            if group is None:
                group = groups[key] = [0, 0]
            group[0] += 1
            group[1] += line.bytes
        for (door, zone, cache, parent, status), (requests, sent) in groups.items():
            if door == PARENT:
                totals, more = (self.parent_bytes_by, sent) if status in (200, 206) else (self.parent_errors_by, requests)
                totals[parent] = totals.get(parent, 0) + more
            elif door:
                self.doors_requests += requests
                self.doors_bytes += sent
            else:
                self._add_viewers(source_of(zone, cache, parent, status), status, requests, sent)

    def _add_viewers(self, source: Source, status: int, requests: int, sent_bytes: int) -> None:
        self.requests += requests
        self.sent_bytes += sent_bytes
        if source == "placed":
            self.placed_bytes += sent_bytes
        elif source == "cache":
            self.reactive_bytes += sent_bytes
        elif source == "parent":
            self.missed_bytes += sent_bytes
        if status == 503 and source == "none":
            self.refused += requests
        elif status >= 500:
            self.errors += requests
        self.by_outcome[source, status] = self.by_outcome.get((source, status), 0) + requests


class AccessLog:
    """Follows ``path`` from its end. ``reopen`` makes nginx open its logs anew after they were renamed.

    ``on_lines`` is given what is new, in order, doors for other appliances included: some thousand lines at once on a busy edge.
    """

    def __init__(
        self, path: Path, bytes_max: int, reopen: Callable[[], None], on_lines: Callable[[Sequence[Line]], None] | None = None
    ) -> None:
        self.counts = Counts()
        self._path = path
        self._bytes_max = bytes_max
        self._reopen = reopen
        self._on_lines = on_lines
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
        for _ in range(READS_MAX):
            file = self._file = self._file or self._open()
            if file is None:
                return
            data = file.read(READ_BYTES_MAX)
            if data:
                self._take(data)
            elif self._replaced(file):
                self.close()
            else:
                return

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
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        if not newline:
            return
        lines, damaged = read_lines(whole + newline)
        self.counts.damaged += damaged
        self.counts.add(lines)
        if lines and self._on_lines is not None:
            self._on_lines(lines)
