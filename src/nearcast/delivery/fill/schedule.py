"""What each appliance fetches, from whom, in which order and when. Pure.

Open Connect's rules: inside a site one appliance, the fill master of a file, brings it in, and the others copy it from there; a site
takes it from the exchange above, and only the exchange from the origin. Who is nearer is asked first, who is further away only after an
escalation delay, which does not run while somebody nearer says that the file is not there yet (fill/sources). So in one generation each
byte enters a site once, and leaves the origin once for each exchange. Masters are chosen by rendezvous hashing of the title (Thaler and
Ravishankar, 1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from nearcast.base.errors import NotFound
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import ORIGIN, Assignment, FillItem, FillSource, Hop, Pin, Placement, SourceKind
from nearcast.model.rendition import File
from nearcast.model.site import ApplianceState
from nearcast.policy import hashing
from nearcast.policy.windows import window_at

SOURCES_MAX = 4
"""Appliances of one site that a route names."""
DOWN_WAIT_S = 10.0
"""So long who is down and has nothing of a title is waited for, in place of peer_wait_s: a restart makes nobody fetch twice."""
LAUNCH_BPS = 100e6
"""What a launch is thought to fetch with where nothing is capped."""
LAUNCH_MARGIN = 2.0


class NotInFleet(NotFound):
    """An appliance asks what it is to hold, and nothing is known of it."""

    code = "NC2041"
    cure = "see `nearcast edges`; an appliance is known once it has reported, and while its site is one of [steering.sites]"


class FillPeer(Struct, frozen=True, kw_only=True):
    """One appliance as the schedule sees it. ``tier``, ``parents`` and ``timezone`` are its site's; ``token`` opens its ``/held`` and
    ``/titles`` below ``url``; the rest is from its last report. ``stuck``: it told of a problem, and does not fetch what it lacks."""

    id: str
    site: str
    tier: Literal["edge", "exchange", "origin"] = "edge"
    parents: tuple[str, ...] = ()
    timezone: str = "UTC"
    url: str
    token: str
    state: ApplianceState = "up"
    stuck: bool = False
    holdings: Mapping[str, int] = {}
    missing_bytes: int = 0
    generation: int = 0


Files = Mapping[str, Mapping[str, File]]
"""Title id → file name → file, a title's files in the order in which to fetch them (Manifest.files)."""


def ranked(key: str, ids: Iterable[str]) -> list[str]:
    """``ids`` in the order of ``key``: the same wherever it is asked, and another for each key."""
    names = sorted(ids)
    order = hashing.preferred(hashing.key(key), [hashing.key(each) for each in names], [1.0] * len(names))
    return [names[place] for place in order]


def urgent_pins(pins: Iterable[Pin], size_bytes: Mapping[str, int], settings: FillSettings, now_s: float) -> frozenset[str]:
    """Titles pinned to a release that can no longer wait for a window: half of the time that is left goes for fetching them.

    ``size_bytes``: what one appliance is to hold of each title. Those that are released before a title are fetched with it or before; a
    title passes two hops, to the exchange and from there.
    """
    caps = [each for each in (settings.appliance_max_bps, settings.site_max_bps) if each]
    rate_bps, bytes_so_far, urgent = min(caps, default=LAUNCH_BPS), 0, 0
    in_order = sorted(pins, key=lambda each: (each.release_at, each.title_id))
    for index, pin in enumerate(in_order, 1):
        bytes_so_far += size_bytes.get(pin.title_id, 0)
        if pin.release_at - now_s <= LAUNCH_MARGIN * 2 * 8 * bytes_so_far / rate_bps:
            urgent = index
    return frozenset(each.title_id for each in in_order[:urgent])


