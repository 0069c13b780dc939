"""The Fill service: follows the catalog and tells each appliance what it is to hold. Every instance works it out by itself."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.plan import assign
from nearcast.model.fill import Assignment
from nearcast.model.services import Catalog, ChangesQuestion, FillQuestion
from nearcast.model.title import Publication

WAIT_S = 20.0
WAIT_MAX_S = 30.0
RETRY_S = 0.5
_log = structlog.get_logger("fill")


class FillService:
    """Implements the Fill protocol. ``start`` begins to follow the catalog, ``stop`` ends it."""

    def __init__(self, catalog: Catalog, clock: Clock | None = None) -> None:
        self._catalog = catalog
        self._clock = clock or SystemClock()
        self._titles: dict[str, Publication] = {}
        self._version = -1
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        """The catalog's version that assignments stand on; -1: none yet."""
        return self._version

    async def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="fill follows the catalog")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        """The assignment when its version is not ``after``; else ``items`` None once ``wait_s`` has passed.

        Until the catalog has answered for the first time nothing is known, and nothing is said: an empty assignment would
        have the appliances throw their films away.
        """
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(0.0, question.wait_s), WAIT_MAX_S)):
                    await self._changed.wait_for(lambda: self._version not in (-1, question.after))
            if self._version in (-1, question.after):
                return Assignment(version=question.after, items=None)
            return assign(self._titles.values(), question.appliance, self._version)

    async def _follow(self) -> None:
        after, failed = 0, False
        while True:
            try:
                wait_s = 0.0 if self._version == -1 else WAIT_S
                changes = await self._catalog.changes(ChangesQuestion(after=after, wait_s=wait_s, delta=True))
            except NearcastError as error:
                if not failed:
                    _log.warning("the catalog does not answer; assignments stay as they are", error=error.message, code=error.code)
                failed = True
                await self._clock.sleep(RETRY_S)
                continue
            failed = False
            async with self._changed:
                if changes.version < after:  # the catalog was restored from a backup: begin again
                    self._titles.clear()
                    after, self._version = 0, -1
                    continue
                for each in changes.publications:
                    self._titles[each.title_id] = each
                after = changes.version
                # The first reading may come in several parts; only when it is whole may appliances act on it.
                if self._version != -1 or not changes.publications:
                    self._version = after
                    self._changed.notify_all()
