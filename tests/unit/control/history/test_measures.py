"""What heartbeats say of edges reaches insight, by appliance and session, whatever insight does meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput, NearcastError, Unavailable
from nearcast.control.history import HistoryService, SqliteBookmarks
from nearcast.control.history import measures as module
from nearcast.control.history.measures import SPAN_MAX_S, TELL_S, Telling, measures
from nearcast.control.history.service import ForeignSession
from nearcast.model.quality import Measured, QualityReport
from nearcast.model.services import HeartbeatReport, Nothing, QualityList
from nearcast.model.session import EdgeMeasured, Heartbeat
from nearcast.policy import capability, sessions
from tests.unit.control.helpers import FAST, session

from .test_service import KEY, OneTitle

SESSION = session("t_one")
SEALED = capability.seal(SESSION, KEY, bytes(12))
TAG = sessions.tag(SEALED[:16])


class Listener:
    """A Quality that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Measured] = []
        self.failing: NearcastError | None = None

    async def measured(self, question: QualityReport, /) -> Nothing:
        if self.failing is not None:
            raise self.failing
        self.told += question.measured
        return Nothing()

    async def quality(self, question: Nothing, /) -> QualityList:
        return QualityList(appliances=())


def beat(*edges: EdgeMeasured) -> Heartbeat:
    return Heartbeat(position_s=1.0, edges=edges)


def at(edge: str, watched_s: float = 10.0, stalled_s: float = 0.0, failures: int = 0, throughput_bps: int = 0) -> EdgeMeasured:
    return EdgeMeasured(edge=edge, watched_s=watched_s, stalled_s=stalled_s, failures=failures, throughput_bps=throughput_bps)


def test_a_measure_for_each_edge_that_there_is_something_to_tell_of() -> None:
    found = measures(SEALED, SESSION, beat(at("fra-1", 8.0, 2.0, 1, 5_000_000), at("bom-1", 0.0), at("", 5.0)))
    assert found == [Measured("fra-1", TAG, "a_me", 8.0, 2.0, 1, 5e6, "192.0.0.0/16")]
    assert measures(SEALED, SESSION, beat()) == []
    (absurd,) = measures(SEALED, SESSION, beat(at("fra-1", 1e9, 1e9, 10**9)))
    assert (absurd.watched_s, absurd.stalled_s, absurd.failures) == (SPAN_MAX_S, SPAN_MAX_S, module.FAILURES_MAX)


async def test_they_add_up_until_they_are_told() -> None:
    clock, listener = VirtualClock(), Listener()
    telling = Telling(listener, clock)
    telling.start()
    await asyncio.sleep(0)
    telling.add(measures(SEALED, SESSION, beat(at("fra-1", 10, 1, 0, 2_000_000))))
    telling.add(measures(SEALED, SESSION, beat(at("fra-1", 30, 2, 1, 6_000_000), at("bom-1"))))
    assert listener.told == []
    await clock.advance(TELL_S)
    await asyncio.sleep(0)
    assert [(each.appliance, each.watched_s, each.stalled_s, each.failures, each.throughput_bps) for each in listener.told] == [
        ("fra-1", 40, 3, 1, 5e6),
        ("bom-1", 10, 0, 0, 0),
    ]
    await telling.stop()


async def test_while_insight_is_away_they_wait_and_what_it_refuses_is_given_up() -> None:
    listener = Listener()
    telling = Telling(listener, VirtualClock())
    telling.add(measures(SEALED, SESSION, beat(at("fra-1", 10, 1))))
    listener.failing = Unavailable("insight is away")
    await telling.tell()
    telling.add(measures(SEALED, SESSION, beat(at("fra-1", 10, 1))))
    listener.failing = None
    await telling.tell()
    assert [(each.watched_s, each.stalled_s) for each in listener.told] == [(20, 2)]
    telling.add(measures(SEALED, SESSION, beat(at("fra-1"))))
    listener.failing = BadInput("it makes no sense", hint="do not")
    await telling.tell()
    listener.failing = None
    await telling.tell()
    assert len(listener.told) == 1


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    listener = Listener()
    telling = Telling(listener, VirtualClock())
    for number in range(10):
        telling.add([Measured(f"e{number}", TAG, "a_me", 1.0, 0.0, 0, 0.0)])
    telling.add([Measured("e0", TAG, "a_me", 1.0, 0.0, 0, 0.0)])
    await telling.tell()
    assert [(each.appliance, each.watched_s) for each in listener.told] == [("e0", 2.0), ("e1", 1.0), ("e2", 1.0)]


async def test_a_heartbeat_tells_it_and_a_foreign_one_does_not(tmp_path: Path) -> None:
    clock, listener, catalog = VirtualClock(), Listener(), OneTitle()  # type: ignore[abstract]  # the other methods are not asked
    store = SqliteBookmarks(tmp_path / "history.db", FAST)
    history = HistoryService(store, catalog, session_key=KEY, clock=clock, quality=listener)
    await history.start()
    told = beat(at("fra-1", 7.0))
    with pytest.raises(ForeignSession):
        await history.heartbeat(HeartbeatReport(session_id=SEALED, account_id="a_other", heartbeat=told))
    task = asyncio.create_task(history.heartbeat(HeartbeatReport(session_id=SEALED, account_id="a_me", heartbeat=told)))
    while not task.done():
        await clock.advance(0.1)
        await asyncio.sleep(0.002)
    await clock.advance(TELL_S)
    await asyncio.sleep(0)
    assert [(each.appliance, each.account_id, each.watched_s) for each in listener.told] == [("fra-1", "a_me", 7.0)]
    await history.close()
    store.close()
