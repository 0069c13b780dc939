"""Takes the BGP sessions of the ISPs' routers with an ExaBGP of its own, and brings what they tell into the route table.

ExaBGP is a child that dies with us and is started again when it falls; what it hears comes through a named pipe, a line of JSON for
each message. What was told by then stays in the table meanwhile (``sessions``), since no ISP has taken anything back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from msgspec.structs import replace

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Unavailable
from nearcast.base.keep import Keeper
from nearcast.base.processes import user_name, write_atomically
from nearcast.model.route import Announcement
from nearcast.model.services import SourceStatus
from nearcast.steering.routes import peering
from nearcast.steering.routes.bgp import BadMessage, Reason, parse
from nearcast.steering.routes.pace import BATCH_MAX, Pace
from nearcast.steering.routes.rib import Rib
from nearcast.steering.routes.sessions import Refusal, Sessions, Turn
from nearcast.steering.routes.settings import BgpSettings, Isp

TICK_S = 0.25
LINE_BYTES_MAX = 8_000_000
"""The longest message, 65,535 bytes with some 16,000 prefixes (RFC 8654), is a line of about a megabyte."""
READ_BYTES = 262_144
REFUSALS_S = 10.0
"""Each ISP and reason is logged once in so long, with a count of what was left out."""
RETRY_S = 1.0
GOODBYE_S = 3.0
SILENT_S = 2.0 * peering.HOLD_S
"""A router that is up lets us hear a keepalive three times in each hold time: a speaker that passes on nothing for so long is frozen."""
SAID_BYTES = 4_096
LOST = "our BGP speaker is being started anew"
_log = structlog.get_logger("bgp")


class SpeakerFallen(Unavailable):
    """The BGP speaker (ExaBGP) has ended, or does nothing; it is started again."""

    code = "NC3021"
    cure = "exabgp.log says why: is the port of [steering.bgp] taken, or below 1024 without the right to take it (CAP_NET_BIND_SERVICE)?"


class Writer(Protocol):
    """What of the TableWriter is needed here. Each call may block for a while, and raises Unavailable where it changed nothing."""

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> object: ...
    def replace(self, source: str, announcements: Iterable[Announcement]) -> object: ...


class Refusals:
    """Says what was refused, once for each ISP and reason in ``REFUSALS_S``."""

    def __init__(self) -> None:
        self._said_s: dict[tuple[str, Reason], float] = {}
        self._unsaid: dict[tuple[str, Reason], int] = {}

    def say(self, refused: Refusal, now_s: float) -> None:
        key = (refused.isp, refused.reason)
        if now_s - self._said_s.get(key, float("-inf")) < REFUSALS_S:
            self._unsaid[key] = self._unsaid.get(key, 0) + 1
            return
        self._said_s[key] = now_s
        _log.warning(
            "an announcement is refused",
            code=refused.reason.code,
            isp=refused.isp,
            router=refused.router,
            prefix=refused.prefix,
            why=f"{refused.prefix} {refused.reason.sentence}",
            more_before=self._unsaid.pop(key, 0),
        )


class Lines:
    """Bytes as they come become whole lines; one that is longer than ``LINE_BYTES_MAX`` is left out."""

    def __init__(self) -> None:
        self._part = b""
        self._skip = False

    def feed(self, received: bytes) -> list[bytes]:
        *whole, self._part = (self._part + received).split(b"\n")
        if self._skip and whole:
            whole, self._skip = whole[1:], False
        if len(self._part) > LINE_BYTES_MAX:
            self._part, self._skip = b"", True
        return whole


class Collector:
    """``start`` begins to take sessions, ``stop`` ends them. ``folder`` is private to us; ``log`` takes what ExaBGP says."""

    def __init__(
        self, settings: BgpSettings, isps: Sequence[Isp], writer: Writer, folder: Path, log: Path, clock: Clock | None = None
    ) -> None:
        self._settings, self._writer, self._clock = settings, writer, clock or SystemClock()
        self._isps = tuple(isps)
        self._conf, self._pipe_path = folder / "exabgp.conf", folder / "bgp.pipe"
        self._sessions = Sessions(isps, settings.asn, self._clock.monotonic_s())
        self._refusals = Refusals()
        self._lines = Lines()
        self._heard_s = 0.0
        self._log = log
        self._fallen = ""
        self._pipe = -1
        self._news = {each.name: asyncio.Event() for each in isps}
        self._settled: set[str] = set()
        self._hurried_s: dict[str, float] = {}
        self._strangers: set[str] = set()
        self._bulk = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._over: set[str] = set()
        self.keeper = Keeper(
            "exabgp",
            [sys.executable, "-m", "exabgp", "server", str(self._conf)],
            log,
            self._clock,
            environment=peering.environment(str(self._pipe_path), user_name()),
            folder=folder,
            begin=self._open,
        )

    @property
    def wanted(self) -> bool:
        """Whether any session is configured."""
        return bool(self._settings.asn) and any(each.routers for each in self._isps)

    def sources(self) -> tuple[SourceStatus, ...]:
        """How each ISP stands."""
        found, problem = self._sessions.sources(), self._trouble()
        if problem:
            return tuple(replace(each, problem=problem) for each in found)
        return tuple(replace(each, problem="; ".join(filter(None, (self._haste(each.name), each.problem)))) for each in found)

    def held(self, isp: str, *, refused: bool) -> Iterator[Announcement]:
        """What an ISP announces and has not in the table, as ``Rib.held`` tells it."""
        return self._sessions.ribs[isp].held(refused=refused)

    def _haste(self, isp: str) -> str:
        pending = self._sessions.ribs[isp].pending
        if self._sessions.telling(isp):
            return f"it tells its table: {pending:,} changes wait for the rest of it" if pending else ""
        if self._clock.monotonic_s() - self._hurried_s.get(isp, float("-inf")) >= REFUSALS_S:
            return ""
        return f"it changes much: {pending:,} changes wait their turn"

    def _trouble(self) -> str:
        """What keeps all sessions from being taken."""
        if not self._settings.asn:
            return "no sessions are taken: [steering.bgp] asn is 0"
        return "" if self._sessions.up else self._fallen

    def _said(self) -> str:
        """The first thing that the speaker said in its last life, but for good advice."""
        try:
            lines = self._log.read_bytes()[-SAID_BYTES:].decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        advice = [number for number, each in enumerate(lines) if each.startswith("advice")]
        last = lines[advice[-1] + 1 :] if advice else lines
        return f": {' '.join(last[0].split()[1:])}" if last else ""

    async def start(self) -> None:
        """Raises OSError where the folder cannot be written to."""
        if not self.wanted:
            for each in self._isps:  # what an earlier run was told stands for nobody now
                await asyncio.to_thread(self._writer.replace, each.name, ())
            return
        self._conf.touch(mode=0o600)  # it may hold passwords
        write_atomically(self._conf, peering.configuration(self._settings, self._isps).encode())
        self._conf.chmod(0o600)
        self._tasks = [asyncio.create_task(each) for each in (self.keeper.run(), self._tend(), *map(self._follow, self._news))]

    async def wait(self) -> None:
        """Return never while all is well. Raises what ended it: an error of ours; a falling ExaBGP is only started again."""
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    async def stop(self) -> None:
        """End the sessions by a NOTIFICATION and ExaBGP with them. The table keeps what it was told."""
        self._close()
        for each in self._tasks[1:]:
            each.cancel()
        if self._tasks:
            await self.keeper.stop(GOODBYE_S)
            self._tasks[0].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    # --- the pipe -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Before each life of ExaBGP a new pipe: what the last one, or its helper, still has to say is not heard."""
        self._close()
        if self.keeper.restarts:
            fallen = SpeakerFallen(f"the BGP speaker is started again: {self.keeper.last_exit}{self._said()}")
            self._fallen = f"{fallen.message} ({fallen.code})"
            _log.error("the BGP speaker fell", code=fallen.code, error=fallen.message, hint=fallen.hint)
            self._sessions.lost(LOST, self._clock.monotonic_s())  # its end may have stood behind what was not read
        self._lines = Lines()
        self._heard_s = self._clock.monotonic_s()
        self._pipe_path.unlink(missing_ok=True)
        os.mkfifo(self._pipe_path, 0o600)
        self._pipe = os.open(self._pipe_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def _close(self) -> None:
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _read(self) -> None:
        try:
            received = os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return
        now_s = self._heard_s = self._clock.monotonic_s()
        if not received:
            self._close()
            _log.error("the BGP speaker has fallen; what ISPs have told stays for a while", pid=self.keeper.pid)
            self._sessions.lost(LOST, now_s)
            self.keeper.restart("its helper has ended")
            return
        for line in self._lines.feed(received):
            self._hear(line, now_s)
        self._wake()

    def _hear(self, line: bytes, now_s: float) -> None:
        try:
            message = parse(line)
        except BadMessage as error:
            _log.warning("a line of the BGP speaker is left out", code=error.code, error=error.message, hint=error.hint)
            return
        refused, turn = self._sessions.receive(message, now_s, self._clock.now_s())
        for each in refused:
            self._refusals.say(each, now_s)
        stranger = self._sessions.stranger(message)
        if stranger and stranger not in self._strangers:
            self._strangers.add(stranger)
            _log.error("a router is heard that is none of ours, and left out", router=stranger)
        if turn is not None:
            _say(turn)

    # --- the table ----------------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            now_s = self._clock.monotonic_s()
            self._sessions.tick(now_s)
            if self._sessions.up and now_s - self._heard_s >= SILENT_S:
                self._heard_s = now_s
                self.keeper.restart("no keepalive came through it though sessions are up")
            self._settled.update(self._sessions.settled(now_s))
            self._wake()

    def _wake(self) -> None:
        for name, news in self._news.items():
            if self._sessions.ribs[name].pending or name in self._settled:
                news.set()

    async def _follow(self, name: str) -> None:
        """Bring what one ISP changes into the table, in the order in which it was told. Others do not wait for it."""
        rib, pace, news = self._sessions.ribs[name], Pace(), self._news[name]
        telling = False
        while True:
            await news.wait()
            news.clear()
            before, telling = telling, self._sessions.telling(name)
            if before and not telling:
                pace.table_ends(self._clock.monotonic_s())
            if name in self._settled:
                self._settled.discard(name)
                rib.changes()
                async with self._bulk:
                    await self._kept(name, self._writer.replace, name, rib.everything())
            else:
                await self._take(name, rib, pace)
            self._say_maximum(name, rib.waiting, rib.isp.prefixes_max)

    async def _take(self, name: str, rib: Rib, pace: Pace) -> None:
        now_s, pending = self._clock.monotonic_s(), rib.pending
        some = pace.take(pending, now_s)
        if some < pending and not self._sessions.telling(name):
            self._say_haste(name, pending, now_s)
        if not some:
            return
        changes = rib.changes(some)
        if not (changes.announce or changes.withdraw):
            return
        async with self._bulk if some > BATCH_MAX else contextlib.nullcontext():
            await self._kept(name, self._writer.change, changes.announce, changes.withdraw)

    async def _kept(self, isp: str, tell: Callable[..., object], *what: object) -> None:
        """Until the table has it: a disk that is full now has room later."""
        said_s = float("-inf")
        while True:
            try:
                await asyncio.to_thread(tell, *what)
                return
            except Unavailable as error:
                if self._clock.monotonic_s() - said_s >= REFUSALS_S:
                    said_s = self._clock.monotonic_s()
                    _log.error("what an ISP told is not in the table yet", isp=isp, code=error.code, error=error.message, hint=error.hint)
            await self._clock.sleep(RETRY_S)

    def _say_haste(self, isp: str, pending: int, now_s: float) -> None:
        if now_s - self._hurried_s.get(isp, float("-inf")) >= REFUSALS_S:
            self._hurried_s[isp] = now_s
            _log.warning("an ISP changes on and on: what it tells is taken in now and then", isp=isp, waiting=pending)

    def _say_maximum(self, isp: str, waiting: int, most: int) -> None:
        if waiting and isp not in self._over:
            self._over.add(isp)
            code, why = Reason.MAXIMUM.code, f"the ISP announces more than its {most} prefixes; those beyond wait until others go"
            _log.warning("an ISP is beyond its maximum", code=code, isp=isp, waiting=waiting, why=why)
        elif not waiting and isp in self._over:
            self._over.discard(isp)
            _log.info("an ISP is within its maximum again", isp=isp)


def _say(turn: Turn) -> None:
    if turn.up:
        _log.info("a BGP session is up", isp=turn.isp, router=turn.router)
    else:
        _log.warning("a BGP session has ended", isp=turn.isp, router=turn.router, why=turn.why)
