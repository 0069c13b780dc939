"""How the lab asks a name server, judged by dnspython."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest

from nearcast.operations.lab import dns as asking


def answer(number: int, *addresses: str) -> bytes:
    question = dns.message.from_wire(asking.query(number, "play.cdn.test"))
    made = dns.message.make_response(question)
    if addresses:
        made.answer.append(dns.rrset.from_text("play.cdn.test.", 10, "IN", "A", *addresses))
    return made.to_wire()


def test_a_question_is_one() -> None:
    found = dns.message.from_wire(asking.query(77, "play.cdn.test"))
    assert found.id == 77
    assert found.question[0].to_text() == "play.cdn.test. IN A"


def test_addresses_are_read() -> None:
    assert asking.addresses(answer(5, "192.0.2.2", "192.0.2.1"), 5) == ["192.0.2.1", "192.0.2.2"]
    assert asking.addresses(answer(5), 5) == []


def test_an_answer_to_another_question_is_none() -> None:
    with pytest.raises(ValueError, match="no answer"):
        asking.addresses(answer(5, "192.0.2.2"), 6)