def assignment(
    appliance: str,
    placement: Placement,
    files: Files,
    fleet: Sequence[FillPeer],
    settings: FillSettings,
    now: datetime,
    *,
    urgent: Collection[str] = (),
    order: Sequence[str] = (),
) -> Assignment:
    """What ``appliance`` is to hold, and how it comes to it. ``order``: titles by value, best first; ``urgent`` ones go before them.

    ``items`` is None where the placement does not name the appliance at all: what it holds stays until a placement does.
    Raises NotInFleet and UnknownTimezone.
    """
    own = next((each for each in fleet if each.id == appliance), None)
    if own is None:
        raise NotInFleet(f"nothing is known of the appliance {appliance}")
    window = window_at(settings.window, own.timezone, now)
    router = _Router(own, placement, files, fleet, settings)
    holdings = placement.holdings.get(appliance)
    made = Assignment(
        version=0,
        items=None if holdings is None else _items(holdings, files, router, urgent, order),
        generation=placement.generation,
        sources=tuple(router.sources),
        routes=tuple(router.routes),
        parents=_parents(own, fleet),
        window_open=window.open,
        window_turns_s=window.turns_in_s,
        rate_bps=_rate_bps(own, placement.generation, fleet, settings),
    )
    return msgspec.structs.replace(made, version=_version(made))


def _items(
    holdings: Mapping[str, Collection[str]], files: Files, router: _Router, urgent: Collection[str], order: Sequence[str]
) -> tuple[FillItem, ...]:
    place = {title_id: index for index, title_id in enumerate(order)}
    hurry = frozenset(urgent)
    titles = sorted(holdings, key=lambda each: (each not in hurry, place.get(each, len(place)), each))
    return tuple(
        FillItem(title_id=title_id, file=file, route=router.route(title_id, name, title_id in hurry), urgent=title_id in hurry)
        for title_id in titles
        for wanted in [frozenset(holdings[title_id])]
        for name, file in files.get(title_id, {}).items()
        if name in wanted
    )


