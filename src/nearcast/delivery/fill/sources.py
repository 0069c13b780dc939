"""Which of its sources a file is fetched from now: what is known of each, and when the next hop opens.

A hop further away opens ``after_s`` after the file was first asked for in vain. While a source that is to have it first (``awaited``)
answers that it is not there yet, that time does not run; when such a source fails, it runs from the failure; and when it has given nothing
at all for PATIENCE times as long, it is not believed any longer. When it ceases to be awaited, which it does when it is down, a hop that is
still to wait stays closed for AWAY_S more: it may be a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.blocks import CorruptBlocks
from nearcast.delivery.fill.source import CorruptSource, OtherLength, SourceLacks, UnsafeSource
from nearcast.delivery.fill.stock import Name, name_of
from nearcast.model.fill import Assignment, FillItem, FillSource, Hop

PATIENCE = 30.0
AWAY_S = 10.0
REST_S = (0.5, 15.0)
"""How long a source that failed is left alone, doubling with each failure."""
NOT_YET_S = (1.0, 15.0)
"""After how long a source is asked again for a file that was not there yet, growing by half each time."""
POLL_S = 0.05
"""A source that has not got one file yet is asked for the next so much later at the earliest."""
WRONG_S = 20.0
"""How long a source is not asked for a file that it gave wrongly."""
BLOCK_TRIES = 3
NEVER = float("inf")
_log = structlog.get_logger("transfer")


class Standing(Struct):
    """What is known of one source. ``silent_since_s``: it has failed since then, and before that it answered. Times are monotonic."""

    silent_since_s: float | None = None
    rests_until_s: float = 0.0
    gave_at_s: float = 0.0
    failures: int = 0

    def gave(self, now_s: float) -> None:
        self.silent_since_s, self.failures, self.gave_at_s = None, 0, now_s

    def lacks(self, now_s: float) -> None:
        self.silent_since_s, self.failures, self.rests_until_s = None, 0, now_s + POLL_S

    def failed(self, now_s: float) -> None:
        self.rests_until_s = now_s + min(REST_S[1], REST_S[0] * 2 ** min(self.failures, 10))
        self.failures += 1
        if self.silent_since_s is None:
            self.silent_since_s = now_s


class Wish(Struct):
    """What is known of one wanted file: since when it is asked for, and when each source may be asked for it again."""

    asked_s: float
    again_at_s: dict[FillSource, float] = msgspec.field(default_factory=dict)
    not_yet_s: dict[FillSource, float] = msgspec.field(default_factory=dict)
    wrong: dict[FillSource, int] = msgspec.field(default_factory=dict)

    def not_yet(self, source: FillSource, now_s: float) -> None:
        delay_s = self.not_yet_s.get(source, NOT_YET_S[0])
        self.not_yet_s[source] = min(NOT_YET_S[1], delay_s * 1.5)
        self.again_at_s[source] = now_s + delay_s


class Choice(Struct, frozen=True):
    """Whom to ask; None: nobody before ``due_s``."""

    source: FillSource | None
    due_s: float = NEVER


def choose(
    route: Sequence[Hop],
    sources: Sequence[FillSource],
    wish: Wish,
    known: Callable[[FillSource], Standing],
    now_s: float,
    left_s: float = -NEVER,
) -> Choice:
    """The first source of the route that is open and may be asked; of those, one that gave the file wrongly comes last. ``left_s``: when
    a source last ceased to be awaited."""
    due_s = NEVER
    doubtful = None
    for hop in route:
        source = sources[hop.source]
        opens_s = opens_at_s(hop, route, sources, wish, known)
        if hop.after_s:
            opens_s = max(opens_s, left_s + min(AWAY_S, hop.after_s))
        may_s = max(opens_s, known(source).rests_until_s, wish.again_at_s.get(source, 0.0))
        if may_s > now_s:
            due_s = min(due_s, may_s)
        elif source not in wish.wrong:
            return Choice(source, now_s)
        elif doubtful is None or wish.wrong[source] < wish.wrong[doubtful]:
            doubtful = source
    return Choice(doubtful, now_s if doubtful else due_s)


def opens_at_s(hop: Hop, route: Sequence[Hop], sources: Sequence[FillSource], wish: Wish, known: Callable[[FillSource], Standing]) -> float:
    """When the hop may be asked for the file."""
    if not hop.after_s:
        return wish.asked_s
    opens_s = wish.asked_s + hop.after_s
    for nearer in route:
        if nearer.awaited and nearer.after_s < hop.after_s:
            standing = known(sources[nearer.source])
            if standing.silent_since_s is not None:
                opens_s = max(opens_s, standing.silent_since_s + hop.after_s)
            else:
                opens_s = max(opens_s, max(wish.asked_s, standing.gave_at_s) + PATIENCE * hop.after_s)
    return opens_s


def _awaited(assignment: Assignment) -> set[str]:
    return {assignment.sources[hop.source].id for route in assignment.routes for hop in route if hop.awaited}


class Book:
    """What an appliance knows of its sources and of the files that it wants from them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._assignment = Assignment(version=-1, items=None)
        self._standings: dict[FillSource, Standing] = {}
        self._wishes: dict[Name, Wish] = {}
        self._left_s = -NEVER
        """When a source last ceased to be awaited."""

    def take(self, assignment: Assignment) -> None:
        """Sources that are still named keep their standing. Where the files stay as they were, so do the routes that they name."""
        if assignment.items is None:
            return
        if _awaited(self._assignment) - _awaited(assignment):
            self._left_s = self._clock.monotonic_s()
        self._assignment = assignment
        self._standings = {source: self._standing(source) for source in assignment.sources}

    def forget(self, name: Name) -> None:
        self._wishes.pop(name, None)

    def begin_anew(self) -> None:
        """A new window: nobody has been asked in vain in it."""
        self._wishes.clear()

    def choose(self, item: FillItem, leaving: FillSource | None = None) -> Choice:
        """Whom to ask for ``item`` now, somebody else than who is being left."""
        assignment = self._assignment
        route = [hop for hop in assignment.routes[item.route] if assignment.sources[hop.source] != leaving]
        return choose(route, assignment.sources, self._wish(item), self._standing, self._clock.monotonic_s(), self._left_s)

    def gave(self, source: FillSource) -> None:
        self._standing(source).gave(self._clock.monotonic_s())

    def not_yet(self, item: FillItem, source: FillSource) -> None:
        now_s = self._clock.monotonic_s()
        self._standing(source).lacks(now_s)
        self._wish(item).not_yet(source, now_s)

    def blame(self, item: FillItem, source: FillSource, error: NearcastError) -> None:
        """What is wrong with one file is no reason to leave its source alone; what is wrong with the source is."""
        now_s, wish = self._clock.monotonic_s(), self._wish(item)
        if isinstance(error, CorruptSource):
            wish.wrong[source] = wish.wrong.get(source, 0) + 1
            if wish.wrong[source] >= BLOCK_TRIES:
                wish.again_at_s[source] = now_s + WRONG_S
                del wish.wrong[source]
        elif isinstance(error, CorruptBlocks | OtherLength | SourceLacks):
            wish.again_at_s[source] = now_s + WRONG_S
        else:
            self._standing(source).failed(now_s)
            if isinstance(error, UnsafeSource):
                self._standing(source).rests_until_s = NEVER
        _log.debug("a source failed", source=source.id, title_id=item.title_id, file=item.file.name, error=error.message)

    def _standing(self, source: FillSource) -> Standing:
        return self._standings.setdefault(source, Standing(gave_at_s=self._clock.monotonic_s()))

    def _wish(self, item: FillItem) -> Wish:
        return self._wishes.setdefault(name_of(item), Wish(asked_s=self._clock.monotonic_s()))
