"""The master key: where it is kept, and how it is changed without a moment in which the keys cannot be opened.

A rotation writes the new key beside the old one (``….next``), seals every row anew in one transaction, then renames. Killed
at any point, one of the two files opens every row, and both are read. From the moment that the new key is there, new rows are
sealed under it: else one that is made between the transaction and the rename would be left to a key that is about to go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Connection, select, update

from nearcast.base.errors import BadInput
from nearcast.base.ids import RandomBytes
from nearcast.control.license import wrap
from nearcast.control.store import Store
from nearcast.control.store.tables import content_keys

ENVIRONMENT = "NEARCAST_LICENSE_MASTER_KEY"
"""Holds the key as 64 hex digits, where it is not in a file."""


class BadMasterKey(BadInput):
    """The license master key cannot be read, or is not 32 bytes."""

    code = "NC4302"
    cure = f"give 32 bytes in the file, or 64 hex digits in {ENVIRONMENT}"


def load_master_keys(path: Path, environment: Mapping[str, str] = os.environ) -> list[bytes]:
    """The key in use, first; after it one that a rotation was about to bring. Raises BadMasterKey."""
    if text := environment.get(ENVIRONMENT, ""):
        try:
            key = bytes.fromhex(text)
        except ValueError as error:
            raise BadMasterKey(f"{ENVIRONMENT} does not hold hex digits") from error
        return [_checked(key, ENVIRONMENT)]
    # First the file that a rotation takes away, then the one that it takes the place of: the other way round, a rename between
    # the two would hide the new key, and rows would be sealed under one that is gone.
    following = _read(next_file(path))
    present = _read(path)
    if present is None:
        raise BadMasterKey(f"cannot read the license master key {path}: there is no such file")
    keys = [_checked(present, str(path))]
    return keys if following is None else [*keys, _checked(following, str(next_file(path)))]


def next_file(path: Path) -> Path:
    return path.with_name(path.name + ".next")


class MasterKeys:
    """The master keys by id. One that is not known is looked for again, since it may have been rotated meanwhile."""

    def __init__(self, load: Callable[[], list[bytes]]) -> None:
        self._load = load
        self._keys = self._loaded()

    def _loaded(self) -> dict[str, bytes]:
        return {wrap.master_id(key): key for key in self._load()}

    @property
    def current(self) -> bytes:
        """The key to seal with, as it is now. To be asked for inside the transaction that writes what is sealed.

        Nothing of it is kept between calls: a thread that reads beside this one may have looked before the rotation.
        """
        found = self._loaded()
        self._keys.update(found)
        return list(found.values())[-1]

    def by_id(self, master_id: str) -> bytes:
        """Raises KeysSealed when there is no such key."""
        if master_id not in self._keys:  # those known stay: a thread may still read rows from before a rotation
            self._keys.update(self._loaded())
        if master_id not in self._keys:
            raise wrap.KeysSealed("the title's keys were sealed under another license master key")
        return self._keys[master_id]


def rewrap(connection: Connection, old: Mapping[str, bytes], new: bytes, random_bytes: RandomBytes) -> int:
    """Seal every key anew under ``new``; ``old``: master keys by id. How many were changed. Raises KeysSealed, and changes none then."""
    new_id = wrap.master_id(new)
    changed = 0
    for row in connection.execute(select(content_keys).where(content_keys.c.master_id != new_id)).all():
        if row.master_id not in old:
            raise wrap.KeysSealed(f"the {row.label} key of title {row.title_id} was sealed under another license master key")
        bound = {"title_id": row.title_id, "label": row.label, "key_id": row.key_id}
        key = wrap.unwrap(row.sealed_key, old[row.master_id], **bound)
        sealed = wrap.wrap(key, new, random_bytes(wrap.NONCE_BYTES), **bound)
        here = (content_keys.c.title_id == row.title_id) & (content_keys.c.label == row.label)
        connection.execute(update(content_keys).where(here).values(sealed_key=sealed, master_id=new_id))
        changed += 1
    return changed


async def rotate(store: Store, path: Path, random_bytes: RandomBytes) -> int:
    """Bring a fresh master key in; how many keys were sealed anew. A rotation that was killed is finished by the next one.

    One at a time: the caller sees to it. Raises BadMasterKey, KeysSealed, StoreUnavailable.
    """
    following = next_file(path)
    if not following.exists():
        _write(following, random_bytes(wrap.MASTER_BYTES))
    keys = load_master_keys(path, {})
    old = {wrap.master_id(key): key for key in keys}
    changed = await store.write(lambda connection: rewrap(connection, old, keys[-1], random_bytes))
    _rename(following, path)
    return changed


def _checked(key: bytes, where: str) -> bytes:
    if len(key) != wrap.MASTER_BYTES:
        raise BadMasterKey(f"{where} holds {len(key)} bytes, not {wrap.MASTER_BYTES}")
    return key


def _read(path: Path) -> bytes | None:
    """None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadMasterKey(f"cannot read the license master key {path}: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    """The whole key or none: a part of one would stop every process that reads it."""
    fresh = path.with_name(f".{path.name}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _rename(fresh, path)


def _rename(old: Path, new: Path) -> None:
    """On the disk when it returns, so that rows sealed under a key never outlast a power cut that the key does not."""
    old.replace(new)
    folder = os.open(new.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
