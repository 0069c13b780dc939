"""Time in which who waits for a sign of life was not run counts for nothing: the rule, and ExaBGP's helper in a time of its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.steering.anycast import relay
from nearcast.steering.anycast.patience import TICK_S, heard_after
from nearcast.steering.anycast.relay import Relay

PATIENCE_S = 1.5
TAKEN_BACK = "neighbor 192.0.2.1 withdraw route 198.51.100.0/24"
ROUTE = TAKEN_BACK.replace("withdraw", "announce") + " next-hop 192.0.2.2"


@given(st.floats(0, 100), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100))))
def test_what_we_were_not_run_counts_for_nothing(heard_s: float, waits: list[tuple[float, float]]) -> None:
    now_s = last_s = heard_s
    for wait_s, late_s in waits:
        due_s = now_s + wait_s
        now_s = due_s + late_s
        last_s = heard_after(last_s, due_s, now_s, signed=False)
    assert now_s - last_s == pytest.approx(sum(wait_s for wait_s, _ in waits), abs=1e-6)
    assert heard_after(last_s, now_s, now_s + 1.0, signed=True) == now_s + 1.0


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_what_wakes_us_early_is_no_sign_of_life(heard_s: float, wait_s: float, early_s: float) -> None:
    assert heard_after(heard_s, heard_s + wait_s, heard_s + wait_s - early_s, signed=False) == heard_s


class Over(Exception):
    """The simulated time is."""


class Machine:
    """A relay in simulated time: signs of life at ``beats_s``, chatter of ExaBGP at ``said_s``; nothing is run from ``frozen_s[0]`` to
    ``frozen_s[1]``, in which timers run out and beats wait."""

    def __init__(self, beats_s: Sequence[float], until_s: float, frozen_s: tuple[float, float], said_s: Sequence[float] = ()) -> None:
        self.now_s, self.until_s, self.frozen_s = 0.0, until_s, frozen_s
        self.beats_s, self.said_s = [0.0, *beats_s], list(said_s)
        self.withdrawn_s: list[float] = []

    def fileno(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now_s

    def select(
        self, read: list[object], write: object, failed: object, wait_s: float | None
    ) -> tuple[list[object], list[object], list[object]]:
        ends_s = self.until_s if wait_s is None else self.now_s + wait_s
        woke_s = max(self.now_s, min(ends_s + 1e-6, *self.beats_s[:1], *self.said_s[:1], self.until_s))
        if woke_s >= self.until_s:
            raise Over
        self.now_s = self.frozen_s[1] if self.frozen_s[0] <= woke_s < self.frozen_s[1] else woke_s
        waiting = (self.beats_s, self.said_s) if woke_s == self.now_s else ((), ())  # the timer was first, and the rest comes next
        return [each for each, since_s in zip(read, waiting, strict=True) if any(at_s <= self.now_s for at_s in since_s)], [], []

    def recv(self, most_bytes: int) -> bytes:
        return b"\n" if self._taken(self.beats_s) else b""

    def read(self, descriptor: int, most_bytes: int) -> bytes:
        return b"{}\n" if self._taken(self.said_s) else b""

    def send(self, data: bytes, flags: int) -> None:
        pass

    def _taken(self, queue: list[float]) -> bool:
        found = [each for each in queue if each <= self.now_s]
        del queue[: len(found)]
        return bool(found)

    def play(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """When the relay withdrew."""
        streams = SimpleNamespace(stdin=self, stdout=self)
        monkeypatch.setattr(relay, "time", self)
        monkeypatch.setattr(relay, "select", self)
        monkeypatch.setattr(relay, "sys", streams)
        monkeypatch.setattr(relay, "os", self)
        channel: Any = self
        made = Relay(channel)
        made.announced = {TAKEN_BACK: ROUTE}
        monkeypatch.setattr(made, "say", lambda line: self.withdrawn_s.append(self.now_s))
        with pytest.raises(Over):
            made.run(PATIENCE_S)
        return self.withdrawn_s


def beats(begin_s: float, end_s: float) -> list[float]:
    return [begin_s + 0.2 * number for number in range(round((end_s - begin_s) / 0.2))]


NEVER = (0.0, 0.0)


@pytest.mark.parametrize("begin_s", [0.55, 0.6, 1.0])
@pytest.mark.parametrize("wait_s", [0.01, 0.05, 0.6])
def test_a_host_that_ran_nothing_for_a_while_withdraws_nothing(begin_s: float, wait_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The announcer was not run either, and is heard a moment after the relay is run again."""
    thawed_s = begin_s + 4.0
    machine = Machine([*beats(0.2, 0.5), *beats(thawed_s + wait_s, 20.0)], 20.0, (begin_s, thawed_s))
    assert machine.play(monkeypatch) == []


def test_an_announcer_that_stays_silent_is_not_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    (at_s,) = Machine(beats(0.2, 1.0), 20.0, (2.0, 6.0)).play(monkeypatch)
    heard_s = beats(0.2, 1.0)[-1]
    assert 4.0 + heard_s + PATIENCE_S - TICK_S <= at_s <= 4.0 + heard_s + PATIENCE_S + TICK_S + 0.01


def test_what_exabgp_says_keeps_nobody_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    (at_s,) = Machine([], 10.0, NEVER, said_s=[0.05 * number for number in range(200)]).play(monkeypatch)
    assert PATIENCE_S < at_s <= PATIENCE_S + TICK_S + 0.01
