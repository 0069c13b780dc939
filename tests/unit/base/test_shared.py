"""What is for every user of the host may be read whatever the umask of who wrote it; what is for its owner stays so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nearcast.base import shared
from nearcast.base.processes import write_atomically


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777])
def test_modes_do_not_go_by_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        shared.make_folder(tmp_path / "a")
        write_atomically(tmp_path / "a" / "open", b"1", mode=shared.FILE)
        write_atomically(tmp_path / "a" / "closed", b"1", mode=0o600)
    finally:
        os.umask(before)
    assert [mode(tmp_path / each) for each in ("a", "a/open", "a/closed")] == [0o755, 0o644, 0o600]


def test_what_was_there_is_opened_and_what_else_is_allowed_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "a").chmod(0o2770)
    (tmp_path / "b").touch(mode=0o600)
    shared.make_folder(tmp_path / "a")
    shared.show(tmp_path / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (0o2775, 0o644)
    shared.show(tmp_path / "nothing")
