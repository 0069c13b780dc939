"""From where the page may fetch besides the gateway: what the configuration names, and every edge that discovery has told of."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.model.services import AppliancesQuestion, Discovery
from nearcast.policy import holdings

EDGES_MAX = 100
POLL_S = 5.0
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_log = structlog.get_logger("gateway")


def joined(known: tuple[str, ...], addresses: Iterable[str]) -> tuple[str, ...]:
    """``known`` and those of ``addresses`` that are origins and nothing more: an edge's report must not write our policy."""
    origins = (each.rstrip("/") for each in addresses)
    return tuple(dict.fromkeys([*known, *(each for each in origins if _ORIGIN.fullmatch(each))]))


def allowed(own: Iterable[str], edges: tuple[str, ...]) -> tuple[str, ...]:
    """What the page may fetch from; empty: from anywhere. That is so while no edge is known, and past ``EDGES_MAX``, where the header
    would be larger than proxies take, until the operator names the edges by a pattern."""
    return tuple(dict.fromkeys([*own, *edges])) if 0 < len(edges) <= EDGES_MAX else ()


class Origins:
    """``own``: uploads and the like; ``edges``: those of the configuration. Learns of others from discovery between ``start`` and
    ``stop``; an edge that was heard of once stays."""

    def __init__(self, discovery: Discovery, own: Iterable[str], edges: Iterable[str], clock: Clock | None = None) -> None:
        self._discovery = discovery
        self._clock = clock or SystemClock()
        self._own = tuple(own)
        self._edges = joined((), edges)
        self._allowed = allowed(self._own, self._edges)
        self._known: dict[str, str] = {}
        """Digests of holdings, which are of no interest here and need not come again."""
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> tuple[str, ...]:
        return self._allowed

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="the gateway asks discovery for edges")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def poll(self) -> None:
        """Ask discovery once. Without an answer the page keeps what it may."""
        try:
            async with asyncio.timeout(POLL_S):
                found = (await self._discovery.appliances(AppliancesQuestion(known=self._known))).appliances
        except (NearcastError, TimeoutError) as error:
            _log.debug("discovery does not tell of edges", error=str(error))
            return
        self._known = holdings.digests(found)
        if len(self._edges) <= EDGES_MAX:
            self._edges = joined(self._edges, (each.report.address for each in found))
            self._allowed = allowed(self._own, self._edges)

    async def _run(self) -> None:
        while True:
            await self.poll()
            await self._clock.sleep(POLL_S)
