"""Backups: every SQLite database as it stands at one moment, in one archive, while everything goes on running.

Copies are made by SQLite's online backup (sqlite.org/backup.html), checked, and put in a gzipped tar with the SHA-256 of each
file. A restore looks at everything before it replaces anything, and what it replaces it keeps beside it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from nearcast.base.errors import BadInput, Conflict, NotFound, Unavailable
from nearcast.control.store.errors import StoreDamaged, StoreUnavailable, seam

FORMAT = 1
INDEX = "backup.json"
MEMBER_BYTES_MAX = 64 << 30


class BackupFailed(Unavailable):
    """The archive cannot be written."""

    code = "NC4607"
    cure = "name another place for the archive, with room for it"


class BadArchive(BadInput):
    """The archive is damaged, is no backup of Nearcast, or holds files that do not belong into one."""

    code = "NC4608"
    cure = "use another backup; nothing was changed"


class NoArchive(NotFound):
    """There is no such archive."""

    code = "NC4609"
    cure = "check the path"


class ArchiveExists(Conflict):
    """A file is already where the archive would be written."""

    code = "NC4610"
    cure = "name another file, or remove that one"


class NothingToSave(NotFound):
    """None of the databases is there yet."""

    code = "NC4611"
    cure = "start Nearcast once, then back it up"


Kind = Literal["database", "file", "secret"]


class Member(Struct, frozen=True, kw_only=True):
    """One file of a backup: what it is called in the archive, and where it belongs. Secrets are saved only when asked for; a ``file``
    is copied as it stands."""

    name: str
    path: Path
    kind: Kind = "database"


class Entry(Struct, frozen=True, kw_only=True):
    name: str
    kind: Kind
    size_bytes: int
    sha256: str


class Index(Struct, frozen=True, kw_only=True):
    """What the archive says of itself, in ``backup.json``. ``created_at`` is Unix time."""

    format: int
    created_at: float
    entries: tuple[Entry, ...]


def backup(members: Sequence[Member], archive: Path, *, now_s: float, secrets: bool = False) -> Index:
    """Write ``archive`` (mode 0600) and say what is in it; members that are not there are left out.

    Raises ArchiveExists, NothingToSave, StoreDamaged for a database that fails its check, BackupFailed. Blocks; takes seconds.
    """
    if archive.exists():
        raise ArchiveExists(f"there is already a file {archive}")
    chosen = [each for each in members if each.path.exists() and (secrets or each.kind != "secret")]
    if not any(each.kind == "database" for each in chosen):
        raise NothingToSave("there is no database yet")
    with _os_errors(archive), tempfile.TemporaryDirectory(prefix=".backup-", dir=archive.parent) as folder:
        entries = []
        for each in chosen:
            copy = Path(folder) / each.name
            if each.kind == "database":
                copy_database(each.path, copy)
            else:
                shutil.copyfile(each.path, copy)
            entries.append(Entry(name=each.name, kind=each.kind, size_bytes=copy.stat().st_size, sha256=_sha256(copy)))
        index = Index(format=FORMAT, created_at=now_s, entries=tuple(entries))
        packed = Path(folder) / "archive"
        _pack(index, Path(folder), packed)
        os.link(packed, archive)
    return index


def copy_database(source: Path, copy: Path) -> None:
    """A consistent copy of a database that is in use, checked. Raises StoreDamaged, StoreUnavailable."""
    with (
        seam(),
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as reading,
        closing(sqlite3.connect(copy)) as writing,
    ):
        reading.backup(writing)
        # One file without a log beside it, whatever mode the source is in.
        writing.execute("PRAGMA journal_mode=DELETE")
    check_database(copy)


def check_database(path: Path) -> None:
    """Raises StoreDamaged unless SQLite finds the whole file in order."""
    with seam(), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise StoreDamaged(f"the database {path.name} is damaged: {found[0]}")


def restore(archive: Path, members: Sequence[Member], *, secrets: bool = False) -> Index:
    """Put the files of ``archive`` where ``members`` say they belong. Nothing of Nearcast may be running: the caller sees to it.

    Everything is unpacked and checked first; then files are swapped by renames, and those that were there stay beside the new
    ones as ``….before-restore``. Should a rename fail, those made are undone. Raises NoArchive, BadArchive, BackupFailed.
    """
    if not archive.is_file():
        raise NoArchive(f"there is no archive {archive}")
    places = {each.name: each for each in members}
    with _os_errors(archive), tempfile.TemporaryDirectory(prefix=".restore-", dir=_nearest(members[0].path.parent)) as folder:
        index = _unpack(archive, Path(folder))
        for entry in index.entries:
            if entry.name not in places or places[entry.name].kind != entry.kind:
                raise BadArchive(f"the archive holds {entry.name!r}, which has no place here")
        staged: list[tuple[Path, Path]] = []
        try:
            for entry in index.entries:
                if entry.kind != "secret" or secrets:
                    staged.append(_staged(Path(folder) / entry.name, places[entry.name].path))
            _swap(staged)
        finally:
            for near, _ in staged:
                near.unlink(missing_ok=True)
    return index


def _staged(file: Path, place: Path) -> tuple[Path, Path]:
    """A copy of ``file`` beside its ``place``: in the same folder, so that a rename is all that is left to do."""
    place.parent.mkdir(parents=True, exist_ok=True)
    near = place.with_name(place.name + ".restoring")
    try:
        shutil.copyfile(file, near)
        near.chmod(0o600)
        _sync(near)
    except OSError:
        near.unlink(missing_ok=True)
        raise
    return near, place


def _swap(staged: Sequence[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path]] = []
    try:
        for near, place in staged:
            for old in _with_logs(place):
                kept = old.with_name(f"{old.name}.before-restore")
                old.replace(kept)
                done.append((kept, old))
            near.replace(place)
            done.append((place, near))
    except OSError:
        for now, before in reversed(done):
            now.replace(before)
        raise


def _with_logs(database: Path) -> list[Path]:
    """A database and the log and index beside it: left behind, they would be applied to the file that takes its place."""
    return [each for each in (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))) if each.exists()]


def _pack(index: Index, folder: Path, packed: Path) -> None:
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
        text = msgspec.json.format(msgspec.json.encode(index), indent=2)
        head = tarfile.TarInfo(INDEX)
        head.size, head.mode, head.mtime = len(text), 0o600, index.created_at
        tar.addfile(head, io.BytesIO(text))
        for each in index.entries:
            tar.add(folder / each.name, arcname=each.name, recursive=False)
    _sync(packed)


def _unpack(archive: Path, folder: Path) -> Index:
    """Every file that the index names, with the right digest; databases in order. Raises BadArchive."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            first = tar.next()
            opened = tar.extractfile(first) if first is not None and first.isreg() and first.name == INDEX else None
            if opened is None:
                raise BadArchive(f"{archive.name} is no backup of Nearcast")
            index = msgspec.json.decode(opened.read(1 << 20), type=Index)
            if index.format != FORMAT:
                raise BadArchive(f"the archive is of format {index.format}, this version reads {FORMAT}")
            for entry in index.entries:
                _extract(tar, entry, folder)
    except (tarfile.TarError, EOFError, OSError, msgspec.MsgspecError, KeyError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadArchive(f"{archive.name} cannot be read: {error}") from error
    for entry in index.entries:
        if entry.kind == "database":
            try:
                check_database(folder / entry.name)
            except (StoreDamaged, StoreUnavailable) as error:
                raise BadArchive(f"the archive's {entry.name} is damaged: {error.message}") from error
    return index


def _extract(tar: tarfile.TarFile, entry: Entry, folder: Path) -> None:
    member = tar.getmember(entry.name)
    plain = entry.name == Path(entry.name).name and entry.name not in ("", ".", "..", INDEX)
    opened = tar.extractfile(member) if plain and member.isreg() and 0 <= entry.size_bytes <= MEMBER_BYTES_MAX else None
    if opened is None or member.size != entry.size_bytes:
        raise BadArchive(f"the archive's {entry.name!r} is not what its index says")
    target = folder / entry.name
    with target.open("xb") as file:
        shutil.copyfileobj(opened, file, 1 << 20)
    if _sha256(target) != entry.sha256:
        raise BadArchive(f"the archive's {entry.name} has changed since it was made")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


@contextmanager
def _os_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise ArchiveExists(f"there is already a file {error.filename2 or archive}") from error
    except OSError as error:
        raise BackupFailed(f"{error.strerror or error}: {error.filename or archive}") from error
