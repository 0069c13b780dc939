"""What speaks for and against each appliance, in sentences. Pure; says only what the decision itself went by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from nearcast.model.health import ApplianceHealth
from nearcast.model.services.steer import Considered
from nearcast.policy import load
from nearcast.steering.rank import ABLE, DOWN, DRAINING
from nearcast.steering.standing import Appliance, Standing, Title

Verdict = Literal["chosen", "spare", "rejected"]


def considered(
    title: Title,
    chosen: Sequence[tuple[Standing, Appliance]],
    serving: Iterable[Standing],
    barred: Iterable[Standing],
    *,
    healthy: bool,
    demoted: Callable[[Standing], bool],
) -> tuple[Considered, ...]:
    """The chosen, then who could serve as well, then the rejected. Sites in ``serving`` may serve the client, the ``barred`` may not."""
    named = {server.id for _, server in chosen}
    found = []
    for place, (site, server) in enumerate(chosen):
        why = _favour(site, server.id, place, title, demoted=demoted(site))
        if not healthy:
            why = f"{unfit(server.health, site)}; but nobody who may serve this address is better"
        found.append(_said(server.health, "chosen", why))
    spare: list[Considered] = []
    rejected: list[Considered] = []
    for site in serving:
        for health in site.reports():
            if health.id in named:
                continue
            if site.level(health.id) == ABLE:
                spare.append(_said(health, "spare", _reserve(site, health.id, title, demoted=demoted(site))))
            else:
                rejected.append(_said(health, "rejected", unfit(health, site)))
    for site in barred:
        why = f"stands in the network of {site.site.isp}, to which no prefix of this address was announced"
        rejected += [_said(health, "rejected", why) for health in site.reports()]
    return (*found, *spare, *rejected)


def unfit(health: ApplianceHealth, site: Standing) -> str:
    """Why an appliance gets no new session, while others can serve."""
    level = site.level(health.id)
    if level == DOWN:
        return health.why or "is down"
    if level == DRAINING:
        return health.why or "drains, as its operator wants"
    share = max(health.share, site.server[health.id].load if site.server[health.id].known else 0.0)
    if share >= load.FULL:
        return f"sends {_percent(share)} of its limit" + (", with what it was just given" if share > health.share else "")
    if health.share >= load.FULL_ENDS:
        return f"was full, and gets sessions again below {_percent(load.FULL_ENDS)} of its limit: it sends {_percent(share)}"
    return health.why or "says that it is full"


def _said(health: ApplianceHealth, verdict: Verdict, why: str) -> Considered:
    return Considered(appliance=health.id, site=health.site, verdict=verdict, why=why)


def _favour(site: Standing, appliance: str, place: int, title: Title, *, demoted: bool) -> str:
    where = "the best that the route has" if place == 0 else "the next best, in a failure domain of its own as far as there is one"
    why = f"{where}; {_holding(site, appliance, title)}"
    return f"{why}; its site comes later for this session, because of what players measured there" if demoted else why


def _reserve(site: Standing, appliance: str, title: Title, *, demoted: bool) -> str:
    why = f"could serve, after those that were chosen; {_holding(site, appliance, title)}"
    return f"{why}; its site comes later for this session, because of what players measured there" if demoted else why


def _holding(site: Standing, appliance: str, title: Title) -> str:
    if not title.id:
        return "is fit"
    return "holds the title" if site.holds(site.server[appliance], title) else "fetches the title"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
