"""Sealed ids open only as they were made; the path MAC depends on every part it is bound to."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from nearcast.policy import capability

ROOT = bytes(range(32))
KEY = capability.derive(ROOT, "session")


class Ticket(Struct, frozen=True):
    name: str
    expires_at: float


class Other(Struct, frozen=True):
    name: str
    expires_at: float


@given(name=st.text(max_size=50), nonce=st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens_unchanged(name: str, nonce: bytes) -> None:
    ticket = Ticket(name, 100.0)
    assert capability.unseal(capability.seal(ticket, KEY, nonce), Ticket, KEY, now_s=99.9) == ticket


@given(position=st.integers(0, 200), flip=st.integers(1, 255))
def test_any_altered_byte_is_refused(position: int, flip: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(capability.seal(Ticket("film", 100.0), KEY, b"n" * 12) + "=="))
    raw[position % len(raw)] ^= flip
    with pytest.raises(capability.Unsealable):
        capability.unseal(base64.urlsafe_b64encode(bytes(raw)).decode(), Ticket, KEY, now_s=1.0)


@given(text=st.text(max_size=80))
def test_garbage_is_refused_never_raises_otherwise(text: str) -> None:
    with pytest.raises(capability.Unsealable):
        capability.unseal(text, Ticket, KEY, now_s=1.0)


def test_expired_other_kind_and_other_key_are_refused() -> None:
    sealed = capability.seal(Ticket("film", 100.0), KEY, b"n" * 12)
    with pytest.raises(capability.Expired):
        capability.unseal(sealed, Ticket, KEY, now_s=100.0)
    with pytest.raises(capability.Unsealable):
        capability.unseal(sealed, Other, KEY, now_s=1.0)
    with pytest.raises(capability.Unsealable):
        capability.unseal(sealed, Ticket, capability.derive(ROOT, "token"), now_s=1.0)


def test_path_mac_is_what_secure_link_computes_and_binds_title_expiry_and_appliance() -> None:
    key = capability.edge_key(ROOT, "fra-1")
    expected = base64.urlsafe_b64encode(hashlib.md5(f"{key} 1900000000 t_film {key}".encode()).digest()).decode().rstrip("=")  # noqa: S324  (nginx's own)
    assert capability.edge_mac(key, "t_film", 1_900_000_000) == expected
    assert capability.edge_path(key, "t_film", 1_900_000_000) == f"/v1/{expected}/1900000000/t_film/"
    macs = {
        capability.edge_mac(key, "t_film", 1_900_000_000),
        capability.edge_mac(key, "t_other", 1_900_000_000),
        capability.edge_mac(key, "t_film", 1_900_000_001),
        capability.edge_mac(capability.edge_key(ROOT, "bom-1"), "t_film", 1_900_000_000),
    }
    assert len(macs) == 4


def test_keys_and_paths_have_generations() -> None:
    first, third = capability.edge_key(ROOT, "fra-1"), capability.edge_key(ROOT, "fra-1", 3)
    assert capability.edge_key(ROOT, "fra-1", 0) == first == capability.derive(ROOT, "edge-mac/fra-1").hex()
    assert third == capability.derive(ROOT, "edge-mac/fra-1/3").hex()
    path = capability.edge_path(third, "t_film", 1_900_000_000, 3)
    assert path == f"/v1k3/{capability.edge_mac(third, 't_film', 1_900_000_000)}/1900000000/t_film/"


def test_appliances_copy_from_each_other_by_a_token_of_their_own() -> None:
    tokens = {capability.fill_token(capability.edge_key(ROOT, each)) for each in ("fra-1", "bom-1")}
    assert len(tokens) == 2
    assert all(len(each) == 64 for each in tokens)
    assert not tokens & {capability.edge_key(ROOT, each) for each in ("fra-1", "bom-1")}


def test_expiry_is_twice_the_runtime_and_six_hours() -> None:
    assert capability.edge_expiry_s(1000.5, 5400.0) == 1000 + 10800 + 21600
