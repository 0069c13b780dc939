"""What viewers of a whole Nearcast notice: of appliances that fail, a full site, a dead steering service, and changed routes."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from nearcast.base.errors import NearcastError
from nearcast.operations.lab.asking import Asking, above_since_s, changes, rises, settled_s
from nearcast.operations.lab.browser import Seat, seated, watching
from nearcast.operations.lab.internet import wait_for
from nearcast.operations.lab.scenarios.outcome import Row, Told, median_row
from nearcast.operations.lab.system import Seen, System
from nearcast.operations.lab.topology import Scenario
from nearcast.policy import load as load_policy
from nearcast.policy.balance import SHIFT_S

BACK_S = 40.0
SETTLED_S = 2.0
"""An answer that has not changed for so long has settled."""
EXCLUDED_S = 4.0
STANDSTILL_S = 0.5
BEYOND_S = 4.0
"""So much is watched past what was buffered when a fault befell."""
FULL, EASED = 0.96, 0.93
"""To which share of its limit a site is filled; and held then: in the midst between where it is no longer full, and where it refuses."""
DOWNLOADS, PIECE_BYTES, PIECES_PER_S_MAX = 8, 200_000, 40
"""Small pieces: an edge counts an answer when it has ended. More than the line lets through; who is refused does not ask without end."""
PAYLOAD = 0.947
"""The share of a line that an edge counts: 1448 / 1514 of a full Ethernet frame, less what is lost between pieces."""
SESSIONS = 60
"""A full site asks about a tenth of its sessions to leave: of so many, hardly ever none."""
FADES_S = 12.0
"""After so long a session that was given, and brings nothing, is forgotten (policy.balance.GIVEN_FADES_S is 5 s)."""
HELD_S = 6.0
LEAVES_S = 20.0
"""The web player asks for its first steering document after 10 s, and the next segment goes where that says."""
EASY_S = 10.0
"""What is buffered of a film that is to leave in peace: no fault is to be felt, and its start is not to fill the edge."""
ATTEMPTS, AGAIN_S = 5, 1.0
SHIFT_LEFT_S = 20.0
"""So much must be left of the time in which the same sessions are told to leave: the film's start, its first document, and some."""


Answer = dict[str, Any]
"""What Play answered."""


def first(system: System, viewer: str) -> str:
    """The appliance that a viewer who presses Play now is sent to."""
    return system.seen(viewer).appliances[0]


def all_back(system: System, viewer: str) -> bool:
    """Whether the viewer is told of every appliance that may serve them, by a health view that is kept."""
    seen = system.seen(viewer)
    return len(seen.appliances) == len(system.edges) and seen.source == "live"


def without(system: System, id: str) -> Callable[[Seen], bool]:
    """Whether neither the play answer nor the name server's tells of an appliance."""
    address = system.net.plan.address(system.edges[id].node)
    return lambda seen: id not in seen.appliances and address not in seen.addresses


# --- routes -----------------------------------------------------------------------------------------------------------


def prefix_withdrawn(system: System, scenario: Scenario, told: Told) -> list[Row]:
    """An ISP takes one of its two prefixes back from us. ``anna`` is in it, ``bert`` in the other, ``carl`` of another ISP."""
    moved, strayed = [], 0
    for number in range(scenario.repeats):
        wait_for("the ISP's site to be first", lambda: first(system, "anna") == first(system, "bert") == "rack-1", BACK_S, 0.1)
        with ExitStack() as stack:
            asked = {each: stack.enter_context(Asking(_asked_by(system, each))) for each in ("anna", "bert", "carl")}
            time.sleep(0.3)
            fault_s = time.monotonic()
            system.net.birdc("north", "disable", "told_0")
            time.sleep(SETTLED_S)
        moved.append(settled_s(asked["anna"].answers, fault_s, without(system, "rack-1")))
        strayed += sum(changes([answer.what.appliances[:1] for answer in asked[each].answers]) for each in ("bert", "carl"))
        told(f"{scenario.name} {number + 1} of {scenario.repeats}: {moved[-1]:.3f} s, {strayed} others")
        system.net.birdc("north", "enable", "told_0")
    row = median_row("its viewers are sent elsewhere by Play and DNS", moved, scenario, "anna's prefix is withdrawn; asked each 30 ms")
    return [row, Row(what="changes for viewers of other prefixes", figure=strayed, limit=0, unit="")]


def _asked_by(system: System, viewer: str) -> Callable[[], Seen]:
    return lambda: system.seen(viewer)


