from __future__ import annotations

from typing import NamedTuple

from nearcast.policy import balance
from nearcast.policy.hashing import key
from nearcast.steering.pathway import Demoted, drawn, stays
from nearcast.steering.rank import ABLE, DOWN, DRAINING, FULL

SESSIONS = [key(f"session {number}") for number in range(4000)]


class Place(NamedTuple):
    name: str
    key: int


def test_who_is_well_is_never_left_and_who_is_sick_always() -> None:
    assert all(stays(ABLE, 0.94, each, key("a"), 5.0) for each in SESSIONS)
    assert not any(stays(level, 0.1, each, key("a"), 5.0) for each in SESSIONS for level in (DRAINING, DOWN))


def test_a_full_one_comes_to_its_aim_and_not_below() -> None:
    share, there, now_s = 1.2, SESSIONS, 0.0
    rounds = 0
    while share > balance.AIM + 0.01 and rounds < 20:
        left = [each for each in there if stays(FULL, share, each, key("a"), now_s)]
        assert len(left) >= (1 - balance.LEAVING_MAX - 0.03) * len(there), "never a dump"
        share *= len(left) / len(there)
        there, now_s, rounds = left, now_s + balance.SHIFT_S, rounds + 1
    assert 2 <= rounds <= 4
    assert share > balance.AIM - 0.05


def test_within_one_shift_the_same_are_asked_to_go() -> None:
    early = {each for each in SESSIONS if stays(FULL, 0.96, each, key("a"), 60.0)}
    assert early == {each for each in SESSIONS if stays(FULL, 0.96, each, key("a"), 60.0 + balance.SHIFT_S - 0.1)}
    assert early != {each for each in SESSIONS if stays(FULL, 0.96, each, key("a"), 60.0 + balance.SHIFT_S)}
    assert early != {each for each in SESSIONS if stays(FULL, 0.96, each, key("b"), 60.0)}


def test_draws_are_even() -> None:
    found = [drawn(each, key("a")) for each in SESSIONS]
    assert 0.48 < sum(found) / len(found) < 0.52
    assert all(0 <= each < 1 for each in found)


def test_at_most_a_fifth_is_demoted() -> None:
    site = Place("a", key("a"))
    for share, expected in ((0.0, 0.0), (0.1, 0.1), (0.2, 0.2), (1.0, 0.2)):
        assert abs(sum(Demoted({"a": share}, each)(site) for each in SESSIONS) / len(SESSIONS) - expected) < 0.02
    assert not any(Demoted({"b": 0.2}, each)(site) for each in SESSIONS)
