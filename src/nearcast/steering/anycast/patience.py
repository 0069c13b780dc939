"""How long nobody was heard, for one who listens and is at times not run. Pure; the standard library alone, for guard and relay use it."""

from __future__ import annotations

TICK_S = 0.2
"""So often at least who listens wakes: time in which it was not run is seen but for so much."""


def heard_after(heard_s: float, due_s: float, woke_s: float, signed: bool) -> float:
    """When a sign of life came last, once we woke at ``woke_s`` that were to wake at ``due_s`` at the latest; ``signed``: by such a sign.

    ``woke_s - due_s`` we were due and not run. It is counted for nothing: the other may have fared no better, and what it said may wait.
    """
    return woke_s if signed else heard_s + max(0.0, woke_s - due_s)
