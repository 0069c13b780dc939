"""The limit on attempts: within any window at most so many fail, and nobody is locked out for longer than the window."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.accounts.attempts import Attempts, TooManyAttempts, address_key, wait_s

LIMIT = 3
WINDOW_S = 100.0


@given(st.lists(st.floats(0.0, 60.0), max_size=60))
def test_no_window_holds_more_failures_than_the_limit(pauses: list[float]) -> None:
    attempts = Attempts(LIMIT, WINDOW_S)
    now_s, admitted = 0.0, []
    for pause_s in pauses:
        now_s += pause_s
        try:
            attempts.begin("someone", now_s)
        except TooManyAttempts:
            continue
        admitted.append(now_s)
    for position, at_s in enumerate(admitted):
        assert sum(1 for other_s in admitted[position:] if other_s < at_s + WINDOW_S) <= LIMIT


@given(st.lists(st.floats(0.0, 300.0), min_size=1, max_size=30).map(sorted), st.integers(1, 5))
def test_after_the_wait_that_is_told_one_more_is_allowed(times: list[float], limit: int) -> None:
    now_s = times[-1]
    failures = deque(times)
    left_s = wait_s(failures, limit, WINDOW_S, now_s)
    assert 0.0 <= left_s <= WINDOW_S + 1e-9
    assert wait_s(failures, limit, WINDOW_S, now_s + left_s + 1e-6) == 0.0


def test_a_success_is_not_counted() -> None:
    attempts = Attempts(LIMIT, WINDOW_S)
    for moment in range(20):
        attempts.begin("someone", float(moment))
        attempts.succeeded("someone", float(moment))
    attempts.begin("someone", 20.0)


def test_a_success_that_forgets_clears_the_failures_before_it() -> None:
    attempts = Attempts(LIMIT, WINDOW_S)
    for moment in range(LIMIT):
        attempts.begin("someone", float(moment))
    attempts.succeeded("someone", 2.0, forget=True)
    for moment in range(LIMIT):
        attempts.begin("someone", 3.0 + moment)
    with pytest.raises(TooManyAttempts, match="in 2 minutes"):
        attempts.begin("someone", 6.0)


def test_memory_is_bounded_and_the_latest_are_kept() -> None:
    attempts = Attempts(1, WINDOW_S, keys_max=10)
    for number in range(100):
        attempts.begin(f"key {number}", 0.0)
    attempts.begin("key 0", 1.0)
    with pytest.raises(TooManyAttempts):
        attempts.begin("key 99", 1.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("unknown", "unknown", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same
