"""The registry against a model of it: what is there is what was renewed within its lease."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.discovery.registry import Registry

ids = st.sampled_from(["a", "b", "c"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("renew"), ids, st.floats(0.5, 10.0)),
        st.tuples(st.just("drop"), ids, st.just(0.0)),
        st.tuples(st.just("pass"), ids, st.floats(0.0, 8.0)),
        st.tuples(st.just("expire"), ids, st.just(0.0)),
    ),
    max_size=40,
)


@given(steps)
def test_alive_is_what_was_renewed_within_its_lease(todo: list[tuple[str, str, float]]) -> None:
    registry: Registry[str] = Registry()
    known: dict[str, tuple[float, float]] = {}
    now_s = 0.0
    for action, entry_id, number in todo:
        alive = {key for key, (at_s, lease_s) in known.items() if now_s - at_s <= lease_s}
        if action == "renew":
            assert registry.renew(entry_id, entry_id.upper(), lease_s=number, now_s=now_s) is (entry_id not in alive)
            known[entry_id] = (now_s, number)
        elif action == "drop":
            registry.drop(entry_id)
            known.pop(entry_id, None)
        elif action == "pass":
            now_s += number
        else:
            registry.expire(now_s)
        expected = [(key.upper(), now_s - at_s) for key, (at_s, lease_s) in sorted(known.items()) if now_s - at_s <= lease_s]
        assert registry.alive(now_s) == expected


def test_a_full_registry_takes_in_only_in_place_of_what_is_over() -> None:
    registry: Registry[str] = Registry(entries_max=2)
    registry.renew("a", "A", lease_s=1, now_s=0)
    registry.renew("b", "B", lease_s=9, now_s=0)
    registry.renew("b", "B", lease_s=9, now_s=0.5)
    with pytest.raises(OverflowError):
        registry.renew("c", "C", lease_s=9, now_s=1)
    assert registry.renew("c", "C", lease_s=9, now_s=2)
    assert [entry for entry, _ in registry.alive(2)] == ["B", "C"]
