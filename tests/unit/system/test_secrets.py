"""The two secrets: made once, for their owner alone, and refused when others may read them."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nearcast.system import secrets


def test_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    secrets.make(folder)
    first = secrets.load(folder)
    secrets.make(folder)
    assert secrets.load(folder) == first
    assert len(first.root) == len(first.license_master) == 32
    assert first.root != first.license_master
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_starts_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: secrets._make_one(tmp_path / secrets.ROOT, str(number)), range(8)))
    assert [each.name for each in tmp_path.iterdir()] == [secrets.ROOT]


def test_a_missing_secret(tmp_path: Path) -> None:
    with pytest.raises(secrets.SecretMissing):
        secrets.load(tmp_path)


def test_a_secret_that_others_can_read(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    (tmp_path / secrets.ROOT).chmod(0o640)
    with pytest.raises(secrets.SecretExposed, match="640"):
        secrets.load(tmp_path)


def test_a_secret_cut_short(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    (tmp_path / secrets.LICENSE_MASTER).write_bytes(b"short")
    with pytest.raises(secrets.SecretExposed, match="5 bytes"):
        secrets.load(tmp_path)


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    assert "…" in repr(secrets.load(tmp_path))
