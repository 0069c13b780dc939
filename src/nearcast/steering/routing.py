"""The Routing service: why a viewer goes where they go, who would move if routes changed, and where the routes come from.

It reads the table and the view that all others read, and asks the decision itself, so that an explanation cannot differ from it.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

from msgspec.structs import replace

from nearcast.base import context
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import BadInput, TooLarge
from nearcast.model.route import Announcement
from nearcast.model.services import (
    ExplainQuestion,
    Explanation,
    Nothing,
    Rehearsal,
    RehearseQuestion,
    RoutingStatus,
    SourceStatus,
)
from nearcast.steering.announced import concerned
from nearcast.steering.decide import Decider
from nearcast.steering.planned import Present, rehearsed
from nearcast.steering.routes import Table, parse_address
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.standings import standings
from nearcast.steering.view import View

COUNT_MAX = 16
LIMIT_MAX = 10_000
PATIENCE_S = 60.0
"""A rehearsal that compares the whole of a full table (1.2 million prefixes) takes 3 s, 4 s where it is compiled anew."""
UNSEEN = (
    "loads are as the appliances reported them last: what the play service has given since, and which sessions stay where they are, "
    "only its own processes know"
)
MARGIN_S = 1.0
"""What is left of the caller's time to give up with a reason, where silence would tell nothing."""


PART = 1_000
"""Announcements that are copied in one turn, in a millisecond."""


class NoAddress(BadInput):
    """What was to be explained is no IP address as viewers have it."""

    code = "NC3032"
    cure = "give an IPv4 or IPv6 address as viewers have it: 203.0.113.7, 2001:db8::7"


class TooWide(TooLarge):
    """What is planned was not compared in time."""

    code = "NC3035"
    cure = "the host is busy: ask again later, or rehearse a part of it"


class Abandoned(Exception):
    """Whoever asked for the rehearsal has gone."""


class Tables(Protocol):
    """Where the table comes from: a TableReader of our own, since a writer's table changes while its other threads write."""

    def table(self) -> Table: ...


class Views(Protocol):
    """Where the health view comes from: a ViewReader."""

    def view(self) -> View: ...


class Held(Protocol):
    """What an ISP announces and has not in the table: what waits, and with ``refused`` what the filter has refused: ``Collector.held``."""

    def __call__(self, isp: str, *, refused: bool) -> Iterator[Announcement]: ...


def _nothing(isp: str, *, refused: bool) -> Iterator[Announcement]:
    return iter(())


