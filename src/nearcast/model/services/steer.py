"""What can be asked of the routes: why a viewer goes where they go, and who would move if they changed."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from nearcast.model.health import HealthSnapshot
from nearcast.model.route import Announcement, Candidate, Route
from nearcast.model.services.nothing import Nothing
from nearcast.model.site import Site


class ExplainQuestion(Struct, frozen=True, kw_only=True):
    """``address`` as viewers have it, IPv4 or IPv6. ``title_id`` empty: any title."""

    address: str
    title_id: str = ""
    count: int = 3


class Considered(Struct, frozen=True, kw_only=True):
    """One appliance in an explanation, best first. ``why`` is one sentence: why it was chosen, or why not."""

    appliance: str
    site: str
    verdict: Literal["chosen", "spare", "rejected"]
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a viewer goes where they go. ``counted_as``: the address that was looked up (IPv4-mapped IPv6 becomes IPv4).

    ``candidates``: sites best first with what ranked them; ``considered``: appliances best first; ``last_known``: the health view is old.
    ``note``: what the decisions of the play service know and this one does not, in a sentence.
    """

    address: str
    counted_as: str
    prefix: str
    table_version: int
    candidates: tuple[Candidate, ...]
    considered: tuple[Considered, ...]
    last_known: bool = False
    note: str = ""


class PlannedIsp(Struct, frozen=True, kw_only=True):
    """An ISP as far as it moves viewers: what it may announce (``allow``, ``prefixes_max``), and the ``sites`` that serve that."""

    name: str
    asn: int
    sites: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    prefixes_max: int = 10_000


class PlannedGeography(Struct, frozen=True, kw_only=True):
    """Where addresses are: path of a MaxMind DB file (empty: none), and prefixes by country code for where there is none."""

    mmdb: str = ""
    blocks: dict[str, tuple[str, ...]] = {}


class RehearseQuestion(Struct, frozen=True, kw_only=True):
    """What is planned. None: what is in force stays. ``asn``: our own number, 0: no BGP sessions are taken.

    ``announce`` and ``withdraw`` come on top, as an ISP would tell them.
    """

    sites: tuple[Site, ...] | None = None
    isps: tuple[PlannedIsp, ...] | None = None
    asn: int | None = None
    geographic: PlannedGeography | None = None
    routes: tuple[Route, ...] | None = None
    announce: tuple[Announcement, ...] = ()
    withdraw: tuple[Announcement, ...] = ()
    limit: int = 1000


class Moved(Struct, frozen=True, kw_only=True):
    """Clients of ``prefix`` would go from one ranking of sites to another. ``addresses``: how many it covers (IPv6: of /64s).

    Empty rankings: no route holds them, and any site that stands in no ISP's network serves.
    """

    prefix: str
    addresses: float
    before: tuple[str, ...]
    after: tuple[str, ...]


class Refused(Struct, frozen=True, kw_only=True, gc=False):
    """An announcement that the filter would not take, and why."""

    prefix: str
    source: str
    why: str


class Accepted(Struct, frozen=True, kw_only=True, gc=False):
    """An announcement that is refused, or waits beyond the maximum, and would not any more."""

    prefix: str
    source: str


class Rehearsal(Struct, frozen=True, kw_only=True):
    """Who would move, the largest first. Totals count all, even those past the limit.

    ``refused``: what the filter would hold back, of what is planned and of what is announced now; ``accepted``: what it holds back now, as
    far as it is remembered, and would take. ``changes``: what is planned for sites and ISPs, in sentences.
    """

    moved: tuple[Moved, ...]
    moved_total: int
    refused: tuple[Refused, ...] = ()
    refused_total: int = 0
    accepted: tuple[Accepted, ...] = ()
    accepted_total: int = 0
    changes: tuple[str, ...] = ()


class SourceStatus(Struct, frozen=True, kw_only=True):
    """Where routes come from. ``state``: ``up``, ``down`` (a BGP session), or ``loaded`` (a file, the configuration).

    ``refused`` counts announcements since the start; ``last_refused`` says which was the last and why, ``last_refused_at`` is Unix time.
    """

    name: str
    kind: Literal["config", "bgp", "geographic"]
    state: Literal["up", "down", "loaded"]
    prefixes: int
    refused: int = 0
    last_refused: str = ""
    last_refused_at: float = 0.0
    problem: str = ""


class RoutingStatus(Struct, frozen=True, kw_only=True):
    """The compiled table and the health view of this host. ``overlay``: changes since the table was compiled."""

    version: int
    prefixes_ipv4: int
    prefixes_ipv6: int
    overlay: int
    compiled_at: float
    sources: tuple[SourceStatus, ...]
    health: HealthSnapshot


class Routing(Protocol):
    """What operators ask of the routes of one host."""

    async def explain(self, question: ExplainQuestion, /) -> Explanation: ...
    async def rehearse(self, question: RehearseQuestion, /) -> Rehearsal: ...
    async def status(self, question: Nothing, /) -> RoutingStatus: ...
