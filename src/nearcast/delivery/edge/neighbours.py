"""The appliance as an observer: it looks at the few others that discovery names, from outside, and tells what it found.

So a host that is cut off from an edge is not the only one to say so, and one that reports in good health while nobody reaches it is
found out.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

from msgspec import Struct

from nearcast.base.probing import Look, Prober, Target
from nearcast.policy.sight import TOLD_MAX, UNSEEN, Sight, after

TIMEOUT_S = 0.5


class Pace(Struct, frozen=True, kw_only=True):
    """A look each ``interval_s``. ``lost`` in a row are believed where nothing came back, as from one that is held up, else ``refused``: a
    closed port and an answer leave less to doubt."""

    interval_s: float
    refused: int
    lost: int

    def needed(self, look: Look) -> int:
        return self.lost if look == "lost" else self.refused


USUAL = Pace(interval_s=0.3, refused=2, lost=2)
"""As in [steering.health]: an edge of another host has no such settings."""
CLOSE = Pace(interval_s=0.1, refused=2, lost=4)
"""For a few beside us, as behind a door: a port that is closed is found in 0.2 s, and silence is borne with for 0.8 s as before."""


class Neighbours:
    """``changed`` is called whenever what is to be told changed. ``own``: never looked at."""

    def __init__(self, own: str, tls: ssl.SSLContext, changed: Callable[[], None], pace: Pace = USUAL) -> None:
        self._own = own
        self._tls = tls
        self._changed = changed
        self._pace = pace
        self._asked: dict[str, str] = {}
        self._sights: dict[str, Sight] = {}
        self._prober: Prober | None = None

    @property
    def seen(self) -> dict[str, bool]:
        """Who was reached, and who was not, of those that discovery asked for."""
        return {name: sight.reached for name, sight in sorted(self._sights.items()) if sight.reached is not None}

    def look_at(self, asked: Mapping[str, str]) -> None:
        """Health URLs by appliance. Look at these from now on, at TOLD_MAX of them at most."""
        wanted = {name: asked[name] for name in sorted(asked) if name != self._own}
        wanted = dict(list(wanted.items())[:TOLD_MAX])
        if wanted == self._asked:
            return
        self._sights = {name: sight for name, sight in self._sights.items() if wanted.get(name) == self._asked.get(name)}
        self._asked = wanted
        if self._prober is None:
            self._prober = Prober(self._found, interval_s=self._pace.interval_s, timeout_s=TIMEOUT_S, tls=self._tls)
        self._prober.watch({name: Target(url, name) for name, url in wanted.items()})

    async def stop(self) -> None:
        if self._prober is not None:
            await self._prober.stop()
            self._prober = None
            self._asked, self._sights = {}, {}

    def _found(self, name: str, look: Look) -> None:
        before = self._sights.get(name, UNSEEN)
        now = self._sights[name] = after(before, look, self._pace.needed(look))
        if now.reached != before.reached:
            self._changed()
