"""How loaded an appliance counts as, with hysteresis. Pure: its share of the limit and its own word in, a level out.

An appliance refuses by itself only at 98 % (delivery/edge/load.py); steering stops sending newcomers before that, so that those who are
there keep their rate. A level ends well below where it began, and nobody swings to and fro around one figure.
"""

from __future__ import annotations

import math

from nearcast.model.site import Load

HIGH, FULL = 0.80, 0.95
"""Shares of the limit at which a level begins."""
HIGH_ENDS, FULL_ENDS = 0.70, 0.88
"""And below which it ends."""


def share(sent_bps: float, limit_bps: float) -> float:
    """What is sent over the limit; 0 where no limit is known, or a figure makes no sense."""
    if not (math.isfinite(sent_bps) and math.isfinite(limit_bps)) or sent_bps <= 0 or limit_bps <= 0:
        return 0.0
    return sent_bps / limit_bps


def level(used: float, told: Load, before: Load) -> Load:
    """The level at ``used`` (a share of the limit), after ``before``; what the appliance ``told`` of itself is the least."""
    if told == "full" or used >= FULL or (before == "full" and used >= FULL_ENDS):
        return "full"
    if told == "high" or used >= HIGH or (before != "normal" and used >= HIGH_ENDS):
        return "high"
    return "normal"