class RoutingService:
    """Implements the Routing protocol. ``sources`` tells how the ISPs stand, ``compiled_at`` the Unix time of the table in force,
    ``held`` what an ISP announces beside it, ``unread`` why the MMDB file does not count (empty where it does).

    A rehearsal ends ``patience_s`` after it was asked for, and with the call that asked for it; one is made at a time.
    """

    def __init__(
        self,
        settings: SteeringSettings,
        tables: Tables,
        views: Views,
        sources: Callable[[], tuple[SourceStatus, ...]],
        compiled_at: Callable[[], float] = lambda: 0.0,
        held: Held = _nothing,
        unread: Callable[[], str] = str,
        *,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._held, self._unread = held, unread
        self._compiled_at, self._clock, self._patience_s = compiled_at, clock or SystemClock(), patience_s
        self._one = asyncio.Lock()
        self._settings, self._tables, self._views, self._sources = settings, tables, views, sources
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
            note=UNSEEN,
        )

    async def rehearse(self, question: RehearseQuestion, /) -> Rehearsal:
        """Raises NoIsp, BadPlan, NotRehearsed and TooWide."""
        gone, began_s, patience_s = threading.Event(), self._clock.monotonic_s(), self._patience_s
        deadline_s = context.deadline_s.get()
        if deadline_s is not None:
            patience_s = max(0.0, min(patience_s, deadline_s - began_s - MARGIN_S))

        def wanted() -> None:
            if gone.is_set():
                raise Abandoned
            if self._clock.monotonic_s() - began_s >= patience_s:
                raise TooWide(f"the tables were not compared in {patience_s:.0f} s")

        try:
            async with asyncio.timeout(patience_s):
                await self._one.acquire()
        except TimeoutError:
            raise TooWide(f"others are rehearsed, and were not done in {patience_s:.0f} s") from None
        try:
            present = await self._present(question, wanted)
            limit = max(1, min(question.limit, LIMIT_MAX))
            work = asyncio.create_task(asyncio.to_thread(_work, present, question, limit, wanted))
        except BaseException:
            self._one.release()
            raise
        work.add_done_callback(self._over)
        try:
            await asyncio.wait([work])
            return work.result()
        finally:
            gone.set()

    def _over(self, work: asyncio.Task[Rehearsal]) -> None:
        """The thread has ended, which a call that was cancelled did not wait for: now the next one may begin."""
        self._one.release()
        if not work.cancelled():
            work.exception()  # looked at, though nobody may be there to whom it matters

    async def _present(self, question: RehearseQuestion, wanted: Callable[[], None]) -> Present:
        """Copies, which a thread reads while others change what is in force. The table comes last: what came in meanwhile counts once."""
        most = 2 * (len(question.announce) + len(question.withdraw))  # so many may be let in, and as many may be of the plan itself
        held = {
            name: await _in_parts(islice(self._held(name, refused=refused), None if refused else most), wanted)
            for name, refused in concerned(self._settings, question).items()
        }
        table = self._tables.table().altered(())
        return Present(self._settings, table, {each.name: each.prefixes for each in self._sources()}, held)

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

    # --- where routes come from ---------------------------------------------------------------------------------------

    def _own_sources(self, table: Table) -> Iterator[SourceStatus]:
        yield SourceStatus(name="config", kind="config", state="loaded", prefixes=len(self._settings.routes))
        wanted = self._settings.geographic
        if wanted.mmdb or wanted.blocks:
            problem = self._unread() or ("" if table.geography is not None else "no address of it is in the table yet")
            yield SourceStatus(
                name=wanted.mmdb or "blocks",
                kind="geographic",
                state="down" if problem else "loaded",
                prefixes=sum(map(len, wanted.blocks.values())),
                problem=problem,
            )

    def _counts(self, table: Table) -> tuple[int, int]:
        """Compiled prefixes of IPv4 and IPv6, counted once for each base."""
        if self._counted[0] is not table.base:
            versions = bytes(table.base.arrays["version"])
            self._counted = (table.base, versions.count(4), versions.count(6))
        return self._counted[1:]


def _work(present: Present, question: RehearseQuestion, limit: int, wanted: Callable[[], None]) -> Rehearsal:
    with _uncollected():
        return rehearsed(present, question, limit, wanted)


@contextmanager
def _uncollected() -> Iterator[None]:
    """A rehearsal makes many objects, none of them in a cycle. The collector, called for them, would look at all that this process has, and
    give nobody else his turn for so long (80 ms at 100,000 announcements that wait)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def _in_parts(found: Iterator[Announcement], wanted: Callable[[], None]) -> list[Announcement]:
    """All of it, with others' turns in between. Raises what ``wanted`` raises."""
    copied: list[Announcement] = []
    while part := list(islice(found, PART)):
        copied.extend(part)
        wanted()
        await asyncio.sleep(0)
    return copied


def address_of(text: str) -> tuple[int, int]:
    """Version and number; an IPv4-mapped address counts as IPv4. Raises NoAddress, where a decision would go on with the default."""
    if _is_address(text) and "%" not in text:
        return parse_address(text)
    bare, what = _bare(text)
    if what and _is_address(bare):
        raise NoAddress(f"{text!r} is {what}", hint=f"give the address alone: {bare}")
    raise NoAddress(f"{text!r} is not an IP address")


def _bare(text: str) -> tuple[str, str]:
    """The address within what people paste, and what that is."""
    if text != text.strip():
        return text.strip(), "an address with white space around it"
    if "/" in text:
        return text.partition("/")[0], "a prefix, within which not everybody may go the same way"
    if text.startswith("["):
        bare, _, port = text[1:].partition("]")
        return bare.partition("%")[0], "an address with a port" if port else "an address in brackets, as URLs have it"
    if "%" in text:
        return text.partition("%")[0], "an address with a zone, which means something on one machine alone"
    return text.rpartition(":")[0], "an address with a port"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
