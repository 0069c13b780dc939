"""Licences: a session gets its keys, all of them and no others."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput
from nearcast.control.license import LicenseService, MasterKeys, wrap
from nearcast.control.license.service import LABELS, BadLicenseRequest, NotGranted, WrongSession, decoded_key_ids, granted
from nearcast.control.store import Store
from nearcast.control.store.tables import content_keys
from nearcast.model.rendition import KeyLabel
from nearcast.model.services import GrantQuestion, KeySet, KeySetQuestion, LicenseQuestion
from nearcast.model.session import SessionCapability
from nearcast.policy import capability
from tests.unit.control.helpers import ROOT, new_store, seeded, session

SESSION_KEY = capability.derive(ROOT, "session")
MASTER = bytes(range(100, 132))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def service(store: Store) -> LicenseService:
    return LicenseService(
        store, session_key=SESSION_KEY, master_keys=MasterKeys(lambda: [MASTER]), clock=VirtualClock(), random_bytes=seeded()
    )


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def question(keys: KeySet, *labels: str, sealed: SessionCapability | None = None, **change: object) -> LicenseQuestion:
    session_id = capability.seal(sealed or session(), SESSION_KEY, bytes(12))
    kids = tuple(text_of(each.key_id) for each in keys.keys if each.label in labels)
    plain = LicenseQuestion(session_id=session_id, device_id="device", account_id="a_me", key_ids=kids)
    return msgspec.structs.replace(plain, **change)


async def test_a_title_has_one_key_set_however_many_ask_first(service: LicenseService) -> None:
    sets = await asyncio.gather(*(service.key_set(KeySetQuestion(title_id="t_one")) for _ in range(5)))
    assert [each.label for each in sets[0].keys] == list(LABELS)
    assert all(each == sets[0] for each in sets)
    assert {len(each.key) for each in sets[0].keys} == {len(each.key_id) for each in sets[0].keys} == {16}
    other = await service.key_set(KeySetQuestion(title_id="t_two"))
    assert not {each.key for each in other.keys} & {each.key for each in sets[0].keys}


async def test_one_request_brings_all_that_the_session_may_have(service: LicenseService) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    for asked in (("SD",), ("AUDIO", "SD", "HD", "UHD"), ("UHD", "HD")):
        answer = await service.issue(question(keys, *asked))
        assert answer.type == "temporary"
        expected = {(text_of(each.key_id), text_of(each.key)) for each in keys.keys if each.label != "UHD"}
        assert {(each.kid, each.k) for each in answer.keys} == expected
        assert {each.kty for each in answer.keys} == {"oct"}


async def test_a_session_without_the_label_gets_nothing_of_it(service: LicenseService) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    with pytest.raises(NotGranted) as caught:
        await service.issue(question(keys, "UHD"))
    assert caught.value.status == 403


async def test_keys_of_another_title_are_refused(service: LicenseService) -> None:
    await service.key_set(KeySetQuestion(title_id="t_one"))
    other = await service.key_set(KeySetQuestion(title_id="t_two"))
    with pytest.raises(BadLicenseRequest, match="not one of this session's title"):
        await service.issue(question(other, "SD"))


@pytest.mark.parametrize("change", [{"device_id": "another"}, {"account_id": "a_other"}, {"device_id": ""}, {"account_id": "\ud800"}])
async def test_a_license_is_bound_to_account_and_device(service: LicenseService, change: dict[str, str]) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    with pytest.raises(WrongSession):
        await service.issue(question(keys, "SD", **change))  # type: ignore[arg-type]  # parametrized


async def test_a_session_without_a_device_gets_no_license(service: LicenseService) -> None:
    """It would be bound to nothing: whoever has the session's id could name the same empty device."""
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    with pytest.raises(WrongSession):
        await service.issue(question(keys, "SD", sealed=session(device_id=""), device_id=""))


async def test_an_ended_or_forged_session_is_refused(service: LicenseService) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    with pytest.raises(capability.Expired):
        await service.issue(question(keys, "SD", sealed=session(expires_at=1.0)))
    foreign = capability.seal(session(), bytes(32), bytes(12))
    for session_id in (foreign, "", "x", "\ud800", "a" * 10_000):
        with pytest.raises(capability.Unsealable):
            await service.issue(question(keys, "SD", session_id=session_id))


@pytest.mark.parametrize(
    "kids", [(), ("",), ("!!!!",), ("AAAA",), ("\ud800",), ("A" * 10_000,), ("AAAAAAAAAAAAAAAAAAAAAA",) * 33, ("ü" * 22,)]
)
async def test_a_request_that_is_none_is_bad_input(service: LicenseService, kids: tuple[str, ...]) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    with pytest.raises(BadLicenseRequest):
        await service.issue(question(keys, key_ids=kids))


@given(st.lists(st.text(), max_size=4))
def test_no_key_id_breaks_the_reading(key_ids: list[str]) -> None:
    try:
        assert [len(each) for each in decoded_key_ids(key_ids)] == [16] * len(key_ids)
    except BadInput as error:
        assert error.hint  # noqa: PT017  (both outcomes are right, and each is checked)


@given(st.sets(st.sampled_from(LABELS)), st.integers(0, 5000), st.integers(0, 5000))
def test_more_height_never_means_fewer_keys(labels: set[KeyLabel], one: int, other: int) -> None:
    lower, higher = sorted((one, other))
    assert set(granted(labels, lower)) <= set(granted(labels, higher)) <= labels
    assert "AUDIO" not in labels or "AUDIO" in granted(labels, lower)


@pytest.mark.parametrize(("height", "labels"), [(480, 2), (719, 2), (720, 3), (1080, 3), (2160, 4)])
async def test_a_grant_goes_by_height_and_a_clear_title_has_none(service: LicenseService, height: int, labels: int) -> None:
    await service.key_set(KeySetQuestion(title_id="t_one"))
    assert (await service.grant(GrantQuestion(title_id="t_one", max_height=height))).key_labels == LABELS[:labels]
    assert (await service.grant(GrantQuestion(title_id="t_clear", max_height=height))).key_labels == ()


async def test_the_database_alone_gives_no_key(service: LicenseService, store: Store, tmp_path: Path) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    store.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert all(each.key_id in written for each in keys.keys)
    assert not any(each.key in written for each in keys.keys)


@pytest.mark.parametrize(
    "change", [{"label": "SD2"}, {"title_id": "t_two"}, {"key_id": bytes(16)}, {"sealed_key": bytes(44)}, {"sealed_key": b""}]
)
async def test_a_row_that_was_moved_or_altered_does_not_open(service: LicenseService, store: Store, change: dict[str, object]) -> None:
    keys = await service.key_set(KeySetQuestion(title_id="t_one"))
    sd = next(each for each in keys.keys if each.label == "SD")
    await store.write(
        lambda connection: connection.execute(update(content_keys).where(content_keys.c.key_id == sd.key_id).values(**change))
    )
    with pytest.raises(wrap.KeysSealed):
        await service.key_set(KeySetQuestion(title_id=str(change.get("title_id", "t_one"))))


@pytest.mark.parametrize("title_id", ["", "x" * 33])
async def test_a_key_set_is_for_a_title(service: LicenseService, title_id: str) -> None:
    with pytest.raises(BadInput):
        await service.key_set(KeySetQuestion(title_id=title_id))