# --- appliances -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def killed(system: System, id: str) -> Iterator[None]:
    """kill -9 of agent and nginx."""
    system.kill(system.edges[id].pids())
    try:
        yield
    finally:
        system.begin(id)


@contextlib.contextmanager
def frozen(system: System, id: str) -> Iterator[None]:
    """SIGSTOP of agent and nginx: connections stay, and nobody answers."""
    pids = system.edges[id].pids()
    system.freeze(pids)
    try:
        yield
    finally:
        system.thaw(pids)


@contextlib.contextmanager
def cut_off(system: System, id: str) -> Iterator[None]:
    """The cable of its site is a black hole."""
    with system.net.cut(system.edges[id].node):
        yield


FAULTS = {"killed": killed, "frozen": frozen, "cut off": cut_off}


def appliance_fails(system: System, scenario: Scenario, told: Told) -> list[Row]:
    """The appliance that serves a running film fails, in three ways, one after the other."""
    rows: list[Row] = []
    with watching(system, "anna") as film:
        film.hurry()
        for name, fault in FAULTS.items():
            wait_for("every appliance to be offered", lambda: all_back(system, "anna"), BACK_S, 0.2)
            film.settle()
            film.watch()
            id, until_s = film.appliance(), film.buffered_until_s() + BEYOND_S
            with Asking(_asked_by(system, "bert")) as asking:
                film.wait(0.3)
                fault_s = time.monotonic()
                with fault(system, id):
                    went_on = film.wait_past(until_s, BACK_S)
                    film.wait(max(0.0, EXCLUDED_S - (time.monotonic() - fault_s)))
                    excluded_s = settled_s(list(asking.answers), fault_s, without(system, id))
            waited, longest_s = film.stalls()
            stalls = waited if longest_s < STANDSTILL_S and went_on else max(1, waited)
            told(f"{id} {name}: {stalls} stalls (longest standstill {longest_s:.2f} s), excluded after {excluded_s:.2f} s")
            rows.append(Row(what=f"{name}: stalls of the film it served", figure=stalls, limit=0, unit="", note=f"{id}, {longest_s:.2f} s"))
            rows.append(Row(what=f"{name}: Play and DNS exclude it", figure=round(excluded_s, 3), limit=scenario.limit, note=id))
    return rows


# --- load -------------------------------------------------------------------------------------------------------------


class Load:
    """A viewer who downloads from one appliance by curl, as fast as the line lets through: that is as steady as the kernel's token bucket.

    Each download is a playback of its own: where one is refused for a while by an edge past 98 %, the line is the others'.
    """

    def __init__(self, system: System, viewer: str, id: str) -> None:
        self._system, self._viewer = system, viewer
        self._line_bps = next(each.down_bps for each in system.topology.viewers if each.name == viewer)
        folder = system.main.home / "origin" / "titles" / system.title
        name = max(folder.glob("*.mp4"), key=lambda path: path.stat().st_size).name
        answers = [system.play(viewer) for _ in range(DOWNLOADS)]
        offered = [each for answer in answers for each in answer["edges"] if each["pathway"] == id]
        self._urls = [f"{each['base_url']}{name}?again=[1-1000000]" for each in offered]
        self._curls: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """All of them, until ``stop``."""
        command = ["curl", "--silent", "--output", "/dev/null", "--rate", f"{PIECES_PER_S_MAX}/s", "--range", f"0-{PIECE_BYTES - 1}"]
        self._curls = [self._system.net.start(self._viewer, [*command, url], f"curl-{self._viewer}") for url in self._urls]

    def ease(self) -> None:
        """From FULL to EASED."""
        self._system.net.line(self._viewer, self._line_bps * EASED / FULL)

    def stop(self) -> None:
        for each in self._curls:
            each.kill()
            each.wait()
        self._curls.clear()
        self._system.net.line(self._viewer, self._line_bps)

    @property
    def limit_bps(self) -> float:
        """The limit of an edge that this fills to FULL."""
        return self._line_bps * PAYLOAD / FULL


def share(system: System, id: str) -> float:
    """What an appliance sends over its limit, as it says itself."""
    report = system.own_report(id)
    return float(report["sent_bps"]) / float(report["limit_bps"])


def _knows_limit(system: System, id: str) -> bool:
    """Whether an edge that was started anew answers."""
    with contextlib.suppress(NearcastError):
        return share(system, id) < 1
    return False


