"""What goes into a decision and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from nearcast.model.health import ApplianceHealth
from nearcast.policy import hashing
from nearcast.steering.routes import Match
from nearcast.steering.standing import Appliance, Standing, Title

Chosen = tuple[Standing, Appliance, bool]
"""A site, an appliance of it, and whether that is known to hold the title."""


class Matching(Protocol):
    """What a decision needs of the route table."""

    def match(self, address: str, /) -> Match: ...


class Limits(NamedTuple):
    """How much is kept at most: sites named in plans (all plans together), matches whose plan is known, titles (0.3 kB each), orders of
    a title at a site (two bytes each), those of them that large sites keep for themselves (0.2 to 0.4 kB each), and sessions that may
    ask again."""

    planned: int = 1_000_000
    matches: int = 100_000
    titles: int = 200_000
    orders: int = 16_000_000
    own_orders: int = 300_000
    sessions: int = 20_000


class Decision(Struct, frozen=True, gc=False):
    """``appliances`` best first. ``healthy`` is False when nobody is fit for a new session and the last known are given.

    ``unsettled``: ask again soon; an answer is missing, one of the first sites of the route takes nobody, or the pathway in use is
    not fit, even if the session stays on it for now. ``spare``: who is there beside ``appliances``. ``leads``: the first answer holds
    the title and is of the first able site of the route, as of every route whose first able site that is, whatever comes after it; said
    only where it is no session.
    """

    appliances: tuple[ApplianceHealth, ...]
    match: Match
    healthy: bool
    unsettled: bool
    spare: tuple[ApplianceHealth, ...] = ()
    leads: bool = False


class Question(Struct, gc=False):
    """``name`` tells the session from all others. ``known``: appliances that it was given already, and keeps while they are able."""

    title: Title
    wanted: int
    name: str
    known: Sequence[str]
    current: str = ""

    @property
    def seed(self) -> int:
        return hashing.key(self.name)
