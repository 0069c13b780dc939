"""Sets a damaged database aside that a process can begin anew without: films, accounts and what is played need none of it."""

from __future__ import annotations

import datetime
from pathlib import Path

import structlog

from nearcast.base.errors import NearcastError, Unavailable

MARK = ".damaged-"
BESIDE = ("", "-wal", "-shm")
"""What SQLite keeps of one database (sqlite.org/tempfiles.html)."""
LOST = {
    "fill.db": "pins and placement generations; pin launches again, the placement is worked out anew",
    "insight.db": "the days of what was watched and spared; until new ones have come, placements know no demand",
}
_log = structlog.get_logger("aside")


class NotSetAside(Unavailable):
    """A damaged file cannot be moved out of the way."""

    code = "NC0242"
    cure = "see that the data folder may be written to and that its disk is healthy, or move the file away by hand"


def set_aside(path: Path, reason: NearcastError, now: datetime.datetime) -> Path:
    """Move a damaged database, and what SQLite keeps beside it, to a name with the time, and say what is lost. Raises NotSetAside."""
    aside = path.with_name(f"{path.name}{MARK}{now:%Y%m%dT%H%M%SZ}")
    try:
        for end in BESIDE:
            if (found := path.with_name(path.name + end)).exists():
                found.replace(aside.with_name(aside.name + end))
    except OSError as error:
        raise NotSetAside(f"{path} is damaged and cannot be moved: {error.strerror}") from error
    _log.error(
        "a damaged file was set aside, and a new one is begun",
        code=reason.code,
        error=reason.message,
        file=str(aside),
        hint=f"lost: {LOST[path.name]}; `nearcast restore` brings the last backup back",
    )
    return aside


def lying(folder: Path) -> list[Path]:
    """What was set aside there, the oldest first."""
    return sorted(each for each in folder.glob(f"*{MARK}*") if not each.name.endswith(BESIDE[1:]))
