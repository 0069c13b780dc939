from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.probing import Look
from nearcast.policy.sight import UNSEEN, Sight, after, may_look

LOOKS = st.lists(st.sampled_from(["reached", "refused", "lost"]))


def seen(*looks: Look, needed: int = 2) -> Sight:
    sight = UNSEEN
    for look in looks:
        sight = after(sight, look, needed)
    return sight


def test_so_many_in_a_row_change_it() -> None:
    assert seen("reached").reached
    assert seen("lost").reached is None
    assert seen("lost", "lost") == Sight(False, 0, True)
    assert seen("lost", "refused") == Sight(False, 0, False)
    assert seen("reached", "lost").reached
    assert seen("reached", "lost", "reached", "lost").reached
    assert seen("reached", "lost", "lost").reached is False
    assert seen("reached", "lost", "lost", "reached").reached is False
    assert seen("reached", "lost", "lost", "reached", "lost", "reached").reached is False
    assert seen("reached", "lost", "lost", "reached", "reached").reached
    assert seen("lost", "reached").reached


def test_a_port_that_is_closed_later_is_an_answer() -> None:
    assert seen("lost", "lost", "refused") == Sight(False, 0, False)


@given(LOOKS, st.integers(1, 5))
def test_it_never_changes_without_so_many_in_a_row(looks: list[Look], needed: int) -> None:
    sight, row, last = UNSEEN, 0, None
    for look in looks:
        good = look == "reached"
        row, last = (row + 1 if good == last else 1), good
        now = after(sight, look, needed)
        if now.reached != sight.reached:
            assert now.reached == good
            assert row >= needed or (sight.reached is None and good)
        elif row >= needed:
            assert now.reached == good
        sight = now


def test_only_below_its_own_address() -> None:
    assert may_look("http://a.example:8101", "http://a.example:8101/healthz")
    assert may_look("https://a.example/", "https://a.example/healthz")
    for address, url in [
        ("http://a.example:810", "http://a.example:8101/healthz"),
        ("http://a.example", "http://a.example@b.example/"),
        ("http://a.example", "http://b.example/healthz"),
        ("file:///etc", "file:///etc/passwd"),
        ("", "/healthz"),
        ("http://a.example", "http://a.example"),
        ("http://[nonsense", "http://[nonsense/healthz"),
    ]:
        assert not may_look(address, url)
