"""Our own looks at every appliance from outside, and what we believe for them."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterable

from nearcast.base.probing import Look, Prober, Target
from nearcast.model.site import ApplianceReport
from nearcast.policy.sight import UNSEEN, Sight, after, may_look
from nearcast.steering.health.settings import HealthSettings


class Looks:
    """``changed`` is called whenever a sight does. Belongs to one running loop; ``tls`` is for appliances on https."""

    def __init__(
        self, settings: HealthSettings, changed: Callable[[str], None], tls: ssl.SSLContext | None = None, rng: random.Random | None = None
    ) -> None:
        self._needed = settings.failures
        self._changed = changed
        self._sights: dict[str, Sight] = {}
        self._looked: frozenset[str] = frozenset()
        self._prober = Prober(self._found, interval_s=settings.probe_s, timeout_s=settings.timeout_s, tls=tls, rng=rng)

    def watch(self, reports: Iterable[ApplianceReport]) -> None:
        """Look at these from now on. One whose health URL is not below its own address is not looked at."""
        targets = {each.id: Target(each.health_url, each.id) for each in reports if may_look(each.address, each.health_url)}
        self._looked = frozenset(targets)
        self._sights = {name: sight for name, sight in self._sights.items() if name in targets}
        self._prober.watch(targets)

    def looked(self, name: str) -> bool:
        return name in self._looked

    def sight(self, name: str) -> Sight:
        return self._sights.get(name, UNSEEN)

    async def stop(self) -> None:
        await self._prober.stop()

    def _found(self, name: str, look: Look) -> None:
        before = self.sight(name)
        now = self._sights[name] = after(before, look, self._needed)
        if now.reached != before.reached:
            self._changed(name)