def site_full(system: System, scenario: Scenario, told: Told) -> list[Row]:
    """Downloads bring a site to 96 % of its limit, and end. Where ``carl`` would be sent is asked of explanations and of DNS all the time,
    of Play itself a few times: each Play counts as a session that will bring load, and so many would fill the site by themselves.

    Of the sessions that were begun before, about a tenth is told to leave. One of those is watched in a browser, from the full site on.
    ``dora`` downloads. ``carl``, who watches, has a slow line, so that what he buffers at first does not fill the edge by itself.
    """
    id = "east-1"
    wait_for("the site to be first", lambda: system.explained("carl") == id, BACK_S, 0.2)
    sessions = [system.play("carl") for _ in range(SESSIONS)]  # before there is a limit: all of them begin there
    load = Load(system, "dora", id)
    system.limit(id, load.limit_bps)
    try:
        faded_s = time.monotonic() + FADES_S
        wait_for("the site to be first again", lambda: _knows_limit(system, id) and system.explained("carl") == id, BACK_S, 0.2)
        with seated(system, "carl") as seat:
            time.sleep(max(0.0, faded_s - time.monotonic()))
            return _full(system, id, load, sessions, seat, scenario, told)
    finally:
        system.limit(id, 0)


def _full(system: System, id: str, load: Load, sessions: list[Answer], seat: Seat, scenario: Scenario, told: Told) -> list[Row]:
    address = system.net.plan.address(system.edges[id].node)
    with Asking(lambda: (system.explained("carl"), system.resolved("carl"))) as asking, Asking(lambda: share(system, id)) as shares:
        time.sleep(0.5)
        load.start()
        try:
            wait_for("the site to be full", lambda: any(each.what >= load_policy.FULL for each in list(shares.answers)), BACK_S, 0.05)
            full_s = next(each.came_s for each in list(shares.answers) if each.what >= load_policy.FULL)
            left_s, leaving, ttl_s = _leaving(system, id, sessions, full_s)
            load.ease()
            film = _film_leaves(system, id, sessions, seat)
            time.sleep(max(0.0, HELD_S - (time.monotonic() - full_s)))
            played = _played_while_full(system, shares)
        finally:
            load.stop()
        ended_s = time.monotonic()
        wait_for("the site to be first again", lambda: asking.answers[-1].what == (id, [address]), BACK_S, 0.1)
        back_s = time.monotonic() - ended_s
        time.sleep(2 * SETTLED_S)
        answers = list(asking.answers)
    away_s = next((each.came_s for each in answers if each.what[0] != id and address not in each.what[1]), float("inf")) - full_s
    moves = changes([each.what[0] for each in answers])
    filled = rises(
        [each.what for each in shares.answers], load_policy.FULL, load_policy.FULL_ENDS
    )  # downloads that want processor time waver
    share_told = f"{len(leaving)} of {SESSIONS}"
    told(f"away {away_s:.2f} s after it said so, {share_told} sessions told to leave, back after {back_s:.1f} s, {moves} changes")
    return [
        Row(
            what="new sessions go elsewhere, by DNS too",
            figure=round(max(0.0, away_s), 3),
            limit=scenario.limit,
            note=f"{id} at {FULL:.0%}",
        ),
        Row(what="Play sends somebody there all the same", figure=int(played == id), limit=0, unit=""),
        Row(what="running sessions are told to leave", figure=round(left_s, 2), limit=ttl_s, note=share_told),
        *film,
        Row(
            what="changes of the first choice, away and back",
            figure=moves,
            limit=2 * max(1, filled),
            unit="",
            note=f"the downloads filled it {filled} times" if filled > 1 else "",
        ),
        Row(what="back after the load has ended", figure=round(back_s, 2), limit=BACK_S),
    ]


def _full_since_s(shares: Asking[float]) -> float:
    return above_since_s(list(shares.answers), load_policy.FULL, load_policy.FULL_ENDS)


def _played_while_full(system: System, shares: Asking[float]) -> str:
    """Where Play sends ``carl`` while the site has been full for a while: downloads that want processor time waver."""
    until_s = time.monotonic() + BACK_S
    played = first(system, "carl")
    while time.monotonic() < until_s:
        wait_for("the site to be full", lambda: time.monotonic() - _full_since_s(shares) > SETTLED_S, BACK_S, 0.1)
        since_s = _full_since_s(shares)
        played = first(system, "carl")
        time.sleep(AGAIN_S)
        if _full_since_s(shares) == since_s:
            break
    return played


