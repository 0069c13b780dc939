"""What doctor says of the disks of appliances."""

from __future__ import annotations

import shutil
from pathlib import Path

from nearcast.base.paths import Home
from nearcast.delivery.settings import EdgeSettings
from nearcast.system import checks


def edge(name: str, disk_bytes_max: int) -> EdgeSettings:
    return EdgeSettings(id=name, site="s", port=8101, disk_bytes_max=disk_bytes_max)


def test_a_disk_that_is_promised_twice_is_told(tmp_path: Path) -> None:
    home, free = Home(tmp_path), shutil.disk_usage(tmp_path).free
    assert list(checks.disk_checks(home, [edge("a", free // 4), edge("b", free // 4)])) == []
    (told,) = checks.disk_checks(home, [edge("a", free * 3 // 4), edge("b", free * 3 // 4)])
    assert told.state == "note"
    assert told.found.startswith("a, b may fill")
    assert "disk_bytes_max" in told.cure


def test_what_they_hold_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "film").write_bytes(b"x" * 100_000)
    assert 100_000 <= checks.size_on_disk(tmp_path) < 200_000
    assert checks.size_on_disk(tmp_path / "nothing") == 0