class _Router:
    """Works out the route of each file of one appliance; the same ones are named once."""

    def __init__(self, own: FillPeer, placement: Placement, files: Files, fleet: Sequence[FillPeer], settings: FillSettings) -> None:
        self._own = own
        self._placement = placement
        self._files = files
        self._settings = settings
        self._mates = [each for each in fleet if each.site == own.site]
        above = [[each for each in fleet if each.site == site] for site in own.parents if site != own.site]
        self._exchanges = [each for each in above if each] if own.tier == "edge" else []
        self._by_title: dict[tuple[str, str], list[FillPeer]] = {}
        self._sources: dict[FillSource, int] = {}
        self._routes: dict[tuple[Hop, ...], int] = {}
        self._known: dict[tuple[bool, tuple[str, ...]], int] = {}
        """Routes by title and who holds the file: mostly the same for all files of a title."""

    @property
    def sources(self) -> list[FillSource]:
        return list(self._sources) or [ORIGIN]

    @property
    def routes(self) -> list[tuple[Hop, ...]]:
        return list(self._routes) or [(Hop(0),)]

    def route(self, title_id: str, name: str, urgent: bool) -> int:
        """Peers first; the master of a file does not wait for them, and who is behind it in rank waits the longer.

        The delay counts those before us in rank, also one that is away and has a part of the title; one that has nothing of it is waited
        for DOWN_WAIT_S only, and not at all for what is urgent. Those before us, and the exchange, are awaited: they will have the file
        without us.
        """
        holders = self._holders(self._mates, title_id, name)
        above = [self._holders(site, title_id, name) for site in self._exchanges]
        key = (urgent, (title_id, *(each.id for site in (holders, *above) for each in (*site, self._own))))
        if key not in self._known:
            self._known[key] = self._route(title_id, holders, above, urgent)
        return self._known[key]

    def _route(self, title_id: str, holders: Sequence[FillPeer], above: Sequence[Sequence[FillPeer]], urgent: bool) -> int:
        rank = [each.id for each in holders].index(self._own.id)
        peers = [(each, at < rank) for at, each in enumerate(holders) if at != rank]
        hops, after_s = self._hops(title_id, "peer", peers, 0.0), sum(self._wait_s(each, title_id, urgent) for each in holders[:rank])
        for site, holding in zip(self._exchanges, above, strict=True):
            through = [] if holding else [each for each in self._ranked(site, title_id) if each.state != "down"]
            hops += self._hops(title_id, "tier", [(each, bool(holding)) for each in holding or through], after_s)
            after_s += self._settings.tier_wait_s
        hops.append(Hop(self._source(ORIGIN), after_s))
        return self._routes.setdefault(tuple(hops), len(self._routes))

    def _wait_s(self, peer: FillPeer, title_id: str, urgent: bool) -> float:
        """How long one before us in rank is given to bring a file in."""
        if peer.state != "down" or peer.holdings.get(title_id):
            return self._settings.peer_wait_s
        return 0.0 if urgent else min(DOWN_WAIT_S, self._settings.peer_wait_s)

    def _holders(self, site: Sequence[FillPeer], title_id: str, name: str) -> list[FillPeer]:
        return [each for each in self._ranked(site, title_id) if name in self._placement.holdings.get(each.id, {}).get(title_id, ())]

    def _ranked(self, site: Sequence[FillPeer], title_id: str) -> list[FillPeer]:
        key = (site[0].site, title_id)
        if key not in self._by_title:
            by_id = {each.id: each for each in site}
            self._by_title[key] = [by_id[each] for each in ranked(title_id, by_id)]
        return self._by_title[key]

    def _hops(self, title_id: str, kind: SourceKind, peers: Sequence[tuple[FillPeer, bool]], after_s: float) -> list[Hop]:
        """``peers`` and whether they are to have the file before us; where the exchange holds it not, it is asked to pass it through.

        Who is down or stuck gives what it has already (its nginx may well serve), and is not waited for.
        """
        found = []
        for peer, before in sorted(peers, key=lambda each: ("up", "draining", "down").index(each[0].state)):
            able, held_only = peer.state != "down" and not peer.stuck, kind == "peer" or before
            if able or not held_only or self._has(peer, title_id):
                source = FillSource(id=peer.id, kind=kind, url=peer.url, token=peer.token, held_only=held_only)
                found.append(Hop(self._source(source), after_s, before and able))
        return found[:SOURCES_MAX]

    def _has(self, peer: FillPeer, title_id: str) -> bool:
        names = self._placement.holdings.get(peer.id, {}).get(title_id, ())
        files = self._files.get(title_id, {})
        return peer.holdings.get(title_id, 0) >= max(1, sum(files[name].size_bytes for name in names if name in files))

    def _source(self, source: FillSource) -> int:
        return self._sources.setdefault(source, len(self._sources))


def _parents(own: FillPeer, fleet: Sequence[FillPeer]) -> tuple[FillSource, ...]:
    """Who is asked on a miss: of each exchange its appliances in the order of the own site, so that all of it ask the same one first."""
    if own.tier != "edge":
        return ()
    found: list[FillSource] = []
    for site in own.parents:
        by_id = {each.id: each for each in fleet if each.site == site and each.state == "up"}
        in_order = [by_id[each] for each in ranked(own.site, by_id)[:SOURCES_MAX]]
        found += [FillSource(id=each.id, kind="tier", url=each.url, token=each.token) for each in in_order]
    return (*found, ORIGIN) if found else ()


def _rate_bps(own: FillPeer, generation: int, fleet: Sequence[FillPeer], settings: FillSettings) -> float:
    """Its own cap, or its part of the site's, which those share who lack something, or may (their reports are of an older generation)."""
    busy = sum(
        each.site == own.site and each.state != "down" and (each.id == own.id or each.missing_bytes > 0 or each.generation != generation)
        for each in fleet
    )
    caps = [settings.appliance_max_bps, settings.site_max_bps / max(1, busy)]
    return min((each for each in caps if each), default=0.0)


def _version(made: Assignment) -> int:
    """63 bits that name everything an appliance acts on, wherever it was worked out; the seconds until the window turns are not of it."""
    content = msgspec.msgpack.encode(msgspec.structs.replace(made, version=0, window_turns_s=0.0))
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1
