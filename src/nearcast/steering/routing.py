"""The Routing service: why a viewer goes where they go, who would move if routes changed, and where the routes come from.

It reads the table and the view that all others read, and asks the decision itself, so that an explanation cannot differ from it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from nearcast.base import context
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Conflict, NotFound, TooLarge
from nearcast.model.route import Announcement, Route
from nearcast.model.services import (
    ExplainQuestion,
    Explanation,
    Nothing,
    Refused,
    Rehearsal,
    RehearseQuestion,
    RoutingStatus,
    SourceStatus,
)
from nearcast.steering import rank
from nearcast.steering.decide import Decider
from nearcast.steering.rehearse import Movement, difference, movement
from nearcast.steering.routes import BadRoute, Match, Prefix, Table, parse_address, parse_prefix
from nearcast.steering.routes.bgp import Reason
from nearcast.steering.routes.configured import close_to, spread
from nearcast.steering.routes.rib import judge
from nearcast.steering.routes.settings import Isp
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.standings import standings
from nearcast.steering.view import View

COUNT_MAX = 16
LIMIT_MAX = 10_000
PATIENCE_S = 300.0
"""A rehearsal that compares the whole of a full table (1.2 million prefixes) takes a minute or two."""
MARGIN_S = 1.0
"""What is left of the caller's time to give up with a reason, where silence would tell nothing."""


class NoAddress(NotFound):
    """What was to be explained is no IP address, so that there is nothing to be found."""

    code = "NC3032"
    exit_code = 2
    cure = "give an IPv4 or IPv6 address as viewers have it: 203.0.113.7, 2001:db8::7"


class NoIsp(NotFound):
    """There is no ISP of this name."""

    code = "NC3033"
    cure = "`nearcast routes` lists the ISPs; [[steering.isps]] in the configuration declares them"


class BadPlan(Conflict):
    """What is planned does not fit the sites, ISPs and prefixes that there are."""

    code = "NC3034"
    exit_code = 2
    cure = "a plan has prefixes in CIDR notation, each once, and names sites that are in force"


class TooWide(TooLarge):
    """What is planned concerns so many prefixes that they were not compared in time."""

    code = "NC3035"
    cure = "rehearse a narrower prefix; `nearcast routes diff` on a host waits longer than the console does"


class Abandoned(Exception):
    """Whoever asked for the rehearsal has gone."""


class Tables(Protocol):
    """Where the table comes from: a TableReader of our own, since a writer's table changes while its other threads write."""

    def table(self) -> Table: ...


class Views(Protocol):
    """Where the health view comes from: a ViewReader."""

    def view(self) -> View: ...


