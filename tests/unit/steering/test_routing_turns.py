"""Questions while others write, and how long a rehearsal may take: who waits for whom, and what who waits too long is told."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nearcast.base import context
from nearcast.base.clock import SystemClock
from nearcast.model.route import Announcement
from nearcast.model.services import ExplainQuestion, Nothing, PlannedIsp, Rehearsal, RehearseQuestion
from nearcast.steering import routing
from nearcast.steering.announced import BadPlan
from nearcast.steering.routes.reader import TableReader
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.routing import PART, Abandoned, RoutingService, TooWide
from tests.unit.steering.routed import (
    EVERYWHERE,
    ISP,
    PATIENCE_S,
    PREFIXES,
    ROUNDS,
    SETTINGS,
    Sight,
    service,
)

GAP_S = 1e-4
"""Between two announcements: a reader that can never catch up would only be measured for its speed."""


async def test_questions_are_answered_while_an_isp_sends_its_table(tmp_path: Path) -> None:
    """It goes on until enough was answered; the deadline only ends a test in which nothing is answered at all."""
    writer = TableWriter(tmp_path, SETTINGS.sites, SETTINGS.routes, ["riverbank"], log_bytes_max=1 << 30)
    writer.start()
    enough, deadline_s = threading.Event(), time.monotonic() + PATIENCE_S

    def send() -> None:
        for turn in itertools.count():
            for number in range(PREFIXES):
                told = Announcement(
                    prefix=f"20.{number // 256}.{number % 256}.0/24", site="rack", source="riverbank", as_path=(64511,), med=turn
                )
                writer.announce([told])
                time.sleep(GAP_S)
                if turn and (enough.is_set() or time.monotonic() > deadline_s):
                    return

    sending = threading.Thread(target=send)
    asked = RoutingService(SETTINGS, TableReader(tmp_path), Sight(), tuple, lambda: writer.compiled_at)
    often_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns in the midst of everything
    sending.start()
    try:
        for _ in range(ROUNDS):
            assert not (await asked.rehearse(RehearseQuestion(routes=SETTINGS.routes))).moved_total
            assert (await asked.explain(ExplainQuestion(address="20.0.0.9"))).prefix in ("0.0.0.0/0", "20.0.0.0/24")
            assert sending.is_alive()
    finally:
        enough.set()
        sys.setswitchinterval(often_s)
        sending.join()
        writer.close()
    assert (await asked.status(Nothing())).overlay == PREFIXES
    assert (await asked.status(Nothing())).compiled_at == writer.compiled_at


# --- how long a rehearsal may take ------------------------------------------------------------------------------------


class Hasty(SystemClock):
    """Each look at it costs a second."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic_s(self) -> float:
        self._looks += 1
        return float(self._looks)


def limited(patience_s: float) -> RoutingService:
    sight = Sight()
    return RoutingService(SETTINGS, sight, sight, tuple, clock=Hasty(), patience_s=patience_s)


async def test_a_rehearsal_that_takes_too_long_is_given_up_with_a_hint() -> None:
    with pytest.raises(TooWide, match="were not compared in 2 s") as caught:
        await limited(2.0).rehearse(EVERYWHERE)
    assert (caught.value.code, caught.value.status) == ("NC3035", 413)
    assert "busy" in caught.value.hint
    assert (await limited(300.0).rehearse(EVERYWHERE)).moved_total


async def test_a_rehearsal_ends_in_time_for_its_caller_to_be_told() -> None:
    token = context.deadline_s.set(3.0)
    try:
        with pytest.raises(TooWide):
            await limited(300.0).rehearse(EVERYWHERE)
    finally:
        context.deadline_s.reset(token)


async def test_others_have_their_turn_while_what_waits_is_copied() -> None:
    turns, seen = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        for number in range(20 * PART):
            seen.append(turns)
            yield Announcement(prefix=f"20.{number // 256}.{number % 256}.0/24", site="", source=isp, as_path=(64511,))

    sight, working = Sight(), asyncio.create_task(others())
    made = RoutingService(SETTINGS, sight, sight, tuple, held=held)
    more = PlannedIsp(name="riverbank", asn=64511, sites=ISP.sites, allow=ISP.allow, prefixes_max=100_000)
    found = await made.rehearse(RehearseQuestion(isps=(more,)))
    working.cancel()
    assert found.accepted_total == 16 * 256  # as many as the allow list holds
    assert max(seen.count(each) for each in set(seen)) <= PART
    seen.clear()
    await made.rehearse(RehearseQuestion(withdraw=(Announcement(prefix="20.1.0.0/16", site="", source="riverbank"),)))
    assert len(seen) == 2  # no more than could come of it


