"""From ranked sites and the appliances' health to the few that a session is given. Pure and deterministic.

Three classes, best first: healthy holders of the title; healthy others (they fetch from their parent); and only when nothing
at all is healthy, the last known: who drains or is full before who fell silent. Within a class the route's order of sites
decides, within a site the title does, by rendezvous hashing (Thaler and Ravishankar 1996) which keeps one title's viewers on the
same appliance, whose page cache then has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nearcast.model.site import Appliance

HOLDER_SHARE = 0.5
_SICKNESS = {"up": 0, "draining": 1, "down": 4}
_FULL = 2
_SILENT = 3


class Ranking(NamedTuple):
    """``appliances`` best first, in distinct sites. ``healthy`` is False when none was, and the last known are given."""

    appliances: tuple[Appliance, ...]
    healthy: bool


def is_healthy(appliance: Appliance, stale_s: float) -> bool:
    """Fit for new sessions: it says so itself, and did so lately."""
    return _sickness(appliance, stale_s) == 0


def _sickness(appliance: Appliance, stale_s: float) -> int:
    """0: healthy. The more, the less is to be hoped for: who drains serves, who is full refuses, who is silent may do neither."""
    report = appliance.report
    return max(_SICKNESS[report.state], _FULL * (report.load == "full"), _SILENT * (appliance.age_s > stale_s))


def holders(appliances: Iterable[Appliance], title_id: str) -> frozenset[str]:
    """Ids of those that hold the title: at least ``HOLDER_SHARE`` of what the best of them holds, as all fill at once at first."""
    held = {each.report.id: each.report.holdings.get(title_id, 0) for each in appliances}
    enough = max(held.values(), default=0) * HOLDER_SHARE
    return frozenset(each for each, size_bytes in held.items() if size_bytes and size_bytes >= enough)


def rank(sites: Sequence[str], appliances: Iterable[Appliance], title_id: str, *, count: int, stale_s: float) -> Ranking:
    """Up to ``count`` appliances in distinct sites. Sites that the route does not name come last, by name.

    An appliance that lacks the title stays in the answer behind all that hold it: better a fetch from its parent than nothing.
    """
    everyone = list(appliances)
    healthy = [each for each in everyone if is_healthy(each, stale_s)]
    able = healthy or everyone
    holding = holders(able, title_id)
    order = {site: index for index, site in enumerate(sites)}

    def worth(appliance: Appliance) -> tuple[int, bool, int, str, str, str]:
        report = appliance.report
        sick = _sickness(appliance, stale_s)
        lacks = report.id not in holding
        return (sick, lacks, order.get(report.site, len(order)), report.site, rendezvous(title_id, report.id), report.id)

    best: dict[str, Appliance] = {}
    for each in sorted(able, key=worth):
        best.setdefault(each.report.site, each)
    return Ranking(tuple(best.values())[:count], bool(healthy))


def rendezvous(title_id: str, appliance_id: str) -> str:
    """Where the appliance stands for this title among its equals; the least comes first."""
    return hashlib.blake2b(f"{title_id} {appliance_id}".encode(), digest_size=8).hexdigest()
