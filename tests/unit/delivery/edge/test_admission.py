"""Admission: what is written is bounded whatever is asked for, and what is asked for again and again is kept."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.edge.admission import WRITE_SHARE, Admission, uses_wanted
from nearcast.model.rendition import BLOCK_BYTES

CAPACITY = 256 * BLOCK_BYTES
BURST = CAPACITY / 16


def test_more_is_wanted_while_little_may_be_written() -> None:
    assert [uses_wanted(share * BURST, BURST) for share in (1, 0.5, 0.4, 0.25, 0.2, 0)] == [2, 2, 3, 3, 4, 4]


def test_the_second_time() -> None:
    admission = Admission(CAPACITY)
    assert [admission.request("a", BLOCK_BYTES, fetched) for fetched in (True, False)] == [False, True]
    assert not admission.request("a", BLOCK_BYTES, fetched=True), "once it went, it must be asked for anew"


@given(names=st.lists(st.integers(0, 30), max_size=600), sizes=st.integers(1, BLOCK_BYTES))
def test_no_more_is_written_than_a_share_of_what_was_fetched(names: list[int], sizes: int) -> None:
    admission, fetched, written = Admission(CAPACITY), 0, 0
    for name in names:
        fetched += sizes
        written += sizes * admission.request(str(name), sizes, fetched=True)
        assert written <= BURST + WRITE_SHARE * fetched


def test_what_is_remembered_is_bounded() -> None:
    admission = Admission(CAPACITY)
    admission.request("once", BLOCK_BYTES, fetched=True)
    for number in range(5000):
        admission.request(f"other {number}", BLOCK_BYTES, fetched=True)
    assert not admission.request("once", BLOCK_BYTES, fetched=True), "too long ago"


def test_of_a_long_tail_the_popular_part_is_written() -> None:
    """Zipf's law over 20,000 slices, room for 256: LRU would write all that it fetches; here it is far less, and what is popular."""
    source, admission = random.Random(1), Admission(CAPACITY)
    weights = [1 / (rank + 1) for rank in range(20_000)]
    held: set[str] = set()
    written: list[int] = []
    fetched = 0
    for rank in source.choices(range(20_000), weights, k=60_000):
        name = str(rank)
        if name not in held:
            fetched += 1
            if admission.request(name, BLOCK_BYTES, fetched=True):
                held.add(name)
                written.append(rank)
    assert len(written) < 0.25 * fetched
    assert sorted(written)[len(written) // 2] < 5000
    assert all(str(rank) in held for rank in range(20))
