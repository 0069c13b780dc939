"""Whether a session stays on the pathway in use: it leaves a sick edge at once, a full one by and by, and any other never. Pure.

A player asks every 60 s, or every 10 s while something is unsettled. Were everybody taken from a full edge at once, the next would
be full then, and they would all come back; so a share leaves that brings the load down to ``balance.AIM``, chosen by a hash of the
session, the same for ``balance.SHIFT_S``: what the shift brought is seen in the reports before others are asked to go. Who left stays
where it went, for that is the pathway in use then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nearcast.policy import balance
from nearcast.policy.hashing import mixed
from nearcast.steering.rank import ABLE, DEMOTED_MAX, FULL


class Keyed(Protocol):
    """A site: its name, and the key of it."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> int: ...


class Demoted:
    """Says of a site whether this ``session`` is of the share that goes elsewhere because of what players measured there."""

    def __init__(self, shares: Mapping[str, float], session: int) -> None:
        self._shares = shares
        self._session = session

    def __call__(self, site: Keyed) -> bool:
        share = self._shares.get(site.name, 0.0)
        return share > 0 and drawn(self._session, site.key) < min(share, DEMOTED_MAX)


def drawn(session: int, other: int) -> float:
    """A number in [0, 1) that a session has with a site or an appliance. Both are 64-bit keys."""
    return (mixed(session ^ other) >> 11) * 2.0**-53


def stays(level: int, share: float, session: int, appliance: int, now_s: float) -> bool:
    """Whether a session goes on at an appliance of this ``level`` (rank.level) that sends ``share`` of its limit at ``now_s``."""
    if level == ABLE:
        return True
    if level != FULL:
        return False
    window = int(now_s // balance.SHIFT_S)
    return drawn(session ^ mixed(window), appliance) >= balance.leaving(share)
