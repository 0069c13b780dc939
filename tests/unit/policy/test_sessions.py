"""What stands for a session and for a client in reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.policy import capability
from nearcast.policy.sessions import SID_CHARACTERS, network, sid, tag
from tests.unit.control.helpers import session


def test_the_sid_is_the_nonce_and_nothing_of_what_is_sealed() -> None:
    nonce = bytes(range(capability.NONCE_BYTES))
    one, two = (capability.seal(session(each), bytes(32), nonce) for each in ("t_one", "t_two"))
    assert one != two
    assert sid(one) == sid(two)
    assert len(sid(one)) * 6 == len(nonce) * 8 == SID_CHARACTERS * 6


@given(st.text(max_size=300))
def test_tags_have_one_length(text: str) -> None:
    assert len(tag(text)) == 11


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("203.0.113.7", "203.0.0.0/16"),
        ("::ffff:203.0.113.7", "203.0.0.0/16"),
        ("2001:db8:1::7", "2001:db8::/32"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_networks_are_coarse(address: str, found: str) -> None:
    assert network(address) == found
