"""What a site announces of itself: nothing, or its addresses, the less wanted the nearer it is to its limit. Pure.

Routers choose by AS-path length before MED (RFC 4271, 9.1.2.2), and MED counts only between ways through one neighbour. So the first step
up raises the MED alone, which moves who has the choice inside one network; each further one prepends our number once more. One step at a
time, with a pause for what has moved to arrive, and down again only far below: overload shifts gently and does not swing back.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from nearcast.steering.anycast.settings import AnycastSettings

Phase = Literal["down", "up", "draining", "drained"]
PENANCE_S = (1.0, 60.0)
"""After a fall the site stays withdrawn for the first; each further fall within STEADY_S doubles it, up to the second."""
STEADY_S = 60.0


class Seen(Struct, frozen=True, kw_only=True):
    """What is known now. ``passed`` and ``failed`` count checks in a row (one of them is 0). ``share``: load of the site over its limit;
    None: not known."""

    passed: int = 0
    failed: int = 0
    draining: bool = False
    share: float | None = None


class Stand(Struct, frozen=True, kw_only=True):
    """Where the site stands since ``since_s``; ``level`` steps (since ``level_since_s``) less wanted than at its best. ``falls`` close
    upon each other."""

    phase: Phase = "down"
    since_s: float = float("-inf")
    level: int = 0
    level_since_s: float = float("-inf")
    falls: int = 0


class Offer(Struct, frozen=True, kw_only=True):
    """How the addresses are announced. ``prepends``: how often our number stands in the path beyond the first time."""

    med: int
    prepends: int


START = Stand()


def decide(rules: AnycastSettings, before: Stand, seen: Seen, now_s: float) -> Stand:
    """The stand after ``before`` (``now_s`` on a monotonic clock)."""
    if not _well(rules, before, seen, now_s):
        if before.phase == "down":
            return before
        falls = 1 if before.phase == "up" and now_s - before.since_s >= STEADY_S else before.falls + 1
        return Stand(phase="down", since_s=now_s, level_since_s=now_s, falls=falls)
    if seen.draining:
        return _drained(rules, before, now_s)
    if before.phase != "up":
        # A site that fell again and again comes back as the least wanted, and is eased in.
        level = len(rules.steps) if before.phase == "down" and before.falls > 1 else 0
        return Stand(phase="up", since_s=now_s, level=level, level_since_s=now_s, falls=before.falls)
    level = _level(rules, before, seen.share, now_s)
    return before if level == before.level else replace(before, level=level, level_since_s=now_s)


def offer(rules: AnycastSettings, stand: Stand) -> Offer | None:
    """What is announced at this stand; None: the addresses are withdrawn."""
    if stand.phase in ("down", "drained"):
        return None
    level = len(rules.steps) + 1 if stand.phase == "draining" else stand.level
    return Offer(med=rules.med + level * rules.med_step, prepends=max(0, level - 1))


def penance_s(falls: int) -> float:
    """How long a site stays withdrawn after its ``falls``-th fall in short time."""
    return 0.0 if falls <= 0 else min(PENANCE_S[1], PENANCE_S[0] * 2.0 ** min(falls - 1, 30))


def _well(rules: AnycastSettings, before: Stand, seen: Seen, now_s: float) -> bool:
    """Whether the service is. One that is announced is believed in until enough checks failed, one that is not when enough passed."""
    if before.phase != "down":
        return seen.failed < rules.failures
    return seen.passed >= rules.passes and now_s - before.since_s >= penance_s(before.falls)


def _drained(rules: AnycastSettings, before: Stand, now_s: float) -> Stand:
    if before.phase == "drained" or (before.phase == "draining" and now_s - before.since_s < rules.drain_s):
        return before
    phase: Phase = "draining" if before.phase == "up" and rules.drain_s > 0 else "drained"
    return Stand(phase=phase, since_s=now_s, level_since_s=now_s, falls=before.falls)


def _level(rules: AnycastSettings, before: Stand, share: float | None, now_s: float) -> int:
    """One step up, one down, or none; where the load is not known, none."""
    if share is None:
        return before.level
    reached = sum(share >= each for each in rules.steps)
    kept = sum(share > each - rules.relief for each in rules.steps)
    if reached > before.level and now_s - before.level_since_s >= rules.raise_s:
        return before.level + 1
    if kept < before.level and now_s - before.level_since_s >= rules.lower_s:
        return before.level - 1
    return before.level
