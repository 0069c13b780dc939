"""nginx's cache files in folders that somebody else may write to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nearcast.delivery.edge.cachefiles import TOMBSTONE, CacheFiles

DIGEST = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """The folder for DIGEST is there."""
    (tmp_path / "cache" / "slices" / "f" / "de").mkdir(parents=True)
    return tmp_path / "cache" / "slices"


def test_a_file_is_read_and_taken_away(slices: Path) -> None:
    files, path = CacheFiles(slices), slices / "f" / "de" / DIGEST
    assert files.read(DIGEST) is None
    assert files.bury(DIGEST) == 0
    assert not path.exists(), "no tombstone without a death"
    path.write_bytes(b"\x05" + bytes(9999))
    reading = path.open("rb")
    found = files.read(DIGEST, 8)
    assert found is not None
    assert (len(found[0]), found[1].st_size) == (8, 10_000)
    assert list(files.digests()) == [DIGEST]
    assert files.bury(DIGEST) == 10_000 - len(TOMBSTONE)
    assert files.read(DIGEST) is None
    assert path.read_bytes() == TOMBSTONE
    assert len(reading.read()) == 10_000, "an answer in course is not disturbed"
    reading.close()
    assert [each.name for each in path.parent.iterdir()] == [DIGEST]


@pytest.mark.parametrize("what", ["file", "folder", "slices", "pipe"])
def test_no_link_and_no_pipe_is_followed(slices: Path, tmp_path: Path, what: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    target = elsewhere / "f" / "de" / DIGEST
    target.parent.mkdir(parents=True)
    target.write_bytes(b"\x05 precious")
    path = slices / "f" / "de" / DIGEST
    if what == "file":
        path.symlink_to(target)
    elif what == "folder":
        path.parent.rmdir()
        path.parent.symlink_to(target.parent)
    elif what == "slices":
        slices.rename(tmp_path / "aside")
        slices.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    files = CacheFiles(slices)
    assert files.read(DIGEST) is None
    if what in ("folder", "slices"):
        with pytest.raises(OSError):  # noqa: PT011  (a link where a folder should be: ELOOP or ENOTDIR)
            files.bury(DIGEST)
        assert list(files.digests()) == []
    else:
        files.bury(DIGEST)
    assert target.read_bytes() == b"\x05 precious"


def test_on_a_full_disk_the_file_goes_all_the_same(slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = slices / "f" / "de" / DIGEST
    path.write_bytes(b"\x05" + bytes(9999))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    CacheFiles(slices).bury(DIGEST)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_tombstone_is_its_folders_owners(slices: Path) -> None:
    path = slices / "f" / "de" / DIGEST
    path.write_bytes(b"\x05" + bytes(9999))
    os.chown(path.parent, 33, 33)
    CacheFiles(slices).bury(DIGEST)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (33, 0o600)
