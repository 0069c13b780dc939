"""When a packet leaves a slow line, and how the kernel is spoken to."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from nearcast.operations.lab import delay
from nearcast.operations.lab.delay import Asked, Line


@given(
    gaps=st.lists(st.floats(0, 0.1), min_size=1, max_size=60),
    delay_s=st.floats(0, 0.5),
    jitter_s=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
)
def test_packets_keep_their_order_and_none_leaves_before_it_came(gaps: list[float], delay_s: float, jitter_s: float, seed: int) -> None:
    line, now_s, last_s = Line(delay_s, jitter_s, seed=seed), 0.0, 0.0
    for gap in gaps:
        now_s += gap
        due_s = line.due_s(now_s)
        assert due_s is not None
        assert due_s >= max(now_s, last_s)
        last_s = due_s


def test_without_jitter_each_waits_the_delay() -> None:
    line = Line(0.02)
    assert [line.due_s(each) for each in (1.0, 1.001, 5.0)] == [1.02, 1.021, 5.02]


def test_so_many_are_lost_as_are_asked_for_and_the_same_ones_each_time() -> None:
    lost = [[Line(0, loss=0.1, seed=7).due_s(each) is None for each in (0.0,)] for _ in range(2)]
    assert lost[0] == lost[1]
    line = Line(0.0, loss=0.1, seed=7)
    share = sum(line.due_s(each) is None for each in range(10_000)) / 10_000
    assert 0.09 < share < 0.11


def test_the_ids_of_packets_are_read_from_what_the_kernel_sends() -> None:
    first = delay.message(delay.PACKET, 3, delay.attribute(1, struct.pack(">IHB", 77, 0x0800, 2)))
    other = delay.message(delay.CONFIG, 3, delay.attribute(1, b"\0" * 7))
    second = delay.message(delay.PACKET, 3, delay.attribute(1, struct.pack(">IHB", 4_000_000_000, 0x0800, 2)))
    assert delay.packet_ids(first + other + second) == [77, 4_000_000_000]
    assert delay.packet_ids(b"") == []
    assert delay.packet_ids(b"\0" * 40) == []


def test_a_verdict_names_queue_packet_and_what_becomes_of_it() -> None:
    said = delay.verdict(delay.VERDICT_BATCH, 5, delay.ACCEPT, 9)
    length, kind = struct.unpack_from("=IH", said)
    assert (length, kind) == (len(said), (3 << 8) | 3)
    assert struct.unpack_from(">H", said, 18) == (5,)
    assert struct.unpack_from(">II", said, 24) == (delay.ACCEPT, 9)


def test_arguments_are_in_milliseconds() -> None:
    assert Asked.of("4:15:2:0.01:3") == Asked(4, 0.015, 0.002, 0.01, 3)
