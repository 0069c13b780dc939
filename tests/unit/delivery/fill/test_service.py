from __future__ import annotations

import asyncio
from typing import Any

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.delivery.fill.service import FillService
from nearcast.model.services import Changes, ChangesQuestion, FillQuestion
from nearcast.model.title import Publication

from ..making import until
from .test_plan import publication, rendition

FILM = publication("t_1", "complete", rendition("a", 1))


class Library:
    """A catalog that tells its changes two at a time, and waits only when asked to."""

    def __init__(self) -> None:
        self.log: list[Publication] = []
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
        fresh = self.log[question.after : question.after + 2]
        return Changes(version=min(len(self.log), question.after + len(fresh)), publications=tuple(fresh))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the fill has no business with {name}")


async def test_assignments_follow_the_catalog() -> None:
    library = Library()
    library.add(*(publication(f"t_{index}", "complete", rendition("a", 1)) for index in range(5)))
    service = FillService(library, VirtualClock())
    await service.start()
    first = await service.assignment(FillQuestion(appliance="a", after=-1, wait_s=5))
    assert first.items is not None
    assert {each.title_id for each in first.items} == {f"t_{index}" for index in range(5)}, "all parts of the first reading"
    same = await service.assignment(FillQuestion(appliance="a", after=first.version))
    assert (same.items, same.version) == (None, first.version)
    waiting = asyncio.create_task(service.assignment(FillQuestion(appliance="a", after=first.version, wait_s=5)))
    await asyncio.sleep(0.01)
    library.add(publication("t_0", "unpublished", rendition("a", 1)))
    second = await waiting
    assert second.items is not None
    assert {each.title_id for each in second.items} == {f"t_{index}" for index in range(1, 5)}
    await service.stop()


async def test_while_the_catalog_is_unknown_nothing_is_said() -> None:
    library, clock = Library(), VirtualClock()
    library.add(FILM)
    library.dead = True
    service = FillService(library, clock)
    await service.start()
    await asyncio.sleep(0.01)
    assert (await service.assignment(FillQuestion(appliance="a", after=3, wait_s=0.05))).items is None
    library.dead = False
    await clock.advance(1.0)
    answer = await service.assignment(FillQuestion(appliance="a", after=3, wait_s=2))
    assert answer.items is not None
    library.dead = True
    assert (await service.assignment(FillQuestion(appliance="a", after=-1))).items == answer.items, "the last known stays"
    await service.stop()


async def test_an_empty_catalog_is_known_at_once() -> None:
    service = FillService(Library(), VirtualClock())
    await service.start()
    answer = await service.assignment(FillQuestion(appliance="a", after=-1, wait_s=5))
    assert answer.items == ()
    await service.stop()


async def test_a_catalog_restored_from_a_backup_is_read_anew() -> None:
    library = Library()
    library.add(FILM, publication("t_2", "complete", rendition("b", 1)))
    service = FillService(library, VirtualClock())
    await service.start()
    await service.assignment(FillQuestion(appliance="a", after=-1, wait_s=5))
    library.log = []
    library.add(FILM)
    await until(lambda: service.version == 1)
    answer = await service.assignment(FillQuestion(appliance="a", after=2, wait_s=5))
    assert answer.items is not None
    assert {each.title_id for each in answer.items} == {"t_1"}
    await service.stop()
