"""The reactive partition's decisions: each policy by examples from its paper, and what must hold for all of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.edge.eviction import Eviction
from nearcast.delivery.edge.shadows import AgingLfu, Lru, S3Fifo, Shadow, TinyLfu

POLICIES: list[Callable[[int], Shadow]] = [
    Lru,
    S3Fifo,
    AgingLfu,
    lambda capacity: TinyLfu(capacity, 0.01),
    lambda capacity: TinyLfu(capacity, 0.4),
]
NAMES = ["LRU", "S3-FIFO", "LFU", "W-TinyLFU", "W-TinyLFU, wide"]
requests = st.lists(st.integers(0, 40), max_size=300)


def size_of(number: int) -> int:
    return 1 + number % 7


def misses(partition: Eviction, trace: list[int]) -> int:
    count = 0
    for number in trace:
        count += str(number) not in partition
        partition.request(str(number), 1)
    return count


def shadow_misses(shadow: Shadow, trace: list[int]) -> int:
    return sum(not shadow.request(str(number), 1) for number in trace)


def zipf(seed: int, *, length: int, objects: int, exponent: float, drift: int = 0) -> list[int]:
    """Requests by Zipf's law; with ``drift`` the most popular object changes each so many requests."""
    source = random.Random(seed)
    weights = [1 / (rank + 1) ** exponent for rank in range(objects)]
    ranks = source.choices(range(objects), weights, k=length)
    return [(rank + (at // drift if drift else 0)) % objects for at, rank in enumerate(ranks)]


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@given(trace=requests, capacity=st.integers(1, 60))
def test_a_policy_holds_what_fits_and_tells_what_it_lets_go(policy: Callable[[int], Shadow], trace: list[int], capacity: int) -> None:
    shadow = policy(capacity)
    held: set[int] = set()
    for number in trace:
        assert shadow.request(str(number), size_of(number)) == (number in held)
        held.add(number)
        held -= {int(gone) for gone in shadow.gone}
        shadow.gone.clear()
        assert {each for each in range(41) if str(each) in shadow} == held
        assert sum(map(size_of, held)) <= capacity


@given(trace=requests, capacity=st.integers(1, 60))
def test_the_partition_never_outgrows_its_capacity_and_names_all_it_lets_go(trace: list[int], capacity: int) -> None:
    partition = Eviction(capacity)
    held: set[str] = set()
    for number in trace:
        gone = partition.request(str(number), size_of(number))
        held.add(str(number))
        assert held >= set(gone)
        held -= set(gone)
        assert set(partition.names()) == held
        assert partition.used_bytes == sum(size_of(int(each)) for each in held) <= capacity


@given(trace=requests, lost=st.sets(st.integers(0, 40)))
def test_what_vanished_is_forgotten(trace: list[int], lost: set[int]) -> None:
    partition = Eviction(50)
    for number in trace:
        partition.request(str(number), size_of(number))
    for number in lost:
        partition.forget(str(number))
    assert not {each for each in partition.names() if int(each) in lost}
    assert partition.used_bytes == sum(size_of(int(each)) for each in partition.names())
    for number in trace:
        partition.request(str(number), size_of(number))
        assert partition.used_bytes <= 50


def test_one_pass_over_much_does_not_displace_what_is_asked_for_again_and_again() -> None:
    scan = [number for at in range(4000) for number in (at % 50, 1000 + at)]
    assert misses(Eviction(100), scan) < 4000 + 200 < shadow_misses(Lru(60), scan)


STEADY = zipf(1, length=20_000, objects=2000, exponent=0.9)
DRIFTING = zipf(2, length=20_000, objects=2000, exponent=1.1, drift=20)


@pytest.mark.parametrize("trace", [STEADY, DRIFTING, DRIFTING + STEADY, STEADY + DRIFTING], ids=["steady", "drift", "settling", "launch"])
def test_the_lead_goes_to_who_does_best(trace: list[int]) -> None:
    ours = misses(Eviction(200), trace)
    alone = {name: shadow_misses(policy(200), trace) for name, policy in zip(NAMES, POLICIES, strict=True)}
    assert ours <= min(alone.values()) + len(trace) / 100, alone


def test_the_lead_changes_with_the_audience() -> None:
    partition = Eviction(200)
    misses(partition, STEADY)
    assert "TinyLFU" in partition.leader
    misses(partition, DRIFTING)
    assert partition.leader == "LRU"


def test_nothing_is_removed_because_the_lead_changes() -> None:
    partition = Eviction(200)
    before: set[str] = set()
    for number in STEADY + DRIFTING:
        leader = partition.leader
        gone = partition.request(str(number), 1)
        if partition.leader != leader:
            assert len(gone) <= 1
            assert set(partition.names()) | set(gone) >= before
        before = set(partition.names())
