"""The master key: where it comes from, and its rotation, killed at any point."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from nearcast.base.clock import VirtualClock
from nearcast.control.license import LicenseService, MasterKeys, load_master_keys, master, rotate, wrap
from nearcast.control.license.master import ENVIRONMENT, BadMasterKey, next_file
from nearcast.control.store import Store
from nearcast.control.store.tables import content_keys
from nearcast.model.services import KeySet, KeySetQuestion
from tests.unit.control.helpers import new_store, seeded

OLD = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "license-master.key"
    found.write_bytes(OLD)
    return found


def service(store: Store, path: Path) -> LicenseService:
    keys = MasterKeys(lambda: load_master_keys(path, {}))
    return LicenseService(store, session_key=bytes(32), master_keys=keys, clock=VirtualClock(), random_bytes=secrets.token_bytes)


async def key_set(store: Store, path: Path, title_id: str = "t_one") -> KeySet:
    return await service(store, path).key_set(KeySetQuestion(title_id=title_id))


async def test_a_rotation_seals_every_key_anew_and_changes_none(store: Store, path: Path) -> None:
    running = service(store, path)
    before = [await key_set(store, path, title_id) for title_id in ("t_one", "t_two")]
    assert [await running.key_set(KeySetQuestion(title_id="t_one"))] == before[:1]
    assert await rotate(store, path, seeded(9)) == 8
    assert path.read_bytes() != OLD
    assert not next_file(path).exists()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [await key_set(store, path, title_id) for title_id in ("t_one", "t_two")] == before
    assert await running.key_set(KeySetQuestion(title_id="t_two")) == before[1]  # a process that runs finds the new key
    path.write_bytes(OLD)
    with pytest.raises(wrap.KeysSealed) as caught:
        await key_set(store, path)
    assert "license-master.key" in caught.value.hint


async def test_a_rotation_killed_before_its_rename_loses_nothing(store: Store, path: Path) -> None:
    before = await key_set(store, path)
    following = next_file(path)
    following.write_bytes(bytes(reversed(OLD)))
    assert await key_set(store, path) == before  # killed before the transaction
    await store.write(lambda connection: master.rewrap(connection, {wrap.master_id(OLD): OLD}, following.read_bytes(), seeded()))
    assert await key_set(store, path) == before  # killed after it
    fresh = await key_set(store, path, "t_made_meanwhile")
    assert await rotate(store, path, seeded(7)) == 0  # the same rotation, brought to its end; what came meanwhile is the new key's
    assert path.read_bytes() == bytes(reversed(OLD))
    assert (await key_set(store, path), await key_set(store, path, "t_made_meanwhile")) == (before, fresh)


async def test_keys_made_during_a_rotation_are_sealed_under_the_new_key(store: Store, path: Path) -> None:
    """Else one that is made between the transaction and the rename would open under a key that is gone."""
    running = service(store, path)
    await running.key_set(KeySetQuestion(title_id="t_one"))
    new = bytes(reversed(OLD))
    next_file(path).write_bytes(new)
    await store.write(lambda connection: master.rewrap(connection, {wrap.master_id(OLD): OLD}, new, seeded()))
    late = await running.key_set(KeySetQuestion(title_id="t_late"))
    next_file(path).replace(path)
    assert await key_set(store, path, "t_late") == late
    assert await rotate(store, path, seeded(5)) == 8
    assert await running.key_set(KeySetQuestion(title_id="t_late")) == late
    after = await running.key_set(KeySetQuestion(title_id="t_after"))
    assert await key_set(store, path, "t_after") == after, "a process that runs goes over to the new key"


@pytest.mark.parametrize("renamed_after", [1, 2])
async def test_keys_made_while_a_rotation_renames_are_sealed_under_the_new_key(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, renamed_after: int
) -> None:
    """The rename may fall between the two files that are read, or after both: the row opens under the key that is left."""
    running = service(store, path)
    new = bytes(reversed(OLD))
    next_file(path).write_bytes(new)
    real, looks = Path.read_bytes, count(1)

    def read(file: Path) -> bytes:
        content = real(file)
        if next(looks) == renamed_after:
            next_file(path).replace(path)
        return content

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", read)
        late = await running.key_set(KeySetQuestion(title_id="t_late"))
    assert path.read_bytes() == new
    assert await key_set(store, path, "t_late") == late


def test_a_rename_after_the_new_key_was_seen_is_no_bad_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks whether a file is there and opens it then may find that it has just gone."""
    new = bytes(reversed(OLD))
    next_file(path).write_bytes(new)
    real = Path.exists

    def exists(file: Path) -> bool:
        found = real(file)
        if file == next_file(path) and found:
            file.replace(path)
        return found

    monkeypatch.setattr(Path, "exists", exists)
    assert load_master_keys(path, {})[-1] == new


def test_a_thread_that_looked_before_the_rotation_does_not_bring_the_old_key_back(monkeypatch: pytest.MonkeyPatch) -> None:
    new = bytes(reversed(OLD))
    real, looks = wrap.master_id, [[OLD], [OLD, new], [OLD]]
    keys = MasterKeys(lambda: looks.pop(0))

    def named(key: bytes) -> str:
        if key == new and looks:  # the writer has seen the new key when a reader ends a look that it began before
            with pytest.raises(wrap.KeysSealed):
                keys.by_id("unknown")
        return real(key)

    monkeypatch.setattr(wrap, "master_id", named)
    assert keys.current == new
    assert [keys.by_id(real(each)) for each in (OLD, new)] == [OLD, new]


async def test_a_rotation_killed_while_it_writes_the_new_key_leaves_no_part_of_it(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await key_set(store, path)

    def killed(_descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            await rotate(store, path, seeded(3))
    assert not next_file(path).exists()
    assert await key_set(store, path) == before
    assert await rotate(store, path, seeded(3)) == 4
    assert await key_set(store, path) == before


async def test_a_rotation_without_the_old_key_changes_nothing(store: Store, path: Path) -> None:
    await key_set(store, path)
    rows = await store.read(lambda connection: connection.execute(select(content_keys)).all())
    path.write_bytes(bytes(32))
    with pytest.raises(wrap.KeysSealed):
        await rotate(store, path, seeded())
    assert await store.read(lambda connection: connection.execute(select(content_keys)).all()) == rows


def test_the_environment_goes_before_the_file(path: Path) -> None:
    assert load_master_keys(path, {}) == [OLD]
    assert load_master_keys(path, {ENVIRONMENT: bytes(32).hex()}) == [bytes(32)]


@pytest.mark.parametrize("text", ["xyz", "00", "00" * 33])
def test_a_master_key_that_is_none_is_told(path: Path, text: str) -> None:
    with pytest.raises(BadMasterKey) as caught:
        load_master_keys(path, {ENVIRONMENT: text})
    assert text not in caught.value.message or len(text) < 4
    path.write_bytes(b"short")
    with pytest.raises(BadMasterKey, match="5 bytes"):
        load_master_keys(path, {})
    path.unlink()
    with pytest.raises(BadMasterKey, match="cannot read"):
        load_master_keys(path, {})
