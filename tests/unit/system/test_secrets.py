"""The two secrets: made once, for their owner alone, and refused when others may read them."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from nearcast.base.errors import Internal
from nearcast.policy.capability import derive, edge_key
from nearcast.system import places, secrets
from nearcast.system.settings import Settings


def test_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    secrets.make(folder)
    first = secrets.load(folder)
    secrets.make(folder)
    assert secrets.load(folder) == first
    master = (folder / secrets.LICENSE_MASTER).read_bytes()
    assert len(first.root) == len(master) == 32
    assert first.root != master
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_starts_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: secrets._make_one(tmp_path / secrets.ROOT, str(number)), range(8)))
    assert [each.name for each in tmp_path.iterdir()] == [secrets.ROOT]


def test_a_missing_secret(tmp_path: Path) -> None:
    with pytest.raises(secrets.SecretMissing):
        secrets.load(tmp_path)
    secrets.make(tmp_path)
    (tmp_path / secrets.LICENSE_MASTER).unlink()
    with pytest.raises(secrets.SecretMissing):
        secrets.check(tmp_path)


def test_the_master_key_may_lie_elsewhere(tmp_path: Path) -> None:
    """With the key in the environment the file need not be there, for whoever loads keys and for the doctor."""
    secrets.make(tmp_path)
    (tmp_path / secrets.LICENSE_MASTER).unlink()
    secrets.check(tmp_path, master=False)
    assert secrets.keys_for(tmp_path, ("token",))["token"]


def test_a_process_has_the_keys_that_the_table_gives_it_and_no_others(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    root = secrets.load(tmp_path).root
    known = places.processes(Settings())
    loaded = {name: secrets.keys_for(tmp_path, bulkhead.keys) for name, bulkhead in known.items()}
    assert {name for name, keys in loaded.items() if root in keys.by_purpose.values()} == {"play", "fleet"}
    assert loaded["edge-fra-1"]["edge-mac/fra-1"].hex() == edge_key(root, "fra-1")
    assert loaded["gateway"]["token"] == derive(root, "token")
    for name, purpose in (("edge-fra-1", "edge-mac/bom-1"), ("gateway", "session"), ("record", secrets.ROOT)):
        with pytest.raises(Internal, match=purpose):
            loaded[name][purpose]
    assert root.hex() not in repr(loaded["play"])


def test_only_play_loads_the_master_key(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    master = (tmp_path / secrets.LICENSE_MASTER).read_bytes()
    for bulkhead in places.processes(Settings()).values():
        assert master not in secrets.keys_for(tmp_path, bulkhead.keys).by_purpose.values()


def test_an_edge_that_joined_has_its_own_keys_alone(tmp_path: Path) -> None:
    given = secrets.Joined(appliance="lon-1", site="london", keys={"rpc": "00" * 32, "edge-mac/lon-1": "11" * 32})
    secrets.write(tmp_path / secrets.JOINED, msgspec.json.encode(given))
    assert secrets.keys_for(tmp_path, ("rpc", "edge-mac/lon-1"))["edge-mac/lon-1"] == b"\x11" * 32
    with pytest.raises(secrets.SecretMissing, match="lon-1"):
        secrets.keys_for(tmp_path, ("rpc", "token"))
    with pytest.raises(secrets.HomeOfAnEdge):
        secrets.make(tmp_path)
    secrets.check(tmp_path)
    assert "11" not in repr(given)
    secrets.write(tmp_path / secrets.JOINED, b"nonsense")
    with pytest.raises(secrets.SecretExposed):
        secrets.joined(tmp_path)


def test_a_secret_that_others_can_read(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    (tmp_path / secrets.ROOT).chmod(0o640)
    with pytest.raises(secrets.SecretExposed, match="640"):
        secrets.load(tmp_path)


def test_a_secret_cut_short(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    (tmp_path / secrets.LICENSE_MASTER).write_bytes(b"short")
    with pytest.raises(secrets.SecretExposed, match="5 bytes"):
        secrets.check(tmp_path)
    (tmp_path / secrets.ROOT).write_bytes(b"shorter")
    with pytest.raises(secrets.SecretExposed, match="7 bytes"):
        secrets.load(tmp_path)


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    assert "…" in repr(secrets.load(tmp_path))
