"""Why viewers were served what is not placed here: each miss is logged with its cause, and counted by it.

Of a title that is placed here the agent itself knows: a rendition that is not, and a file in repair. Else the fill knows who was to hold a
title and how those fared (Fill.causes); while nobody answers, the cause is *other*.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.logs import Line
from nearcast.model.services import CausesQuestion, Fill
from nearcast.model.traffic import MissCause

KNOWN_S = 10.0
"""How long an answer is believed."""
ASK_S = 1.0
RETRY_S = 5.0
TITLES_MAX = 20_000
LINES_MAX = 1000
"""Lines logged at a time; what is more is counted and its number logged."""
RECENT = 50
_log = structlog.get_logger("edge")


Local = Callable[[str, str], MissCause | None]
"""What the appliance itself knows of the cause, by title and file; None: nothing."""


def local_cause(*, title_assigned: bool, file_assigned: bool, in_repair: bool) -> MissCause | None:
    """Why a file was not served from what is placed here, as far as the appliance itself can tell."""
    if in_repair:
        return "health"
    return "content" if title_assigned and not file_assigned else None


def unknown(title_id: str, file: str) -> MissCause | None:
    """Nothing is placed here."""
    return None


class Miss(Struct, frozen=True, kw_only=True):
    """One line of misses.log. ``omitted``: misses that were not logged because there were too many at once."""

    at: float
    title: str
    file: str
    cause: MissCause
    status: int
    bytes: int
    range: str = ""
    parent: str = ""
    parent_time_s: str = ""
    session: str = ""
    omitted: int = 0


class Causes:
    """Causes by title and file: what ``local`` knows, else what the fill is asked by titles that are not known, or known for too long.
    Bounded."""

    def __init__(self, fill: Fill, appliance: str, clock: Clock, local: Local = unknown) -> None:
        self._fill = fill
        self._appliance = appliance
        self._clock = clock
        self.local = local
        self._known: dict[str, tuple[float, MissCause]] = {}
        self._retry_at_s = 0.0

    async def learn(self, titles: Collection[str]) -> None:
        """Have causes for these titles, if they can be had within a second."""
        now_s = self._clock.monotonic_s()
        wanted = tuple(sorted(each for each in titles if self._known.get(each, (0.0,))[0] <= now_s))
        if not wanted or now_s < self._retry_at_s:
            return
        try:
            async with asyncio.timeout(ASK_S):
                found = (await self._fill.causes(CausesQuestion(appliance=self._appliance, title_ids=wanted))).causes
        except (NearcastError, TimeoutError) as error:
            _log.debug("the causes of misses are not known", error=str(error))
            self._retry_at_s = now_s + RETRY_S
            return
        if len(self._known) + len(wanted) > TITLES_MAX:
            self._known.clear()
        self._known |= {each: (now_s + KNOWN_S, found.get(each, "other")) for each in wanted}

    def of(self, title_id: str, file: str) -> MissCause:
        return self.local(title_id, file) or self._known.get(title_id, (0.0, "other"))[1]


class MissLog:
    """Writes misses to ``path``, of which one old file is kept when it is ``bytes_max`` long. Blocks; never raises for a full disk."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self.requests: dict[MissCause, int] = {}
        self.recent: deque[Miss] = deque(maxlen=RECENT)

    def write(self, lines: Sequence[Line], causes: Causes) -> None:
        for line in lines:
            cause = causes.of(line.title, line.file)
            self.requests[cause] = self.requests.get(cause, 0) + 1
        found = [_miss(line, causes.of(line.title, line.file)) for line in lines[:LINES_MAX]]
        if len(lines) > LINES_MAX:
            found[-1] = msgspec.structs.replace(found[-1], omitted=len(lines) - LINES_MAX)
        self.recent.extend(found)
        if found:
            self._append(b"".join(msgspec.json.encode(each) + b"\n" for each in found))

    def _append(self, text: bytes) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(text)
                size_bytes = file.tell()
            if size_bytes > self._bytes_max:
                self._path.replace(self._path.with_suffix(".log.1"))
        except OSError as error:
            _log.debug("misses cannot be logged", error=error.strerror)


def _miss(line: Line, cause: MissCause) -> Miss:
    return Miss(
        at=line.at,
        title=line.title,
        file=line.file,
        cause=cause,
        status=line.status,
        bytes=line.bytes,
        range=line.range,
        parent=line.parent,
        parent_time_s=line.parent_time_s,
        session=line.session,
    )
