"""What one observer believes of one appliance, look after look, and how long a report counts. Pure: the same for all who judge health."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from nearcast.base.probing import Look

KNOWN_S = 2.0
"""A dead appliance is known everywhere by then."""
WITNESS_S = 1.25
TOLD_MAX = 12
"""So many others at most does one appliance look at, and tell of."""


class Sight(NamedTuple):
    """``reached`` None: not known yet. ``against``: looks in a row that say otherwise. ``lost``: nothing at all came back from the last
    one that failed, so that it may be the observer who is cut off; a port that is closed is an answer.
    """

    reached: bool | None = None
    against: int = 0
    lost: bool = False


UNSEEN = Sight()


def after(sight: Sight, look: Look, needed: int) -> Sight:
    """The sight after one more look: ``needed`` in a row change it. The first answer ever is believed at once."""
    reached, lost = look == "reached", look == "lost"
    if reached == sight.reached:
        return Sight(reached, 0, lost)
    against = sight.against + 1 if (sight.reached is not None or not reached) else needed
    if against >= needed:
        return Sight(reached, 0, lost)
    return Sight(sight.reached, against, lost if not reached else sight.lost)


def witness_s(report_s: float) -> float:
    """For how long a report counts of one who reports each ``report_s``: that interval, that of those who ask for it, and some slack."""
    return max(WITNESS_S, 2.5 * report_s)


@lru_cache(maxsize=65536)
def may_look(address: str, health_url: str) -> bool:
    """Whether ``health_url`` is below ``address``, where viewers are sent anyway: nobody has others ask elsewhere in his name."""
    try:
        return urlsplit(address).scheme in ("http", "https") and health_url.startswith(f"{address.rstrip('/')}/")
    except ValueError:
        return False
