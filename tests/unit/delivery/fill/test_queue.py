from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.fill.queue import NEVER, Queue
from nearcast.delivery.fill.stock import Name

NAMES: list[Name] = [("t", f"{each:02d}") for each in range(20)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 8), st.lists(st.integers(0, 9), max_size=8)), max_size=30))
def test_nothing_is_lost_nothing_comes_twice_and_nothing_comes_early(steps: list[tuple[int, int, list[int]]]) -> None:
    queue, now_s, out, due = Queue(NAMES), 0.0, set[Name](), dict.fromkeys(NAMES, 0.0)
    for passed_s, most, back in steps:
        now_s += passed_s
        taken = queue.take(now_s, most)
        assert taken == sorted(taken)
        assert len(taken) <= most
        assert not out & set(taken)
        assert all(due[name] <= now_s for name in taken)
        ready = [name for name in NAMES if name not in out and due[name] <= now_s]
        assert len(taken) == min(most, len(ready))
        out |= set(taken)
        for name, wait_s in zip(taken, back, strict=False):
            due[name] = now_s + wait_s
            queue.put_back(name, due[name])
            out.discard(name)
        left = [due[name] for name in NAMES if name not in out]
        assert (queue.due_s <= now_s) == any(each <= now_s for each in left)
        assert (queue.due_s == NEVER) == (not left)


def test_strangers_are_passed_over() -> None:
    queue = Queue(NAMES[:1])
    queue.put_back(("t", "other"), 0.0)
    assert queue.take(1.0, 9) == NAMES[:1]
    assert queue.due_s == NEVER


def test_what_is_taken_when_it_is_made_can_be_put_back() -> None:
    queue = Queue([("t", "a"), ("t", "b"), ("t", "c")], taken={("t", "a"), ("t", "c")})
    assert queue.take(0.0, 9) == [("t", "b")]
    assert queue.due_s == NEVER
    queue.put_back(("t", "a"), 5.0)
    assert (queue.take(4.0, 9), queue.due_s, queue.take(5.0, 9)) == ([], 5.0, [("t", "a")])
