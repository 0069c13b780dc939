"""The BGP sessions of all ISPs: what a message changes, what a lost session keeps for how long. Pure; time is passed in.

A session that ends on purpose (a NOTIFICATION, an expired hold timer) withdraws at once what came from it. One that is merely lost
keeps it ``GRACE_S``, so that a reset TCP connection moves nobody. When our own speaker dies, the ISPs have done nothing: their
prefixes stay ``HELD_S``, the restart time of RFC 4724. A session that comes back has to tell everything again; what it has not
told by its End-of-RIB, or within ``SWEEP_S`` where it sends none, is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from nearcast.model.services import SourceStatus
from nearcast.steering.routes.bgp import EndOfRib, Message, Other, Reason, StateChange, Update
from nearcast.steering.routes.rib import Rib
from nearcast.steering.routes.settings import Isp

GRACE_S = 3.0
HELD_S = 120.0
SWEEP_S = 60.0
_BOTH: frozenset[Literal[4, 6]] = frozenset((4, 6))


class Refusal(NamedTuple):
    """One prefix that an ISP may not announce."""

    isp: str
    router: str
    prefix: str
    reason: Reason


class Turn(NamedTuple):
    """A session that came up or went down, for the log."""

    isp: str
    router: str
    up: bool
    why: str


class _Session:
    """With one router. Times are monotonic seconds; None: nothing is due."""

    def __init__(self, isp: str, router: str) -> None:
        self.isp, self.router = isp, router
        self.up = False
        self.why = "it has not opened its session yet"
        self.told: set[Literal[4, 6]] = set()
        self.drop_at_s: float | None = None
        self.sweep_at_s: float | None = None


class Sessions:
    """All sessions and what they told. ``began_s`` is when our collector started."""

    def __init__(self, isps: Sequence[Isp], own_asn: int, began_s: float) -> None:
        self.ribs = {each.name: Rib(each, own_asn) for each in isps}
        self._sessions: dict[str, _Session] = {}
        for isp in isps:
            for router in isp.routers:
                self._sessions[router] = _Session(isp.name, router)
        self._settle_at_s = began_s + HELD_S
        self._unsettled = set(self.ribs)
        self._last_refused: dict[str, tuple[Refusal, float]] = {}

    @property
    def up(self) -> int:
        """How many sessions are up."""
        return sum(each.up for each in self._sessions.values())

    def stranger(self, message: Message) -> str:
        """The router that the message is from, where it is none of ours; else empty."""
        return "" if isinstance(message, Other) or message.router in self._sessions else message.router

    def receive(self, message: Message, now_s: float, unix_s: float = 0.0) -> tuple[list[Refusal], Turn | None]:
        """Take one message in. ``changes`` tells what it means for the table. ``unix_s``: the time that people are told."""
        if not isinstance(message, Update | StateChange | EndOfRib):
            return [], None
        session = self._sessions.get(message.router)
        if session is None:
            return [], None
        if isinstance(message, StateChange):
            return [], self._turn(session, message, now_s)
        rib = self.ribs[session.isp]
        if isinstance(message, EndOfRib):
            rib.sweep(session.router, message.version)
            session.told.add(message.version)
            return [], None
        refused = [Refusal(session.isp, session.router, prefix, reason) for prefix, reason in rib.apply(message)]
        if refused:
            self._last_refused[session.isp] = refused[-1], unix_s
        return refused, None

    def _turn(self, session: _Session, change: StateChange, now_s: float) -> Turn | None:
        rib = self.ribs[session.isp]
        if change.state == "up":
            rib.begin(session.router)
            session.up, session.why, session.told = True, "", set()
            session.drop_at_s, session.sweep_at_s = None, now_s + SWEEP_S
            return Turn(session.isp, session.router, True, "")
        if change.state == "connected" or not session.up:
            return None
        session.up, session.sweep_at_s = False, None
        session.why = change.reason or "it was lost"
        if change.on_purpose:
            rib.drop(session.router)
        else:
            session.drop_at_s = now_s + GRACE_S
        return Turn(session.isp, session.router, False, session.why)

    def lost(self, why: str, now_s: float) -> None:
        """Our own speaker is gone, and all sessions with it."""
        for each in self._sessions.values():
            if each.up:
                each.up, each.why, each.sweep_at_s = False, why, None
                each.drop_at_s = now_s + HELD_S

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        for each in self._sessions.values():
            if each.drop_at_s is not None and now_s >= each.drop_at_s:
                each.drop_at_s = None
                self.ribs[each.isp].drop(each.router)
            if each.sweep_at_s is not None and now_s >= each.sweep_at_s:
                each.sweep_at_s = None
                each.told.update(_BOTH)
                self.ribs[each.isp].sweep(each.router)

    def settled(self, now_s: float) -> list[str]:
        """ISPs of which everything is known from now on, each told once: what the table has of them from before can go.

        That is when all its routers have told all, or ``HELD_S`` after our start.
        """
        late = now_s >= self._settle_at_s
        found = [isp for isp in self._unsettled if late or self._complete(isp)]
        self._unsettled.difference_update(found)
        return found

    def telling(self, isp: str) -> bool:
        """Whether one of its routers has begun and not ended to tell its table: then much changes, and nothing flaps."""
        return any(each.sweep_at_s is not None and not each.told >= _BOTH for each in self._sessions.values() if each.isp == isp)

    def _complete(self, isp: str) -> bool:
        return all(each.up and each.told >= _BOTH for each in self._sessions.values() if each.isp == isp)

    def sources(self) -> tuple[SourceStatus, ...]:
        """How each ISP stands, by name."""
        return tuple(self._source(rib) for _, rib in sorted(self.ribs.items()))

    def _source(self, rib: Rib) -> SourceStatus:
        mine = [each for each in self._sessions.values() if each.isp == rib.isp.name]
        problems = [_down(each) for each in mine if not each.up] if mine else ["no router is configured"]
        if not rib.isp.sites:
            problems.append("no site serves what it announces: name them as its sites")
        if rib.waiting:
            problems.append(f"{rib.waiting} prefixes wait beyond its maximum of {rib.isp.prefixes_max} ({Reason.MAXIMUM.code})")
        last, at = self._last_refused.get(rib.isp.name, (None, 0.0))
        return SourceStatus(
            name=rib.isp.name,
            kind="bgp",
            state="up" if any(each.up for each in mine) else "down",
            prefixes=rib.prefixes,
            refused=rib.refused.total(),
            last_refused="" if last is None else f"{last.prefix} {last.reason.sentence} ({last.reason.code})",
            last_refused_at=at,
            problem="; ".join(problems),
        )


def _down(session: _Session) -> str:
    kept = "" if session.drop_at_s is None else ", what it told is kept for a while"
    return f"{session.router}: {session.why}{kept}"