def _leaving(system: System, id: str, sessions: list[Answer], since_s: float) -> tuple[float, list[Answer], float]:
    """How long after ``since_s`` the first session that plays from ``id`` was told of another pathway first; all that were; and how many
    seconds lie between two questions of a player then."""
    first_s, leaving, ttl_s = float("inf"), [], system.steering_ttl_s
    for each in sessions:
        order, now_ttl_s = system.pathways("carl", str(each["session_id"]), id)
        if order[0] != id:
            first_s = min(first_s, time.monotonic() - since_s)
            leaving.append(each)
            ttl_s = float(now_ttl_s)
    return first_s, leaving, ttl_s


def _film_leaves(system: System, id: str, sessions: list[Answer], seat: Seat) -> list[Row]:
    """A film of a session that is told to leave, from the full site on.

    Who is called back by a level that ended, or leaves by itself on a machine that is busy, proves nothing: another one is watched then.
    """
    stalls, longest_s, left_s, went = 0, 0.0, float("inf"), id
    for attempt in range(ATTEMPTS):
        if attempt:
            seat.leave()
        _early_in_a_shift()
        if not (leaving := _told_twice(system, id, sessions)):
            break
        began_s = time.monotonic()
        film = seat.play(leaving[0])
        film.hurry(EASY_S)
        film.settle()
        film.watch()
        while film.appliance() == id and time.monotonic() - began_s < BACK_S and film.order()[:1] != [id]:
            film.wait(0.1)
        took_s, went, order = time.monotonic() - began_s, film.appliance(), film.order()
        if went != id and order[:1] == [went]:
            left_s = took_s
            film.wait(BEYOND_S)
            stalls, longest_s = film.stalls()
            break
    stalls = stalls if longest_s < STANDSTILL_S and went != id else max(1, stalls)
    note = f"{id} to {went}; attempt {attempt + 1}"
    return [
        Row(what="a running film follows its document", figure=round(left_s, 2), limit=LEAVES_S, note=note),
        Row(what="stalls of that film", figure=stalls, limit=0, unit="", note=f"longest standstill {longest_s:.2f} s"),
    ]


def _early_in_a_shift() -> None:
    """Wait until enough is left of the window in which the same share of the sessions is told to leave (steering.pathway.stays)."""
    left_s = SHIFT_S - time.monotonic() % SHIFT_S
    time.sleep(left_s + AGAIN_S if left_s < SHIFT_LEFT_S else 0.0)


def _told_twice(system: System, id: str, sessions: list[Answer]) -> list[Answer]:
    """Who is told to leave, and a moment later still: who stands at the edge of the share may be called back."""
    leaving: list[Answer] = []
    until_s = time.monotonic() + BACK_S
    while not leaving and time.monotonic() < until_s:
        _, leaving, _ = _leaving(system, id, sessions, 0.0)
        time.sleep(AGAIN_S)
        _, leaving, _ = _leaving(system, id, leaving, 0.0)
    return leaving


# --- the steering service ---------------------------------------------------------------------------------------------


def steering_dead(system: System, scenario: Scenario, told: Told) -> list[Row]:
    """The process `steer` is frozen, so that nothing starts it anew, then killed; a film runs meanwhile."""
    wait_for("every appliance to be offered", lambda: all_back(system, "anna"), BACK_S, 0.2)
    steer = system.process("steer")
    with watching(system, "anna") as film:
        film.hurry()
        film.settle()
        film.watch()
        until_s = film.buffered_until_s() + BEYOND_S
        with Asking(_asked_by(system, "anna")) as asking:
            film.wait(0.5)
            fault_s = time.monotonic()
            system.freeze([steer.pid])
            went_on = film.wait_past(until_s, BACK_S)
            film.wait(max(0.0, scenario.limit + 2 - (time.monotonic() - fault_s)))
            answers = list(asking.answers)
            system.kill([steer.pid])
            wait_for("steering to be live again", lambda: asking.answers[-1].what.source == "live", BACK_S, 0.1)
        waited, longest_s = film.stalls()
    stalls = waited if longest_s < STANDSTILL_S and went_on else max(1, waited)
    said_s = settled_s(answers, fault_s, lambda seen: seen.source == "last-known")
    told(f"{stalls} stalls, {len(asking.errors)} errors, last-known after {said_s:.2f} s, {len(answers)} answers")
    failed = "; ".join(asking.errors[:1])
    wrong = changes([each.what.appliances[:1] for each in answers])
    return [
        Row(what="stalls of a running film", figure=stalls, limit=0, unit="", note=f"longest standstill {longest_s:.2f} s"),
        Row(what="play and DNS questions without an answer", figure=len(asking.errors), limit=0, unit="", note=failed),
        Row(what="changes of the first choice", figure=wrong, limit=0, unit=""),
        Row(what="answers say last-known", figure=round(said_s, 3), limit=scenario.limit),
    ]
