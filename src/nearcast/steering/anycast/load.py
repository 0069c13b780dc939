"""How loaded a site is as a whole, and whether it is to be emptied: from the one health view, or from the appliances of this host. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import ApplianceReport


class SiteLoad(Struct, frozen=True, kw_only=True):
    """``share`` of what the site can send that is sent; None: not known. ``draining``: all that serves drains. ``down``: nothing does."""

    share: float | None = None
    draining: bool = False
    down: bool = False


UNKNOWN = SiteLoad()


def of(appliances: Iterable[ApplianceHealth], site: str) -> SiteLoad:
    """The load of ``site``. Appliances that drain carry load and take no more; those whose limit is not known count by their state."""
    here = [each for each in appliances if each.site == site]
    up = [each for each in here if each.state == "up"]
    if not up:
        return SiteLoad(
            draining=any(each.state == "draining" for each in here), down=bool(here) and all(each.state == "down" for each in here)
        )
    limited = [each for each in up if each.limit_bps > 0]
    share = sum(each.sent_bps for each in limited) / sum(each.limit_bps for each in limited) if limited else None
    if all(each.load == "full" for each in up):  # by connections, say
        share = max(1.0, share or 0.0)
    return SiteLoad(share=share)


def health(report: ApplianceReport) -> ApplianceHealth:
    """What an appliance says of itself, as the view would say it."""
    return ApplianceHealth(
        id=report.id,
        site=report.site,
        address=report.address,
        state=report.state,
        load=report.load,
        sent_bps=report.sent_bps,
        limit_bps=report.limit_bps,
    )
