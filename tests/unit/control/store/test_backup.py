"""Backups: consistent while everything runs, and a restore that changes all or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from nearcast.control.store.backup import (
    ArchiveExists,
    BackupFailed,
    BadArchive,
    Member,
    NoArchive,
    NothingToSave,
    backup,
    restore,
)
from nearcast.control.store.errors import StoreDamaged


def fill(path: Path, *values: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(value,) for value in values])


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]


def members(home: Path) -> list[Member]:
    return [
        Member(name="nearcast.db", path=home / "data" / "nearcast.db"),
        Member(name="history.db", path=home / "data" / "history.db"),
        Member(name="root.key", path=home / "secrets" / "root.key", kind="secret"),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    fill(found / "data" / "nearcast.db", 1, 2)
    fill(found / "data" / "history.db", 3)
    (found / "secrets").mkdir()
    (found / "secrets" / "root.key").write_bytes(b"s" * 32)
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar.gz"


def test_what_was_saved_comes_back(home: Path, archive: Path) -> None:
    index = backup(members(home), archive, now_s=5.0)
    assert ([each.name for each in index.entries], index.created_at) == (["nearcast.db", "history.db"], 5.0)
    assert archive.stat().st_mode & 0o777 == 0o600
    fill(home / "data" / "nearcast.db", 99)
    (home / "data" / "history.db").unlink()
    assert restore(archive, members(home)) == index
    assert (numbers(home / "data" / "nearcast.db"), numbers(home / "data" / "history.db")) == ([1, 2], [3])
    assert numbers(home / "data" / "nearcast.db.before-restore") == [1, 2, 99]
    assert sorted(each.name for each in home.parent.iterdir()) == ["backup.tar.gz", "home"]


def test_a_backup_goes_to_an_empty_home(home: Path, archive: Path, tmp_path: Path) -> None:
    backup(members(home), archive, now_s=5.0, secrets=True)
    other = tmp_path / "other"
    restore(archive, members(other))
    assert numbers(other / "data" / "nearcast.db") == [1, 2]
    assert not (other / "secrets").exists()
    restore(archive, members(other), secrets=True)
    assert (other / "secrets" / "root.key").read_bytes() == b"s" * 32
    assert (other / "secrets" / "root.key").stat().st_mode & 0o777 == 0o600


def test_secrets_are_saved_only_when_asked_for(home: Path, archive: Path) -> None:
    backup(members(home), archive, now_s=5.0)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["backup.json", "nearcast.db", "history.db"]


def test_a_plain_file_is_saved_and_brought_back_as_it_stands(home: Path, archive: Path) -> None:
    orders = Member(name="orders.json", path=home / "data" / "orders.json", kind="file")
    orders.path.write_text("[1]")
    backup([*members(home), orders], archive, now_s=0.0)
    orders.path.write_text("[2]")
    restore(archive, [*members(home), orders])
    assert orders.path.read_text() == "[1]"
    assert orders.path.with_name("orders.json.before-restore").read_text() == "[2]"


def test_a_log_left_behind_is_not_applied_to_what_was_restored(home: Path, archive: Path) -> None:
    backup(members(home), archive, now_s=5.0)
    path = home / "data" / "nearcast.db"
    killed = sqlite3.connect(path)
    killed.execute("INSERT INTO numbers VALUES (77)")
    killed.commit()
    log = path.with_name("nearcast.db-wal").read_bytes()
    assert log
    restore(archive, members(home))
    killed.close()
    assert numbers(path) == [1, 2]


def test_a_backup_while_somebody_writes_is_of_one_moment(home: Path, archive: Path) -> None:
    path = home / "data" / "nearcast.db"
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            value = 1000
            while not stop.is_set():
                with connection:  # always in pairs
                    connection.executemany("INSERT INTO numbers VALUES (?)", [(value,), (-value,)])
                value += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup(members(home), archive, now_s=5.0)
    finally:
        stop.set()
        writer.join()
    restore(archive, members(home))
    assert sum(each for each in numbers(path) if abs(each) >= 1000) == 0


def test_a_damaged_database_is_not_saved_as_if_it_were_sound(home: Path, archive: Path) -> None:
    path = home / "data" / "history.db"
    fill(path, *range(5000))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 5] = os.urandom(4096 * 2)
    path.write_bytes(raw)
    with pytest.raises(StoreDamaged):
        backup(members(home), archive, now_s=5.0)
    assert not archive.exists()


def test_an_archive_is_never_overwritten_and_nothing_is_not_saved(home: Path, archive: Path, tmp_path: Path) -> None:
    archive.write_text("precious")
    with pytest.raises(ArchiveExists):
        backup(members(home), archive, now_s=5.0)
    assert archive.read_text() == "precious"
    with pytest.raises(NothingToSave):
        backup(members(tmp_path / "nobody"), tmp_path / "other.tar.gz", now_s=5.0)
    with pytest.raises(BackupFailed):
        backup(members(home), tmp_path / "nowhere" / "backup.tar.gz", now_s=5.0)


def test_an_archive_that_is_not_there_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NoArchive):
        restore(tmp_path / "nothing.tar.gz", members(home))


def entries(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            opened = tar.extractfile(member)
            assert opened is not None
            yield member.name, opened.read()


def written(archive: Path, content: list[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name, raw in content:
            head = tarfile.TarInfo(name)
            plain = name == "backup.json" or kind == tarfile.REGTYPE
            head.size, head.type = (len(raw), tarfile.REGTYPE) if plain else (0, kind)
            head.linkname = "/etc/passwd"
            tar.addfile(head, io.BytesIO(raw))


def hostile(archive: Path, how: str) -> None:
    content = list(entries(archive))
    index = msgspec.json.decode(content[0][1])
    if how == "changed":
        content[1] = (content[1][0], content[1][1][:-1] + b"\xff")
    elif how == "missing":
        del content[1]
    elif how == "format":
        index["format"] = 2
    elif how == "escapes":
        index["entries"][0]["name"] = "../../escaped.db"
        content[1] = ("../../escaped.db", content[1][1])
    elif how == "stranger":
        index["entries"][0]["name"] = "stranger.db"
        content[1] = ("stranger.db", content[1][1])
    elif how == "kind":
        index["entries"][0]["kind"] = "secret"
    content[0] = ("backup.json", msgspec.json.encode(index))
    written(archive, content, tarfile.SYMTYPE if how == "link" else tarfile.REGTYPE)
    if how == "truncated":
        archive.write_bytes(archive.read_bytes()[:-200])
    elif how == "text":
        archive.write_text("not an archive")
    elif how == "empty":
        archive.write_bytes(b"")
    elif how == "no index":
        written(archive, content[1:])


@pytest.mark.parametrize(
    "how", ["changed", "missing", "format", "escapes", "stranger", "kind", "link", "truncated", "text", "empty", "no index"]
)
def test_an_archive_that_is_not_as_it_was_made_changes_nothing(home: Path, archive: Path, how: str) -> None:
    backup(members(home), archive, now_s=5.0)
    fill(home / "data" / "nearcast.db", 50)
    hostile(archive, how)
    before = sorted(path.relative_to(home) for path in home.rglob("*"))
    with pytest.raises(BadArchive) as caught:
        restore(archive, members(home))
    assert "nothing was changed" in caught.value.hint
    assert numbers(home / "data" / "nearcast.db") == [1, 2, 50]
    assert sorted(path.relative_to(home) for path in home.rglob("*")) == before
    assert not (home.parent.parent / "escaped.db").exists()


def test_a_sound_digest_of_a_damaged_database_is_refused_too(home: Path, archive: Path) -> None:
    backup(members(home), archive, now_s=5.0)
    content = list(entries(archive))
    index = msgspec.json.decode(content[0][1])
    raw = content[1][1][:5000]
    index["entries"][0] |= {"size_bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    written(archive, [("backup.json", msgspec.json.encode(index)), (content[1][0], raw), *content[2:]])
    with pytest.raises(BadArchive, match="damaged"):
        restore(archive, members(home))
    assert numbers(home / "data" / "nearcast.db") == [1, 2]


def test_a_swap_that_fails_in_the_middle_is_undone(home: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(members(home), archive, now_s=5.0)
    fill(home / "data" / "nearcast.db", 50)
    real = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if self.name == "history.db.restoring":
            raise OSError(5, "Input/output error", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(BackupFailed, match="Input/output error"):
        restore(archive, members(home))
    assert numbers(home / "data" / "nearcast.db") == [1, 2, 50]
    assert numbers(home / "data" / "history.db") == [3]
    assert sorted(path.name for path in (home / "data").iterdir()) == ["history.db", "nearcast.db"]
