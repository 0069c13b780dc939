"""Nouns of the fill: what an appliance is to hold, from where it copies it, and how a placement is told to people."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.rendition import File

SourceKind = Literal["peer", "tier", "origin"]


class FillSource(Struct, frozen=True, kw_only=True):
    """Who gives bytes of published files: ``{url}/titles/{title}/{file}`` (and ``{root}.blocks``) for who brings ``token`` as bearer.

    The origin speaks so, and so does every appliance, where ``/held/…`` in place of ``/titles/…`` answers only from what is placed
    there (404 otherwise) and ``/titles/…`` fetches what it lacks from its own parent. ``held_only``: ask for ``/held/…``.
    ``id`` is the appliance's, or ``origin``; ``url`` empty: the origin that the edge's own configuration names.
    """

    id: str
    kind: SourceKind
    url: str = ""
    token: str = ""
    held_only: bool = False


class Hop(Struct, frozen=True, array_like=True):
    """``source`` is an index into Assignment.sources; it may be asked ``after_s`` seconds after the file was first asked for in vain.

    ``awaited``: it is to have the file before the asker. While it answers that it has not got it yet, later hops stay closed.
    """

    source: int
    after_s: float = 0.0
    awaited: bool = False


class FillItem(Struct, frozen=True, kw_only=True):
    """One file that an appliance is to hold. ``route`` is an index into Assignment.routes; ``urgent`` files do not wait for the window."""

    title_id: str
    file: File
    route: int = 0
    urgent: bool = False


ORIGIN = FillSource(id="origin", kind="origin")


class Assignment(Struct, frozen=True, kw_only=True):
    """What the appliance is to hold, in the order in which to fetch it. ``items`` is None where what it holds is to stay as it is; with the
    ``version`` that was asked after, nothing else changed either.

    ``version`` is the same wherever the same is said. ``window_open``: files that are not urgent may be fetched now, and
    for ``window_turns_s`` more seconds (infinite: until further word). ``rate_bps`` bounds what the appliance fetches (0: nothing does).
    ``parents``: who is asked on a miss, best first; empty: the origin that the edge's own configuration names.
    """

    version: int
    items: tuple[FillItem, ...] | None
    generation: int = 0
    sources: tuple[FillSource, ...] = (ORIGIN,)
    routes: tuple[tuple[Hop, ...], ...] = ((Hop(0),),)
    parents: tuple[FillSource, ...] = ()
    window_open: bool = True
    window_turns_s: float = float("inf")
    rate_bps: float = 0.0


class Placement(Struct, frozen=True, kw_only=True):
    """One generation: which files of which titles each appliance is to hold. ``holdings``: appliance id → title id → file names."""

    generation: int
    made_at: float
    holdings: dict[str, dict[str, tuple[str, ...]]]


class SiteMove(Struct, frozen=True, kw_only=True):
    """What a plan changes at one site. ``enter_bytes`` come from outside the site, ``inside_bytes`` from peers; ``seconds`` at its caps.

    ``missing_bytes``: what of the placement before is not there yet, as the appliances tell, whether the plan changes anything or not.
    """

    site: str
    appliances: int
    held_bytes: int
    capacity_bytes: int
    titles_in: int
    titles_out: int
    enter_bytes: int
    inside_bytes: int
    leave_bytes: int
    seconds: float
    opens_in_s: float
    missing_bytes: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """What would move, or moves, to come to a generation. ``origin_bytes`` leave the origin, once for each site that asks it."""

    generation: int
    committed: bool
    sites: tuple[SiteMove, ...]
    origin_bytes: int = 0
    changes: tuple[PlacedChange, ...] = ()


class PlacedChange(Struct, frozen=True, kw_only=True):
    """One title at one appliance: bytes that come and go."""

    appliance: str
    site: str
    title_id: str
    name: str
    in_bytes: int
    out_bytes: int


class ApplianceFill(Struct, frozen=True, kw_only=True):
    """How far one appliance is with its assignment; of one that is silent, by what it told last. ``eta_s`` None: not known, or not moving.

    ``urgent_bytes``: of what is missing, what does not wait for the window.
    """

    appliance: str
    site: str
    state: str
    assigned_bytes: int
    missing_bytes: int
    fill_bps: float
    window_open: bool
    opens_in_s: float
    eta_s: float | None = None
    problem: str = ""
    urgent_bytes: int = 0


class FillStatus(Struct, frozen=True, kw_only=True):
    generation: int
    made_at: float
    appliances: tuple[ApplianceFill, ...]


class Pin(Struct, frozen=True, kw_only=True):
    """A title that must be on every site by ``release_at`` (Unix seconds)."""

    title_id: str
    release_at: float
