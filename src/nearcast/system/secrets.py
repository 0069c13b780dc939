"""The two secrets of a system: the root, from which every other key is derived, and the master key of the licences.

They are made on the first start and lie outside every database, readable by their owner alone. A process is given the keys that
the table says it needs, and keeps no more; an edge that joined from another host never had the secrets, only keys of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from nearcast.base.errors import BadInput, Conflict, Internal
from nearcast.policy.capability import derive

KEY_BYTES = 32
ROOT = "root.key"
LICENSE_MASTER = "license-master.key"
JOINED = "joined.json"
"""What an edge was given when it joined: a ``Joined``, in place of the secrets."""
PEER = "peer.pem"
"""This host's certificate for others of the system, its authority's, and its key, in one file so that they change together."""


class SecretMissing(BadInput):
    """A secret of this system is not where it should be."""

    code = "NC0202"
    cure = "`nearcast up` makes new ones on a first start; elsewhere, copy secrets/ from the host that did"


class SecretExposed(BadInput):
    """A secret can be read by others, or is not what it should be."""

    code = "NC0203"
    cure = "chmod 600 the file; if others may have read it, restore secrets from a backup or start anew"


class HomeOfAnEdge(Conflict):
    """The home folder belongs to an edge that joined another system, so no system of its own can be there."""

    code = "NC0216"
    cure = "run it with `nearcast edge`; for a system of its own name another home folder (NEARCAST_HOME)"


class Secrets(Struct, frozen=True):
    """32 bytes each."""

    root: bytes

    def __repr__(self) -> str:
        return "Secrets(…)"


class Keys(Struct, frozen=True):
    """The keys of one process, by purpose."""

    by_purpose: dict[str, bytes]

    def __getitem__(self, purpose: str) -> bytes:
        """Raises Internal for a purpose that the table does not give to this process."""
        found = self.by_purpose.get(purpose)
        if found is None:
            raise Internal(f"this process has no key for {purpose}", hint="name it in the table of services")
        return found

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.by_purpose)})"


class Joined(Struct, frozen=True, kw_only=True):
    """What an edge has in place of the secrets: who it is, and its keys in hexadecimal digits by purpose."""

    appliance: str
    site: str
    keys: dict[str, str]

    def __repr__(self) -> str:
        return f"Joined({self.appliance})"


def make(folder: Path) -> None:
    """Make what is not there yet, readable by the owner only. Existing secrets are never touched. Raises HomeOfAnEdge."""
    if (folder / JOINED).exists():
        raise HomeOfAnEdge(f"{folder.parent} belongs to an edge that joined another system")
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


def write(path: Path, content: bytes) -> None:
    """Put a secret in place for its owner alone: readers see the old content or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        os.fsync(out.fileno())
    fresh.replace(path)


def load(folder: Path) -> Secrets:
    """Raises SecretMissing or SecretExposed."""
    return Secrets(_key(folder / ROOT))


def check(folder: Path, *, master: bool = True) -> None:
    """Look at every secret that this host needs; ``master``: that of the licences lies here too. Raises SecretMissing or SecretExposed."""
    if joined(folder) is None:
        load(folder)
        if master:
            _key(folder / LICENSE_MASTER)


def keys_for(folder: Path, purposes: Iterable[str]) -> Keys:
    """The keys for ``purposes`` and no others; the root itself under its own name. Raises SecretMissing or SecretExposed."""
    given = joined(folder)
    if given is None:
        root = load(folder).root
        return Keys({each: root if each == ROOT else derive(root, each) for each in purposes})
    absent = [each for each in purposes if each not in given.keys]
    if absent:
        raise SecretMissing(
            f"{folder.parent} belongs to the edge {given.appliance}, which has no key for {absent[0]}",
            hint="here only `nearcast edge` runs; all else runs where the secrets are",
        )
    return Keys({each: bytes.fromhex(given.keys[each]) for each in purposes})


def joined(folder: Path) -> Joined | None:
    """What this host was given when it joined as an edge; None where it did not. Raises SecretExposed."""
    path = folder / JOINED
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(_read(path), type=Joined)
    except msgspec.MsgspecError as error:
        raise SecretExposed(f"{path} is not what a join writes", hint="join again: `nearcast edge join TOKEN`") from error


def _key(path: Path) -> bytes:
    content = _read(path)
    if len(content) != KEY_BYTES:
        raise SecretExposed(f"{path} holds {len(content)} bytes, not {KEY_BYTES}")
    return content


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
    return content
