"""What others want of an appliance, and how it comes about: what it is to hold, whom it asks on misses, its MAC key, whether it drains."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.kept import KeptParents
from nearcast.delivery.edge.patience import Patience
from nearcast.delivery.edge.server import Server
from nearcast.delivery.fill import source
from nearcast.delivery.fill.transfer import Transfers
from nearcast.model.services import Fill, FillQuestion, ReportAnswer

FOLLOW_WAIT_S = 20.0
RETRY_S = (0.3, 5.0)
_log = structlog.get_logger("edge")


class Orders:
    """Two loops: ``follow`` the assignment, and ``carry_out`` what takes nginx seconds, for which nothing else waits.

    ``above``: who gives digests of slices; it is kept to the parents. ``keys``: what nginx takes already.
    """

    def __init__(
        self,
        appliance: str,
        conf: Path,
        server: Server,
        transfers: Transfers,
        opener: source.Opener,
        above: source.FirstOf,
        *,
        fill: Fill,
        clock: Clock,
    ) -> None:
        self._appliance = appliance
        self._server = server
        self._transfers = transfers
        self._opener = opener
        self._above = above
        self._origin = above.sources
        self._fill = fill
        self._clock = clock
        self._kept = KeptParents(conf / "parents.json")
        self._wanted_key: tuple[int, str] | None = None
        self._told = asyncio.Event()
        self.keys = server.keys
        self.draining = False

    async def remember(self) -> None:
        """Ask the parents of before, until the fill tells."""
        await self._server.set_parents(self._kept.load())

    def obey(self, answer: ReportAnswer) -> None:
        """What discovery says to a report."""
        if answer.draining != self.draining:
            _log.warning("draining: nobody new is sent here, films play on" if answer.draining else "no longer draining")
            self.draining = answer.draining
            self._server.changed.set()
        if answer.key and answer.key_generation > self.keys.current.generation and self._wanted_key is None:
            self._wanted_key = (answer.key_generation, answer.key)
            self._told.set()

    async def follow(self) -> None:
        """Keep the assignment up to date; what is held stays while nobody answers."""
        version, delay_s, patience = -1, RETRY_S[0], Patience(self._clock)
        while True:
            try:
                answer = await self._fill.assignment(FillQuestion(appliance=self._appliance, after=version, wait_s=FOLLOW_WAIT_S))
            except NearcastError as error:
                if patience.lost():
                    _log.warning("the fill service does not answer; held films stay", error=error.message, code=error.code)
                await self._clock.sleep(delay_s)
                delay_s = min(RETRY_S[1], delay_s * 2)
                continue
            delay_s = RETRY_S[0]
            patience.answered()
            if answer.version != version:
                version = answer.version
                self._transfers.assign(answer)
                tiers = [self._opener(each) for each in answer.parents if each.url and source.is_safe(each)]
                self._above.sources = (*tiers, *self._origin)
                self._told.set()

    async def carry_out(self) -> None:
        """Have nginx take new parents and keys."""
        while True:
            await self._told.wait()
            self._told.clear()
            try:
                if self._wanted_key is not None:
                    await self._server.set_keys(self._server.keys.rotated(*self._wanted_key))
                    self._wanted_key, self.keys = None, self._server.keys
                if self._transfers.assignment.version != -1:
                    parents = self._transfers.assignment.parents
                    await self._server.set_parents(parents)
                    await asyncio.to_thread(self._kept.save, parents)
            except NearcastError as error:
                _log.error("nginx does not take the change; it is tried again", error=error.message, code=error.code, hint=error.hint)
                await self._clock.sleep(RETRY_S[1])
                self._told.set()
