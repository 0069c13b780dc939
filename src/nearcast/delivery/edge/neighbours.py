"""The appliance as an observer: it looks at the few others that discovery names, from outside, and tells what it found.

So a host that is cut off from an edge is not the only one to say so, and one that reports in good health while nobody reaches it is
found out.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

from nearcast.base.probing import Look, Prober, Target
from nearcast.policy.sight import TOLD_MAX, UNSEEN, Sight, after

PROBE_S, TIMEOUT_S, FAILURES = 0.3, 0.5, 2
"""As in [steering.health]: an edge of another host has no such settings."""


class Neighbours:
    """``changed`` is called whenever what is to be told changed. ``own``: never looked at."""

    def __init__(self, own: str, tls: ssl.SSLContext, changed: Callable[[], None]) -> None:
        self._own = own
        self._tls = tls
        self._changed = changed
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
            self._prober = Prober(self._found, interval_s=PROBE_S, timeout_s=TIMEOUT_S, tls=self._tls)
        self._prober.watch({name: Target(url, name) for name, url in wanted.items()})

    async def stop(self) -> None:
        if self._prober is not None:
            await self._prober.stop()
            self._prober = None
            self._asked, self._sights = {}, {}

    def _found(self, name: str, look: Look) -> None:
        before = self._sights.get(name, UNSEEN)
        now = self._sights[name] = after(before, look, FAILURES)
        if now.reached != before.reached:
            self._changed()
