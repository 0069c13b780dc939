"""Quiet hours in a site's local time: whether they are on, and when that turns. Pure, apart from the machine's time zone data."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from nearcast.base.errors import BadInput

_NO_ZONES = re.compile(r"posixrules|localtime|Factory|(posix|right)/.*")
"""Files beside the zones (zdump(8), tzfile(5)): the machine's own rules, none, and the zones again, with leap seconds or without."""
TURN_MAX = timedelta(days=3)
_MINUTE = timedelta(minutes=1)


class UnknownTimezone(BadInput):
    """A site's time zone is not in the IANA database."""

    code = "NC2040"
    cure = "give a name of the IANA time zone database, as Europe/Berlin or Asia/Kolkata"


class WindowState(Struct, frozen=True):
    """``turns_in_s``: until it closes where it is open, until it opens where it is closed."""

    open: bool
    turns_in_s: float


def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises UnknownTimezone."""
    if _NO_ZONES.fullmatch(name):
        raise UnknownTimezone(f"{name!r} is no time zone of a place")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not there; not a name; a folder of names
        raise UnknownTimezone(f"there is no time zone {name!r}") from error


def window_at(window: str, timezone: str, now: datetime) -> WindowState:
    """``window`` as 02:00-14:00 (over midnight too: 22:00-06:00) in the wall-clock time of ``timezone``, at ``now`` (aware).

    On the day when clocks go forward the hour that is skipped is missing from it, and when they go back the repeated one is in it twice.
    Raises UnknownTimezone.
    """
    minute = now.astimezone(UTC).replace(second=0, microsecond=0)
    is_open, turns_at = _turn(window, timezone, minute)
    return WindowState(is_open, (turns_at - now).total_seconds() if turns_at else float("inf"))


@lru_cache(maxsize=4096)
def _turn(window: str, timezone: str, minute: datetime) -> tuple[bool, datetime | None]:
    """Minute by minute, since no arithmetic on local times survives every change of the clocks."""
    place = zone(timezone)
    opens, closes = (time.fromisoformat(each) for each in window.split("-"))
    now_open = _within(minute.astimezone(place).time(), opens, closes)
    at = minute
    while at - minute < TURN_MAX:
        at += _MINUTE
        if _within(at.astimezone(place).time(), opens, closes) != now_open:
            return now_open, at
    return now_open, None


def _within(at: time, opens: time, closes: time) -> bool:
    return opens <= at < closes if opens < closes else at >= opens or at < closes
