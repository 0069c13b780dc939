"""Which server of a site gets a session: load spread evenly over servers of unequal size, titles kept where they are. Pure.

A title has an order of servers (``hashing.preference``: weighted rendezvous). Its first ones are its places: two of them while
little is asked of it, more as it is asked for more, so that no title brings a server more than a ``1 / SPREAD``th of its fair share.
Two places are looked at for each session and the less loaded one is taken (power of two choices: Mitzenmacher 1996), the usual one
unless it is clearly the fuller: so a title of the long tail stays in one page cache, and nothing flaps. Whoever is above
``1 + EPSILON`` times the mean is passed over for the next place in order (bounded loads: Mirrokni, Thorup, Zadimoghaddam 2018).

Places depend on the title's order and its demand alone, never on load: a server that goes moves only the titles that it had.
Loads are what servers reported, and on top what was given since: reports are old, and between two of them everybody would
otherwise be sent to whoever was the least loaded in the last one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from nearcast.policy import hashing
from nearcast.policy.load import FULL

SESSION_BPS = 6e6
"""What a session that was just given is reckoned to bring, until it is seen in a report."""
GIVEN_FADES_S = 5.0
"""Time constant with which sessions given are forgotten: reports are smoothed over about as long."""
LIMIT_BPS = 10e9
"""What a server is weighed by while nobody at its site knows a limit."""

EPSILON = 0.2
"""Above the mean load by so much, a server gets only what no other has room for."""
CLEARLY = 0.15
"""A place is fuller than another only if it is by so much of the mean, and by ``SLACK`` sessions."""
SLACK = 2
SPREAD = 8.0
"""A title's places have together so many times the weight that its share of all demand asks for."""
PRIOR = 100.0
"""Sessions of other titles reckoned with before any were seen: the first few must not look like the whole demand."""

AIM = 0.85
"""To which running sessions are taken from a full server."""
LEAVING_MAX = 0.25
"""The share of its sessions that leaves at once, at most."""
LEAVING_UNKNOWN = 0.1
"""The share that leaves a server which says that it is full without a limit by which to reckon how much that is."""
SHIFT_S = 30.0
"""For so long the same sessions are asked to leave; what it brought is seen before others are."""

PROBATION_S, SLOW_START_S = 5.0, 60.0
GROWTH_MIN = 0.05
"""What a newcomer is given of its fair share at first, for PROBATION_S; then evenly more, all of it after SLOW_START_S."""
UNHEARD = 0.5
"""What somebody is given of it whose own reports are missing: that it serves others vouch for, of its load nobody knows."""


class Server:
    """What is reckoned of one server between two reports; changed in place by ``Group`` alone.

    ``load`` is sent bits over ``weight`` bits per second, sessions given since included; ``unit`` is what one session adds to it.
    ``growth`` (up to 1): its share as a newcomer. ``able``: may get new sessions. ``known``: its limit is.
    """

    __slots__ = ("able", "given", "growth", "id", "known", "load", "unit", "up", "weight")

    def __init__(self, name: str, weight: float, *, known: bool = True) -> None:
        self.id = name
        self.weight = weight
        self.known = known
        self.unit = SESSION_BPS / weight
        self.load = 0.0
        self.given = 0.0
        self.growth = 1.0
        self.up = True
        self.able = True


S = TypeVar("S", bound=Server)


class Group(Generic[S]):
    """The servers of one site. ``mean`` is their load by weight; ``asked`` counts the sessions that were given, fading."""

    __slots__ = ("asked", "mean", "servers", "total")

    def __init__(self, servers: Sequence[S]) -> None:
        self.servers = servers
        self.asked = 0.0
        self.mean = 0.0
        self.total = 0.0

    def settle(self) -> None:
        """After loads changed. Newcomers are held against the oldest: where all are new, none is."""
        total = sent = oldest = 0.0
        for each in self.servers:
            if each.up:
                total += each.weight
                sent += each.load * each.weight
                if each.growth > oldest:
                    oldest = each.growth
        self.total = total
        self.mean = sent / total if total else 0.0
        if oldest < 1.0:
            for each in self.servers:
                if each.up:
                    each.growth /= oldest

    def wide(self, order: Sequence[int], demand: float) -> bool:
        """Whether a title of this ``order`` and ``demand`` has more than the two places of any title."""
        return len(order) > 1 and demand * SPREAD * self.total > self.servers[order[0]].weight * (self.asked + PRIOR)

    def give(self, server: Server) -> None:
        """A new session goes to ``server``."""
        server.given += 1.0
        server.load += server.unit
        if self.total:
            self.mean += SESSION_BPS / self.total
        if server.known and server.load >= FULL:
            server.able = False
        self.asked += 1.0


