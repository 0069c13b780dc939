"""What the fill knows: the catalog's titles, the appliances that take part and how they do, pins, and what hurries. No socket, no store.

``FillService`` brings the news here; assignments are worked out from a ``View``, which never changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from nearcast.delivery.fill import members as membership
from nearcast.delivery.fill import plan
from nearcast.delivery.fill.members import Member
from nearcast.delivery.fill.schedule import Files, FillPeer, urgent_pins
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Pin, Placement
from nearcast.model.rendition import File
from nearcast.model.site import Appliance, ApplianceReport, Site
from nearcast.model.title import Publication
from nearcast.policy import holdings
from nearcast.policy.windows import WindowState, window_at

EVERYTHING = "*"
"""Stands for all titles among those that hurry."""


PACE_S = 30.0
"""Over about so long the pace of a fill is averaged: a file that ends, and one that is slow to begin, are not its end."""
GRACE_S = 5.0
"""An edge is heard for a moment after it was dismissed: until its lease is over."""


class View(Struct, frozen=True):
    """``by_site``: the peers of each site; ``hurry``: titles that do not wait for the window; ``surprises``: those that wait for the end of
    the peak alone; ``order``: titles by value."""

    placement: Placement
    files: Files
    titles_version: int
    by_site: Mapping[str, tuple[FillPeer, ...]]
    hurry: frozenset[str]
    surprises: frozenset[str]
    order: tuple[str, ...]

    def urgent(self, *, peak: bool) -> frozenset[str]:
        """What an appliance is to fetch outside the window. ``peak``: its site is in the hours of most viewers."""
        return self.hurry if peak else self.hurry | self.surprises

    def around(self, appliance: str) -> tuple[FillPeer, ...]:
        """Its own site and those above it: nobody else matters to its assignment. Empty where it is not known."""
        for found in self.by_site.values():
            for each in found:
                if each.id == appliance:
                    return (*found, *(peer for site in each.parents if site != each.site for peer in self.by_site.get(site, ())))
        return ()


def peak_at(settings: FillSettings, timezone: str, now: datetime) -> WindowState:
    """Whether a site of this time zone is in the hours of most viewers, and when that turns. Raises UnknownTimezone."""
    return window_at(settings.peak, timezone, now) if settings.peak else WindowState(False, float("inf"))


def paced(before_bps: float, now_bps: float, passed_s: float) -> float:
    """An exponential average over PACE_S."""
    return before_bps + (now_bps - before_bps) * -math.expm1(-passed_s / PACE_S)


class Knowledge:
    """Everything that was heard. ``configured`` and ``dismissed``: see members.remaining."""

    def __init__(
        self,
        settings: FillSettings,
        sites: Iterable[Site],
        token: Callable[[str], str],
        configured: Collection[str],
    ) -> None:
        self._settings = settings
        self.sites = {each.name: each for each in sites}
        self._token = token
        self._configured = frozenset(configured)
        self.catalog: dict[str, Publication] = {}
        """Titles that viewers see."""
        self.files: dict[str, dict[str, File]] = {}
        self._sizes: dict[str, int] = {}
        self._told: dict[str, Publication] = {}
        """What changed since the catalog was last read in whole."""
        self.titles_version = -1
        """The catalog's version that was read in whole; -1: none yet."""
        self.members: dict[str, Member] = {}
        self.reports: dict[str, ApplianceReport] = {}
        self.appliances: tuple[Appliance, ...] | None = None
        """As discovery last told of them; None: it never did."""
        self.pins: tuple[Pin, ...] = ()
        self.hurry: dict[str, float] = {}
        """Until when a title that was ordered does not wait for the window (Unix seconds)."""
        self.surprised: dict[str, float] = {}
        """The same of what is asked for beyond all expectation."""
        self.order: tuple[str, ...] = ()
        self.placement: Placement | None = None
        self.held: dict[str, Mapping[str, int]] = {}
        """What each appliance told last that it holds, whether it is heard now or not."""
        self.pace_bps: dict[str, float] = {}
        """What each fetches, averaged."""
        self._paced_s = float("-inf")
        self._heard_s: dict[str, float] = {}
        self._answering_s: float | None = None

    # --- news ---------------------------------------------------------------------------------------------------------

    def forget_titles(self) -> None:
        """The catalog was restored from a backup: it is read anew."""
        self.catalog, self.files, self._sizes, self._told = {}, {}, {}, {}
        self.titles_version = -1

    def take_titles(self, publications: Iterable[Publication]) -> None:
        """A part of what changed: it counts once all of it was read."""
        self._told |= {each.title_id: each for each in publications}

    def take_version(self, version: int) -> None:
        """The catalog was read in whole up to here. Withdrawn titles leave the files at once: what nobody may see nobody keeps."""
        seen = plan.visible(self._told.values())
        fresh = {title_id: plan.files_of(each) for title_id, each in seen.items()}
        self.catalog = {title_id: each for title_id, each in self.catalog.items() if title_id not in self._told} | seen
        self.files = {title_id: each for title_id, each in self.files.items() if title_id not in self._told} | fresh
        self._sizes = {title_id: each for title_id, each in self._sizes.items() if title_id not in self._told} | plan.sizes(fresh)
        self._told = {}
        self.titles_version = version

    def take_appliances(self, appliances: tuple[Appliance, ...], dismissed: Mapping[str, float], now_s: float, wall_s: float) -> None:
        """Discovery answered at ``now_s`` (monotonic; ``wall_s``: in Unix seconds). Silence counts only while it does.

        Who was dismissed and has not been heard since is gone at once; who was invited anew under the same name is heard.
        """
        if self._answering_s is None:
            self._answering_s = now_s
        self.appliances = holdings.completed(appliances, self.appliances or ())
        self.reports = {each.report.id: each.report for each in self.appliances}
        self._heard_s |= {each.report.id: now_s - each.age_s for each in self.appliances}
        self.members = membership.met(self.members, self.reports.values(), self._configured)
        since_s = self._answering_s
        silent_s = {name: now_s - max(self._heard_s.get(name, since_s), since_s) for name in self.members if name not in self.reports}
        shut_out = [name for name, at in dismissed.items() if name in silent_s and at > wall_s - silent_s[name] - GRACE_S]
        self.members = membership.remaining(self.members, silent_s, self._configured, shut_out)
        told = self.held | {name: each.holdings for name, each in self.reports.items()}
        self.held = {name: each for name, each in told.items() if name in self.members}
        passed_s, self._paced_s = now_s - self._paced_s, now_s
        self.pace_bps = {
            name: paced(self.pace_bps.get(name, each.fill_bps), each.fill_bps, passed_s) for name, each in self.reports.items()
        }

    def miss_discovery(self) -> None:
        """It does not answer: who is silent now may well be there."""
        self._answering_s = None

    # --- what follows from it -----------------------------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """Whether a placement can be worked out: before, nothing is said, since an empty one would empty disks."""
        return self.titles_version >= 0 and bool(self.members)

    def hurrying(self, now_s: float) -> frozenset[str]:
        """Titles that do not wait for the window: ordered so, just published, or pinned to a release that is near."""
        ordered = {title_id for title_id, until_s in self.hurry.items() if until_s > now_s}
        if EVERYTHING in ordered:
            return frozenset(self.files)
        launched = plan.launches(self.catalog, now_s) if self._settings.launch_at_once else frozenset()
        pins = plan.pinned(self.pins, now_s)
        return frozenset((ordered & self.files.keys()) | launched | urgent_pins(pins, self._sizes, self._settings, now_s))

    def surprising(self, now_s: float) -> frozenset[str]:
        """Titles that wait for the end of the peak alone."""
        return frozenset(title_id for title_id, until_s in self.surprised.items() if until_s > now_s and title_id in self.files)

    def urgent(self, timezone: str, now: datetime) -> frozenset[str]:
        """Titles that sites of this time zone fetch now, whatever the window."""
        hurry, peak = self.hurrying(now.timestamp()), peak_at(self._settings, timezone, now)
        return hurry if peak.open else hurry | self.surprising(now.timestamp())

    def view(self, now_s: float) -> View | None:
        """What assignments are made from; None while too little is known."""
        if self.placement is None or self.titles_version < 0:
            return None
        tokens = {name: self._token(name) for name in self.members}
        by_site: dict[str, list[FillPeer]] = {}
        for each in membership.peers(self.members, self.reports, self.sites, tokens, self.held):
            by_site.setdefault(each.site, []).append(each)
        return View(
            self.placement,
            self.files,
            self.titles_version,
            {site: tuple(found) for site, found in by_site.items()},
            self.hurrying(now_s),
            self.surprising(now_s),
            self.order,
        )
