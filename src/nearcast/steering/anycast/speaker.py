"""Speaks BGP to the site's routers by an ExaBGP of its own, so that what is announced never outlives the one who vouches for it.

Whoever falls, the routes go: we are killed or frozen — the relay withdraws; the relay falls — we end ExaBGP, and its sessions break;
ExaBGP falls — its sessions break; it is frozen — it does not acknowledge, and is ended; all are frozen at once — BFD, which a guard ends
then (guard.py), or the routers' hold timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.base.keep import Keeper
from nearcast.base.processes import user_name, write_atomically
from nearcast.steering.anycast import peering, relay
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.settings import AnycastSettings

BEAT_S = 0.2
PATIENCE_S = 1.5
"""So long without a sign of life from us, and the relay withdraws."""
ACKNOWLEDGED_S, WITHDRAWN_S = 2.0, 0.3
"""So long may ExaBGP take for a command; one that withdraws may take less, since to end it withdraws, too."""
HELD_UP_S = 0.1
"""A beat of ours that comes so late was not run in time."""
GOODBYE_S = 1.0
_log = structlog.get_logger("anycast")


class RouteRefused(NearcastError):
    """ExaBGP does not take a route that it was told to announce."""

    code = "NC3081"
    cure = "see logs/exabgp-anycast.log; a service address and a next hop must be of one family"


def forgiven(pending: Sequence[tuple[float, str]], late_s: float) -> list[tuple[float, str]]:
    """Commands that wait for their acknowledgement, after we were woken ``late_s`` late: nobody can have been heard meanwhile."""
    return [(at_s + late_s, line) for at_s, line in pending] if late_s > HELD_UP_S else list(pending)


class Speaker:
    """``tell`` what is announced; ``run`` keeps ExaBGP and its sessions. ``folder`` is private, and short enough for a socket's path."""

    def __init__(self, settings: AnycastSettings, folder: Path, log: Path, clock: Clock) -> None:
        self.settings = settings
        self.sessions: dict[str, bool] = {each.address: False for each in settings.routers}
        self._clock = clock
        self._offer: Offer | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: list[tuple[float, str]] = []
        self._heard = asyncio.Event()
        self._heard.set()
        self._socket = folder / "anycast-api.sock"
        self._conf = folder / "exabgp.conf"
        self.keeper = Keeper(
            "exabgp",
            [sys.executable, "-m", "exabgp", "server", str(self._conf)],
            log,
            clock,
            environment=_environment(self._socket),
            folder=folder,
            begin=self._begin,
        )

    @property
    def offer(self) -> Offer | None:
        return self._offer

    @property
    def connected(self) -> bool:
        """Whether ExaBGP listens to us."""
        return self._writer is not None

    def tell(self, offer: Offer | None) -> None:
        """Announce this from now on; None withdraws. At once, and again every ``announce_s``."""
        if offer != self._offer:
            self._offer = offer
            self._say_all()

    async def run(self) -> None:
        """Until cancelled or ``stop``."""
        text = peering.configuration(self.settings, [sys.executable, "-I", "-m", relay.__name__])
        self._conf.touch(mode=0o600)
        write_atomically(self._conf, text.encode())
        self._conf.chmod(0o600)
        self._socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._converse, self._socket)
        keeping = [asyncio.create_task(self.keeper.run()), asyncio.create_task(self._beat())]
        try:
            await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
            for each in keeping:
                if each.done() and (error := each.exception()):
                    raise error
        finally:
            for each in keeping:
                each.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            server.close()
            self._socket.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Withdraw, see that it was heard, and end ExaBGP."""
        self.tell(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._heard.wait()
        await self.keeper.stop(GOODBYE_S)

    def _begin(self) -> None:
        self._pending.clear()
        for each in self.sessions:
            self.sessions[each] = False

    async def _beat(self) -> None:
        """Signs of life to the relay, the routes again every so often, and an end to an ExaBGP that does not answer."""
        said_s = now_s = self._clock.monotonic_s()
        while True:
            due_s = now_s + BEAT_S
            await self._clock.sleep(BEAT_S)
            now_s = self._clock.monotonic_s()
            self._pending = forgiven(self._pending, now_s - due_s)
            if self._writer is None:
                continue
            if self._late(now_s):
                self.keeper.restart("it acknowledges nothing")
                self._pending.clear()
                continue
            if now_s - said_s >= self.settings.announce_s and not self._pending:
                said_s = now_s
                self._say_all()
            else:
                self._writer.write(b"\n")

    def _late(self, now_s: float) -> bool:
        return any(now_s - at_s > (WITHDRAWN_S if relay.WITHDRAW in line else ACKNOWLEDGED_S) for at_s, line in self._pending[:1])

    def _say_all(self) -> None:
        if self._writer is None:
            return
        now_s = self._clock.monotonic_s()
        for each in peering.commands(self.settings, self._offer):
            self._pending.append((now_s, each))
            self._heard.clear()
            self._writer.write(each.encode() + b"\n")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """With the relay of one life of ExaBGP."""
        self._writer = writer
        _log.info("ExaBGP listens", pid=self.keeper.pid)
        self._say_all()
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._hear(line.decode("utf-8", "replace"))
        if self._writer is writer:
            self._writer = None
            self._pending.clear()
            self._heard.set()
            self.keeper.restart("its helper has ended")
        writer.close()

    def _hear(self, line: str) -> None:
        answer = peering.answer(line)
        if answer != "other":
            _, said = self._pending.pop(0) if self._pending else (0.0, "")
            if not self._pending:
                self._heard.set()
            if answer == "error" and relay.WITHDRAW not in said:  # a route that was not there cannot be withdrawn, and is not
                refused = RouteRefused(f"ExaBGP refuses: {said}")
                _log.error("a route is not announced", error=refused.message, code=refused.code, hint=refused.hint)
        elif (state := peering.session_state(line)) is not None:
            router, up = state
            if self.sessions.get(router) != up:
                self.sessions[router] = up
                _log.info("BGP session", router=router, up=up)
                if up:  # a new session begins with nothing
                    self._say_all()


def _environment(channel: Path) -> dict[str, str]:
    """ExaBGP's own settings. It goes on as who we are: it opens sessions, and listens nowhere."""
    return {
        "exabgp_api_ack": "true",
        "exabgp_api_cli": "false",
        "exabgp_api_respawn": "false",
        "exabgp_daemon_user": user_name(),
        "exabgp_log_level": "WARNING",
        "exabgp_log_destination": "stdout",
        "exabgp_tcp_bind": "",
        "NEARCAST_ANYCAST_SOCKET": str(channel),
        "NEARCAST_ANYCAST_PATIENCE_S": str(PATIENCE_S),
    }