class RoutingService:
    """Implements the Routing protocol. ``sources`` tells how the ISPs stand, ``compiled_at`` the Unix time of the table in force.

    A rehearsal ends after ``patience_s``, and with the call that asked for it; one is made at a time.
    """

    def __init__(
        self,
        settings: SteeringSettings,
        tables: Tables,
        views: Views,
        sources: Callable[[], tuple[SourceStatus, ...]],
        compiled_at: Callable[[], float] = lambda: 0.0,
        *,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._compiled_at, self._clock, self._patience_s = compiled_at, clock or SystemClock(), patience_s
        self._one = asyncio.Lock()
        self._settings, self._tables, self._views, self._sources = settings, tables, views, sources
        self._sites = {each.name: each for each in settings.sites}
        self._isps = {each.name: each for each in settings.isps}
        self._decider = Decider(settings.sites)
        self._counted: tuple[object, int, int] = (None, 0, 0)

    async def explain(self, question: ExplainQuestion, /) -> Explanation:
        """Raises NoAddress; NoTable before the first table."""
        version, number = address_of(question.address)
        counted = str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))
        table, view = self._tables.table(), self._views.view()
        self._decider.use(table, view)
        ways = table.candidates(counted)
        considered = self._decider.consider(counted, question.title_id, count=max(1, min(question.count, COUNT_MAX)))
        return Explanation(
            address=question.address,
            counted_as=counted,
            prefix=table.match_number(version, number).prefix,
            table_version=table.version,
            candidates=tuple(replace(each, why=why) for each, why in zip(ways, standings(ways), strict=True)),
            considered=considered,
            last_known=view.snapshot.source == "last-known",
        )

    async def rehearse(self, question: RehearseQuestion, /) -> Rehearsal:
        """Raises NoIsp, BadPlan and TooWide."""
        table = self._tables.table().altered(())  # ours alone: the thread below reads it while the other goes on
        try:
            announce, withdraw = self._routes(question.routes)
            planned, refused = self._planned(question.announce, table)
            gone = [each for told in question.withdraw for each in self._spread(told)]
        except BadRoute as error:
            raise BadPlan(error.message, hint="" if error.hint == BadRoute.cure else error.hint) from error
        after = table.altered((*announce, *planned), (*withdraw, *gone))
        changed = {parse_prefix(each.prefix) for each in (*announce, *planned, *withdraw, *gone)}
        limit = max(1, min(question.limit, LIMIT_MAX))
        async with self._one:
            found = await self._walked(table, after, changed, limit)
        return Rehearsal(moved=found.moved, moved_total=found.total, refused=tuple(refused))

    async def _walked(self, before: Table, after: Table, changed: set[Prefix], limit: int) -> Movement:
        """In a thread, which ends when the call does. Raises TooWide."""
        gone, began_s, patience_s = threading.Event(), self._clock.monotonic_s(), self._patience_s
        deadline_s = context.deadline_s.get()
        if deadline_s is not None:
            patience_s = min(patience_s, deadline_s - began_s - MARGIN_S)

        def wanted(steps: int) -> None:
            if gone.is_set():
                raise Abandoned
            if self._clock.monotonic_s() - began_s >= patience_s:
                raise TooWide(f"{steps:,} ranges of addresses were compared in {patience_s:.0f} s, and there are more")

        try:
            return await asyncio.to_thread(movement, before, after, changed, self._serving, limit, wanted)
        finally:
            gone.set()

    async def status(self, _question: Nothing, /) -> RoutingStatus:
        table, view = self._tables.table(), self._views.view()
        ipv4, ipv6 = self._counts(table)
        return RoutingStatus(
            version=table.version,
            prefixes_ipv4=ipv4,
            prefixes_ipv6=ipv6,
            overlay=len(table.overlay),
            compiled_at=self._compiled_at(),
            sources=(*self._own_sources(table), *self._sources()),
            health=view.snapshot,
        )

    # --- what is planned ----------------------------------------------------------------------------------------------

    def _routes(self, routes: Sequence[Route] | None) -> tuple[tuple[Announcement, ...], tuple[Announcement, ...]]:
        """What changes when these routes replace those in force."""
        if routes is None:
            return (), ()
        return difference(spread(self._settings.routes, self._sites), spread(routes, self._sites))

    def _planned(self, announcements: Sequence[Announcement], table: Table) -> tuple[list[Announcement], list[Refused]]:
        """What the filter would take, and what it would refuse."""
        taken: list[Announcement] = []
        refused: list[Refused] = []
        room = {each.name: self._isps[each.name].prefixes_max - each.prefixes for each in self._sources() if each.name in self._isps}
        for told in announcements:
            isp = self._isp(told)
            path = told.as_path or (isp.asn,)
            [(judged, reason)] = judge(isp, self._settings.bgp.asn, [replace(told, prefix=str(self._prefix(told)), as_path=path)])
            known = any(each.source == isp.name for each in table.entries(self._prefix(told)))
            if reason is None and not known:
                room[isp.name] = room.get(isp.name, isp.prefixes_max) - 1
                reason = Reason.MAXIMUM if room[isp.name] < 0 else None
            if reason is not None:
                refused.append(Refused(prefix=told.prefix, source=isp.name, why=f"{told.prefix} {reason.sentence} ({reason.code})"))
            else:
                taken += self._spread(judged)
        return taken, refused

    def _spread(self, told: Announcement) -> Iterator[Announcement]:
        """For the site that it names, else for all of the ISP's."""
        isp, prefix = self._isp(told), str(self._prefix(told))
        if told.site and told.site not in self._sites:
            raise BadPlan(f"there is no site {told.site!r}", hint=close_to(told.site, self._sites))
        if not told.site and not isp.sites:
            raise BadPlan(f"no site serves what the ISP {isp.name} announces", hint="name them as its sites in [[steering.isps]]")
        for order, site in enumerate((told.site,) if told.site else isp.sites):
            yield replace(told, prefix=prefix, site=site, order=told.order or order)

    def _isp(self, told: Announcement) -> Isp:
        found = self._isps.get(told.source)
        if found is None:
            raise NoIsp(f"there is no ISP {told.source!r}", hint=close_to(told.source, self._isps) if self._isps else "")
        return found

    @staticmethod
    def _prefix(told: Announcement) -> Prefix:
        return parse_prefix(told.prefix)

    def _serving(self, match: Match) -> Iterator[str]:
        """The sites of a match that may serve its clients, best first."""
        return (each for each in match.sites if each in self._sites and rank.may_serve(self._sites[each], match.announced))

    # --- where routes come from ---------------------------------------------------------------------------------------

    def _own_sources(self, table: Table) -> Iterator[SourceStatus]:
        yield SourceStatus(name="config", kind="config", state="loaded", prefixes=len(self._settings.routes))
        wanted = self._settings.geographic
        if wanted.mmdb or wanted.blocks:
            loaded = table.geography is not None
            yield SourceStatus(
                name=wanted.mmdb or "blocks",
                kind="geographic",
                state="loaded" if loaded else "down",
                prefixes=sum(map(len, wanted.blocks.values())),
                problem="" if loaded else "it could not be read: see the log of the process steer",
            )

    def _counts(self, table: Table) -> tuple[int, int]:
        """Compiled prefixes of IPv4 and IPv6, counted once for each base."""
        if self._counted[0] is not table.base:
            versions = bytes(table.base.arrays["version"])
            self._counted = (table.base, versions.count(4), versions.count(6))
        return self._counted[1:]


def address_of(text: str) -> tuple[int, int]:
    """Version and number. Raises NoAddress, where a decision would go on with the default."""
    try:
        ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError as error:
        raise NoAddress(f"{text!r} is not an IP address") from error
    return parse_address(text)
