"""How long nobody answered."""

from __future__ import annotations

from nearcast.operations.lab.probing import Heard, door, next_answered_s


def test_the_first_answer_of_another_to_a_later_question_counts() -> None:
    heard = [
        Heard(0.990, 0.991, "east"),  # before the fault
        Heard(0.999, 1.004, "east"),  # asked before it
        Heard(1.001, 1.002, "west"),  # the one that failed was not gone at once
        Heard(1.130, 1.150, "east"),
        Heard(1.135, 1.140, "west"),
    ]
    assert next_answered_s(heard, 1.0, "west") == 1.150 - 1.0


def test_where_nobody_answers_it_lasts_for_ever() -> None:
    assert next_answered_s([], 1.0, "west") == float("inf")


def test_who_answers_is_the_door_behind_which_an_appliance_did() -> None:
    head = b"HTTP/1.1 204 No Content\r\nServer: nginx\r\nX-Nearcast-Door: west\r\nConnection: close\r\n\r\n"
    assert door(head) == "west"
    for other in (head.replace(b"204 No Content", b"503 Service Unavailable"), head.replace(b"X-Nearcast-Door", b"X-Other"), b"", b"\xff"):
        assert door(other) == ""