def growth(age_s: float, *, heard: bool = True) -> float:
    """How much of its fair share a server gets that came up ``age_s`` ago."""
    if not heard:
        return UNHEARD * growth(age_s)
    if age_s >= SLOW_START_S:
        return 1.0
    return GROWTH_MIN + (1 - GROWTH_MIN) * max(0.0, age_s - PROBATION_S) / (SLOW_START_S - PROBATION_S)


def leaving(share: float) -> float:
    """The share of its running sessions that a full server is to lose by and by, so that it comes to AIM. ``share`` 0: not known."""
    if share <= 0:
        return LEAVING_UNKNOWN
    return min(LEAVING_MAX, max(0.0, 1 - AIM / share))


def faded(given: float, elapsed_s: float) -> float:
    """What is left of sessions given ``elapsed_s`` ago that is not in the reports yet."""
    return given * math.exp(-max(0.0, elapsed_s) / GIVEN_FADES_S)


def weights(limits_bps: Iterable[float]) -> list[float]:
    """By what servers are weighed: their limits; who tells none (0) counts as the mean of those that do."""
    limits = list(limits_bps)
    known = [each for each in limits if each > 0]
    usual = sum(known) / len(known) if known else LIMIT_BPS
    return [each if each > 0 else usual for each in limits]


def choose(group: Group[S], order: Sequence[int], demand: float, name: str, home: int = 0) -> S | None:
    """The server for one more session of a title. None: nobody in ``order`` is able.

    ``order``: servers of the group by index, as the title prefers them. ``demand``: how many of ``group.asked`` were for this title.
    ``name`` tells the session from all others. ``home`` (0 or 1): which of the first two has had the title, while one is enough for it.
    """
    servers = group.servers
    if len(order) == 1:
        one = servers[order[0]]
        return one if one.able else None
    if demand and group.wide(order, demand):
        first, second = _drawn(group, order, demand, hashing.key(name))
        one, two = servers[order[first]], servers[order[second]]
        index = first
    else:
        one, two = servers[order[home]], servers[order[1 - home]]
        index = 0
    if not (one.able and two.able) or one is two:
        able = [servers[each] for each in (*order[index:], *order[:index]) if servers[each].able]
        if not able:
            return None
        one = one if one.able else able[0]
        two = two if two.able and two is not one else next((each for each in able if each is not one), one)
    mean = group.mean
    if one.load / one.growth > two.load / two.growth + CLEARLY * mean + SLACK * two.unit:
        one = two
    if one.load <= (1 + EPSILON) * mean * one.growth + SLACK * one.unit:  # _bound, without a call
        return one
    able = [servers[each] for each in order if servers[each].able]
    return next((each for each in able if each.load <= _bound(each, mean)), None) or min(able, key=lambda each: each.load / each.growth)


def _drawn(group: Group[S], order: Sequence[int], demand: float, seed: int) -> tuple[int, int]:
    """Two of a title's places for a session of this ``seed`` (64 bits), each by its weight. They are as many as it is asked for."""
    wanted = SPREAD * group.total * demand / (group.asked + PRIOR)
    reach: list[float] = []
    total = 0.0
    for each in order:
        total += group.servers[each].weight
        reach.append(total)
        if total >= wanted and len(reach) > 1:
            break
    return bisect_left(reach, (seed & 0xFFFFFFFF) * 2.0**-32 * total), bisect_left(reach, (seed >> 32) * 2.0**-32 * total)


def _bound(server: Server, mean: float) -> float:
    """Up to where it is taken for one more: bounded loads count whole sessions, so that small servers have room for some."""
    return (1 + EPSILON) * mean * server.growth + SLACK * server.unit
