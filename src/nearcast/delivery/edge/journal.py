"""What an edge has not told insight yet, kept in its folder: an agent that is killed leaves it to the next one.

``traffic-waiting.json`` is the report that may have been sent already. It is sent again as it was, with its run and number, so that it
counts once. ``traffic-next.jsonl`` is what is added up for the one after: the sums when the file was begun, as a report of the number that
it is to have, and a line for each block that the fill wrote since. Nothing is synced: a machine that loses power may lose some of it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
import structlog

from nearcast.base.processes import write_atomically
from nearcast.model.traffic import Fetched, TrafficReport

_log = structlog.get_logger("edge")


def left(waiting: bytes, following: bytes) -> tuple[TrafficReport | None, TrafficReport | None, list[Fetched]]:
    """From the text of the two files: the report that waits, the sums after it, and what was fetched since those.

    A line that is torn ends the file. Where both bear the same number the one was just made of the other: it counts once.
    """
    report = None
    with contextlib.suppress(msgspec.MsgspecError):
        report = msgspec.json.decode(waiting, type=TrafficReport)
    rows: list[Fetched] = []
    sums = None
    with contextlib.suppress(msgspec.MsgspecError):
        head, *lines = following.split(b"\n")
        sums = msgspec.json.decode(head, type=TrafficReport)
        for line in lines[:-1]:
            rows.append(msgspec.json.decode(line, type=Fetched))
    if report is not None and sums is not None and (report.run, report.sequence) == (sums.run, sums.sequence):
        return report, None, []
    return report, sums, rows


class Journal:
    """The two files in ``folder``. Blocks, for microseconds. A disk that takes nothing is no reason to stop: it is tried again by
    ``begin``, and until then what is counted is in the agent's memory alone (``stale``)."""

    def __init__(self, folder: Path) -> None:
        self._waiting = folder / "traffic-waiting.json"
        self._next = folder / "traffic-next.jsonl"
        self._file: int | None = None
        self._failed = False

    @property
    def stale(self) -> bool:
        return self._file is None

    def load(self) -> tuple[TrafficReport | None, TrafficReport | None, list[Fetched]]:
        """What the agent before has left; see ``left``."""
        return left(_text(self._waiting), _text(self._next))

    def wait(self, report: TrafficReport) -> None:
        """``report`` is about to be sent."""
        try:
            os.close(self._fresh(self._waiting, report))
        except OSError as error:
            self._complain(error)

    def told(self) -> None:
        """It was taken in."""
        with contextlib.suppress(OSError):
            self._waiting.unlink(missing_ok=True)

    def begin(self, sums: TrafficReport) -> None:
        """These are the sums now; what was there before is of them, or in the report that waits."""
        self.close()
        try:
            self._file = self._fresh(self._next, sums)
            self._failed = False
        except OSError as error:
            with contextlib.suppress(OSError):
                self._next.unlink(missing_ok=True)
            self._complain(error)

    def add(self, row: Fetched) -> None:
        if self._file is None:
            return
        line = msgspec.json.encode(row) + b"\n"
        try:
            if os.write(self._file, line) != len(line):
                self.close()
        except OSError as error:
            self.close()
            self._complain(error)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fresh(self, path: Path, report: TrafficReport) -> int:
        """Replace a file at once; returns it open at its end."""
        write_atomically(path, msgspec.json.encode(report) + b"\n", mode=0o600)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            _log.warning("traffic cannot be kept on the disk: an agent that is killed now loses it", error=error.strerror)
        self._failed = True


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
