"""A catalog in memory that tells its changes a few at a time, and waits only when asked to."""

from __future__ import annotations

import asyncio
from typing import Any

from nearcast.base.errors import Unavailable
from nearcast.model.services import Changes, ChangesQuestion
from nearcast.model.title import Publication


class Library:
    """``log``: the publications in the order of their changes. ``dead``: it does not answer."""

    def __init__(self, *publications: Publication, at_a_time: int = 2) -> None:
        self.log = list(publications)
        self.at_a_time = at_a_time
        self.dead = False
        self.changed = asyncio.Event()

    def add(self, *publications: Publication) -> None:
        self.log += publications
        self.changed.set()
        self.changed = asyncio.Event()

    async def changes(self, question: ChangesQuestion, /) -> Changes:
        if self.dead:
            raise Unavailable("dead")
        assert question.delta
        if question.after >= len(self.log) and question.wait_s:
            await self.changed.wait()
        fresh = self.log[question.after : question.after + self.at_a_time]
        return Changes(version=min(len(self.log), question.after + len(fresh)), publications=tuple(fresh))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody has business with {name} here")
