"""Ids, units, clocks and the tree of errors."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base import errors
from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.base.ids import is_id, new_id
from nearcast.base.units import bytes_text, duration_text


@given(st.binary(min_size=16, max_size=16))
def test_ids_are_safe_everywhere_and_known_again(random: bytes) -> None:
    made = new_id("t", lambda _: random)
    assert is_id(made, "t")
    assert not is_id(made, "j")
    assert made.isascii()
    assert made.replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["", "t_", "t_abc", "t_../../../../etc/pass", "T_23456789abcdefgh", "t_23456789abcdefg\n"])
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text, "t")


def test_ids_differ() -> None:
    assert len({new_id("t") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000_000, "1.5 GB"), (2.5e15, "2500.0 TB"), (-2000, "-2.0 kB")]
)
def test_sizes(size: float, text: str) -> None:
    assert bytes_text(size) == text


def test_durations() -> None:
    assert [duration_text(each) for each in (-1, 0, 59.6, 123, 3723)] == ["0:00", "0:00", "1:00", "2:03", "1:02:03"]


async def test_a_virtual_clock_stands_until_it_is_moved() -> None:
    clock = VirtualClock(1000.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, duration_s: float) -> None:
        await clock.sleep(duration_s)
        woken.append((name, clock.now_s()))

    tasks = [asyncio.create_task(sleeper(name, duration_s)) for name, duration_s in (("late", 3.0), ("early", 1.0), ("never", 99.0))]
    await asyncio.sleep(0)
    assert woken == []
    await clock.advance(5.0)
    assert woken == [("early", 1001.0), ("late", 1003.0)]
    assert (clock.now_s(), clock.monotonic_s()) == (1005.0, 5.0)
    tasks[2].cancel()


async def test_the_machines_clock_goes_on() -> None:
    clock = SystemClock()
    before = clock.monotonic_s()
    await clock.sleep(0.001)
    assert clock.monotonic_s() > before
    assert clock.now_s() > 1.6e9


def test_an_error_becomes_a_problem() -> None:
    problem = errors.Unauthenticated("who are you").problem("r_1")
    assert (problem.code, problem.status, problem.request_id, problem.hint) == ("NC0004", 401, "r_1", "sign in again")
    assert errors.Unauthenticated("x", hint="another").problem().hint == "another"


def test_the_tree_is_in_order_of_code() -> None:
    codes = [each.code for each in errors.tree()]
    assert codes == sorted(codes)
    assert errors.NearcastError in errors.tree()
