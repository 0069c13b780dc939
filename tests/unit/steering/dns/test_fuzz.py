"""Packets of every kind of damage: never a crash, never an answer to what is no query, never one larger than the rules allow."""

from __future__ import annotations

from itertools import islice

import dns.message
from bench import dns_fuzz
from msgspec.structs import replace

from nearcast.steering.dns.settings import RateSettings
from tests.unit.steering.dns.making import NOW_S, RESOLVER, SETTINGS, answerer

COUNT = 50_000
"""A million are sent by `python -m bench.dns --fuzz`."""


def test_no_packet_is_answered_wrongly() -> None:
    made = answerer(signed=True, identity="fuzz")
    limited = answerer(replace(SETTINGS, rate=RateSettings(identical_per_s=20, failing_per_s=20)), signed=True)
    answered = 0
    for index, packet in enumerate(islice(dns_fuzz.packets(4, "cdn.example"), COUNT)):
        stream = index % 4 == 0
        answer = made.answer(packet, RESOLVER, NOW_S, stream=stream)
        complaint = dns_fuzz.complaint(packet, answer, stream=stream)
        assert not complaint, f"{complaint}: {packet.hex()}"
        held_back = limited.answer(packet, RESOLVER, NOW_S + index / 100, stream=stream)
        assert not dns_fuzz.complaint(packet, held_back, stream=stream)
        if answer is not None:
            answered += 1
            if index % 10 == 0:
                dns.message.from_wire(answer, question_only=len(answer) == 12)
    assert answered > COUNT / 3


def test_good_packets_in_between_are_answered_as_ever() -> None:
    made = answerer()
    answers = [made.answer(packet, RESOLVER, NOW_S) for packet in islice(dns_fuzz.packets(5, "cdn.example"), 500)]
    assert {0, 1, 3, 4, 5} <= {each[3] & 15 for each in answers if each is not None}