async def test_the_collector_of_cycles_rests_while_a_rehearsal_goes_on_and_then_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []

    def broken(*_: object) -> Rehearsal:
        enabled.append(gc.isenabled())
        raise BadPlan("it makes no sense")

    monkeypatch.setattr(routing, "rehearsed", broken)
    assert gc.isenabled()
    with pytest.raises(BadPlan):
        await service().rehearse(EVERYWHERE)
    assert (enabled, gc.isenabled()) == ([False], True)


async def test_a_question_that_waits_has_copied_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, sight = threading.Semaphore(0), threading.Event(), Sight()
    looks: list[str] = []

    def slow(*_: object) -> Rehearsal:
        began.release()
        assert go.wait(PATIENCE_S)
        return Rehearsal(moved=(), moved_total=0)

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        looks.append(isp)
        return iter(())

    monkeypatch.setattr(routing, "rehearsed", slow)
    made = RoutingService(SETTINGS, sight, sight, tuple, held=held)
    both = [asyncio.create_task(made.rehearse(RehearseQuestion(asn=0))) for _ in range(2)]
    try:
        assert await asyncio.to_thread(began.acquire, timeout=PATIENCE_S)
        for _ in range(10):
            await asyncio.sleep(0)
        assert looks == ["riverbank"]
    finally:
        go.set()
        await asyncio.gather(*both)
    assert looks == ["riverbank"] * 2


async def test_who_leaves_no_time_is_told_so_at_once() -> None:
    token = context.deadline_s.set(-2.0)
    try:
        with pytest.raises(TooWide, match="not compared in 0 s"):
            await limited(300.0).rehearse(EVERYWHERE)
    finally:
        context.deadline_s.reset(token)


class Endless:
    """A rehearsal that goes on until it may end, whether anybody wants it or not; how many go on at once."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.going, self.most = 0, 0

    def __call__(self, *_: object) -> Rehearsal:
        self.going += 1
        self.most = max(self.most, self.going)
        self.began.release()
        assert self.may_end.acquire(timeout=PATIENCE_S)
        self.going -= 1
        return Rehearsal(moved=(), moved_total=self.most)


async def test_the_next_rehearsal_begins_when_the_thread_of_the_last_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()
    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = service()
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    assert await asyncio.to_thread(endless.began.acquire, timeout=PATIENCE_S)
    second = asyncio.create_task(asked.rehearse(EVERYWHERE))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first  # at once, though its thread goes on
    for _ in range(20):
        await asyncio.sleep(0)
    assert not endless.began.acquire(blocking=False)
    endless.may_end.release(2)
    assert (await second).moved_total == 1


async def test_who_waits_too_long_for_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    endless, sight = Endless(), Sight()
    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = RoutingService(SETTINGS, sight, sight, tuple, patience_s=0.2)
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    assert await asyncio.to_thread(endless.began.acquire, timeout=PATIENCE_S)
    with pytest.raises(TooWide, match="others are rehearsed"):
        await asked.rehearse(EVERYWHERE)
    endless.may_end.release(2)
    assert (await first).moved_total == 1
    assert (await asked.rehearse(EVERYWHERE)).moved_total == 1  # and it is free again


async def test_a_rehearsal_ends_with_its_caller_and_the_next_one_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended, walking = threading.Semaphore(0), threading.Semaphore(0), []

    def endless(*given: object) -> Rehearsal:
        wanted: Callable[[], None] = given[-1]  # type: ignore[assignment]
        walking.append(1)
        began.release()
        try:
            while True:
                wanted()
        except Abandoned:
            ended.release()
            raise

    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = service()
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    await asyncio.to_thread(began.acquire)
    second = asyncio.create_task(asked.rehearse(EVERYWHERE))
    await asyncio.sleep(0.05)
    assert len(walking) == 1
    for each in (first, second):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    assert await asyncio.to_thread(ended.acquire, timeout=PATIENCE_S)
