"""The two secrets of a system: the root, from which every other key is derived, and the master key of the licences.

They are made on the first start and lie outside every database, readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from msgspec import Struct

from nearcast.base.errors import BadInput

KEY_BYTES = 32
ROOT = "root.key"
LICENSE_MASTER = "license-master.key"


class SecretMissing(BadInput):
    """A secret of this system is not where it should be."""

    code = "NC0202"
    cure = "`nearcast up` makes new ones on a first start; elsewhere, copy secrets/ from the host that did"


class SecretExposed(BadInput):
    """A secret can be read by others, or is not what it should be."""

    code = "NC0203"
    cure = "chmod 600 the file; if others may have read it, restore secrets from a backup or start anew"


class Secrets(Struct, frozen=True):
    """32 bytes each."""

    root: bytes
    license_master: bytes

    def __repr__(self) -> str:
        return "Secrets(…)"


def make(folder: Path) -> None:
    """Make what is not there yet, readable by the owner only. Existing secrets are never touched."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (ROOT, LICENSE_MASTER):
        if not (folder / name).exists():
            _make_one(folder / name, str(os.getpid()))


def _make_one(path: Path, mark: str) -> None:
    """Write beside it and link: of two starts at once, the quicker one's key stands for both."""
    fresh = path.with_name(f".{path.name}.{mark}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(secrets.token_bytes(KEY_BYTES))
        os.fsync(out.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def load(folder: Path) -> Secrets:
    """Raises SecretMissing or SecretExposed."""
    return Secrets(_read(folder / ROOT), _read(folder / LICENSE_MASTER))


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SecretMissing(f"{path} is missing") from error
    except OSError as error:
        raise SecretMissing(f"{path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretExposed(f"{path} can be read by others (mode {stat.S_IMODE(mode):o})")
    if len(content) != KEY_BYTES:
        raise SecretExposed(f"{path} holds {len(content)} bytes, not {KEY_BYTES}")
    return content
