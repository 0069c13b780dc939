"""Why a viewer was served what is not placed where they asked: content, health, overload or other. Pure.

Open Connect's miss accounting: the placement is to blame for content misses alone, so the others must not be counted with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nearcast.model.fill import Placement
from nearcast.model.site import ApplianceReport
from nearcast.model.traffic import MissCause


def causes(
    appliance: str, title_ids: Iterable[str], placement: Placement, site: Mapping[str, ApplianceReport | None]
) -> dict[str, MissCause]:
    """By title id. ``site``: the appliances of the asking one's site by id, with their last reports; None: silent."""
    found: dict[str, MissCause] = {}
    for title_id in title_ids:
        holders = [each for each in site if title_id in placement.holdings.get(each, {})]
        found[title_id] = cause(title_id, [site[each] for each in holders], own=site.get(appliance) if appliance in holders else None)
    return found


def cause(title_id: str, holders: Sequence[ApplianceReport | None], own: ApplianceReport | None) -> MissCause:
    """``holders``: the last reports of those at the site that are to hold the title; ``own``: the asking one's, if it is one of them.

    A holder to which the fill has not brought the title yet holds nothing: as long as no other does, the miss is one of content.
    """
    has = [each for each in holders if each is None or each.holdings.get(title_id)]
    others = [each for each in has if own is None or each is None or each.id != own.id]
    if any(each is not None and each.state == "up" and each.load != "full" for each in others):
        return "other"
    if any(each is not None and each.state == "up" for each in others):
        return "overload"
    if others or own in has:  # what the asking one has of it, it did not serve: a file of it is in repair, or yet to come
        return "health"
    return "content"
