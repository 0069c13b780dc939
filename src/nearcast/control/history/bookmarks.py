"""What a heartbeat says of where somebody is in a title: pure."""

from __future__ import annotations

import math

from msgspec import Struct

from nearcast.base.errors import BadInput
from nearcast.model.session import Bookmark, Heartbeat

POSITION_MAX_S = 10 * 86400.0
"""Nothing is longer: bounds a position where the runtime is not known."""


class BadHeartbeat(BadInput):
    """A heartbeat whose position is no number."""

    code = "NC4401"
    cure = "send position_s as seconds from the start of the title"


class Mark(Struct, frozen=True):
    """A bookmark and whose it is."""

    profile_id: str
    bookmark: Bookmark


def bookmark_of(heartbeat: Heartbeat, *, title_id: str, runtime_s: float, now_s: float, finished_share: float) -> Bookmark | None:
    """Where the viewer is, clamped to the title. ``runtime_s`` 0: not known.

    Watched is what ended, or has ``finished_share`` (95 %: the credits) behind it. None: a playback that failed tells nothing
    of the viewer, and its position is often 0; the bookmark of the heartbeat before stays.
    """
    if math.isnan(heartbeat.position_s):
        raise BadHeartbeat("the heartbeat's position is no number")
    if heartbeat.state == "failed":
        return None
    longest_s = runtime_s if runtime_s > 0 else POSITION_MAX_S
    position_s = min(max(heartbeat.position_s, 0.0), longest_s)
    finished = heartbeat.state == "ended" or (runtime_s > 0 and position_s >= finished_share * runtime_s)
    return Bookmark(title_id=title_id, position_s=position_s, runtime_s=max(runtime_s, 0.0), updated_at=now_s, finished=finished)


def newest(marks: list[Mark]) -> list[Mark]:
    """The last mark of each profile and title: of a batch no other need be written. A mark that comes late loses."""
    found: dict[tuple[str, str], Mark] = {}
    for mark in marks:
        key = (mark.profile_id, mark.bookmark.title_id)
        if key not in found or found[key].bookmark.updated_at <= mark.bookmark.updated_at:
            found[key] = mark
    return list(found.values())
