"""Traffic as edges count it: what was served of which file, from where it came, and what the fill fetched."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.fill import SourceKind

SESSIONS_MAX = 20_000
"""In one report: an appliance that sends 100 Gb/s has about so many players, and the report is then some 800 kB."""
MissCause = Literal["content", "health", "overload", "other"]
"""Why a viewer was served what was not placed where they asked. *content*: nobody at the site was to hold it; *health*: who holds
it there is down, draining, or has it in repair; *overload*: who holds it there is over its limit; *other*: none of these (a holder
was there)."""


class Served(Struct, frozen=True, array_like=True):
    """Bytes of one file sent to viewers since the last report, by where they came from. ``starts``: playbacks that began."""

    title_id: str
    file: str
    requests: int = 0
    starts: int = 0
    placed_bytes: int = 0
    reactive_bytes: int = 0
    missed_bytes: int = 0
    cause: MissCause = "other"
    """Of ``reactive_bytes`` and ``missed_bytes`` alike: neither was placed here."""


class Fetched(Struct, frozen=True, array_like=True):
    """Bytes of one file that the fill wrote, verified, since the last report. ``generation``: the placement that asked for them."""

    generation: int
    title_id: str
    file: str
    source: str
    kind: SourceKind
    size_bytes: int


class Delivered(Struct, frozen=True, array_like=True):
    """What one playback was sent since the last report, as nginx logged it. ``session``: policy.sessions.tag of its CMCD ``sid``.

    ``busy_s``: how long its requests took, one after the other; ``failed``: errors, and answers that were cut short.
    """

    session: str
    bytes: int
    busy_s: float
    failed: int


class TrafficReport(Struct, frozen=True, kw_only=True):
    """What one appliance served and fetched since its last report. A report that comes twice (same ``run`` and ``sequence``) counts once.

    ``parent_bytes``: fetched on misses, by the id of the parent that gave them; ``reactive_written_bytes``: of these, what was kept.
    ``sessions``: who was sent what, those who were sent most (at most SESSIONS_MAX): what players measured is held against it.
    """

    appliance: str
    site: str
    run: str
    sequence: int
    served: tuple[Served, ...] = ()
    fetched: tuple[Fetched, ...] = ()
    parent_bytes: dict[str, int] = {}
    reactive_written_bytes: int = 0
    sessions: tuple[Delivered, ...] = ()


class DemandDay(Struct, frozen=True, array_like=True):
    """What one region asked of one title on one day (``day``: days since 1970-01-01 UTC), wherever it was served from."""

    day: int
    region: str
    title_id: str
    bytes: float
    starts: float


class SiteOffload(Struct, frozen=True, kw_only=True):
    """Where the bytes sent by one site came from. ``misses``: bytes that were not placed where they were asked for, by cause.

    ``entered_bytes`` came over the site's link: on misses (``parent_bytes``, whole slices, of these ``origin_bytes`` from the origin
    itself) and by the fill (``filled_bytes``); ``saved_bytes`` did not.
    """

    site: str
    tier: str
    sent_bytes: int
    placed_bytes: int
    reactive_bytes: int
    missed_bytes: int
    filled_bytes: int
    parent_bytes: int = 0
    origin_bytes: int = 0
    misses: dict[str, int] = {}

    @property
    def entered_bytes(self) -> int:
        return self.parent_bytes + self.filled_bytes

    @property
    def saved_bytes(self) -> int:
        return self.sent_bytes - self.entered_bytes


class GenerationFlow(Struct, frozen=True, kw_only=True):
    """What one placement generation moved into one site: ``most_times`` is how often the most fetched file entered (1: once)."""

    generation: int
    site: str
    peer_bytes: int
    tier_bytes: int
    origin_bytes: int
    most_times: float


class OffloadReport(Struct, frozen=True, kw_only=True):
    """Shares of a span of days. ``origin_bytes`` left the origin, ``sent_bytes`` reached viewers."""

    days: int
    sites: tuple[SiteOffload, ...]
    sent_bytes: int
    origin_bytes: int
    flows: tuple[GenerationFlow, ...] = ()
