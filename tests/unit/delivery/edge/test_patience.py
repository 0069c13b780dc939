"""What is worth a word while the control plane starts, and after it has begun to answer."""

from __future__ import annotations

from nearcast.base.clock import VirtualClock
from nearcast.delivery.edge.patience import START_S, Patience


async def test_a_start_takes_its_time_and_is_told_of_once_when_it_takes_longer() -> None:
    clock = VirtualClock()
    patience = Patience(clock)
    assert not patience.lost()
    await clock.advance(START_S - 0.1)
    assert not patience.lost()
    await clock.advance(0.2)
    assert [patience.lost() for _ in range(3)] == [True, False, False]


async def test_who_answered_before_is_missed_at_once_and_each_time_anew() -> None:
    patience = Patience(VirtualClock())
    for _ in range(2):
        patience.answered()
        assert [patience.lost() for _ in range(2)] == [True, False]
