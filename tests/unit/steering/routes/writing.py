"""What tests of the writer and its readers share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from nearcast.model.route import Announcement, Route
from nearcast.steering.routes.arrays import Damaged
from nearcast.steering.routes.log import LogReader
from nearcast.steering.routes.store import TableWriter

DEFAULT = Route(prefix="0.0.0.0/0", sites=("a", "b"))


def north(*prefixes: str, site: str = "c", med: int = 0) -> list[Announcement]:
    return [Announcement(prefix=each, site=site, source="north", as_path=(65001,), med=med) for each in prefixes]


def told(number: int) -> list[Announcement]:
    return north(f"10.{number >> 8}.{number & 255}.0/24")


def log_of(folder: Path) -> Path:
    return max(folder.glob("log-*"), key=lambda each: int(each.name[4:]))


def committed_bytes(folder: Path) -> float:
    """Of the newest log; without bound while that one is only just being made, or was replaced meanwhile."""
    try:
        return LogReader(log_of(folder)).committed
    except (Damaged, FileNotFoundError):
        return math.inf


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


Start = Callable[..., TableWriter]


def until(so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 90
    while not so():
        assert time.monotonic() < ends_s, "this did not come"
        time.sleep(0.01)
