"""The home folder: how it is found, what it is made of, and sockets whose paths the kernel takes."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from nearcast.base.paths import SOCKET_PATH_BYTES_MAX, Home, UnusableHome, find_home


def test_found_by_name_then_upwards_then_at_home(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    user = tmp_path / "user"
    assert find_home({"NEARCAST_HOME": "/srv/films"}, deep, user).root == Path("/srv/films")
    assert find_home({}, deep, user).root == user / ".nearcast"
    (tmp_path / "nearcast.toml").touch()
    assert find_home({}, deep, user).root == tmp_path
    (tmp_path / "a" / ".nearcast").mkdir()
    assert find_home({}, deep, user).root == tmp_path / "a" / ".nearcast"


def test_secrets_and_sockets_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    assert {stat.S_IMODE(each.stat().st_mode) for each in (home.secrets, home.run)} == {0o700}
    home.make()


def test_what_is_not_for_others_is_private(tmp_path: Path) -> None:
    """Uploads and work hold films in the clear, logs say who watched; what lies in edges is for nginx's own user, too."""
    home = Home(tmp_path / "home")
    home.make()
    private = (home.data, home.origin, home.work, home.uploads, home.logs, home.cache)
    assert {stat.S_IMODE(each.stat().st_mode) for each in private} == {0o700}
    home.work.chmod(0o750)
    home.make()
    assert stat.S_IMODE(home.work.stat().st_mode) == 0o750, "what its owner has chosen stays"


def test_a_run_folder_that_another_has_laid_out_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can put a link where a deep home has its sockets."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = Home(tmp_path / ("x" * 100))
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    home.run.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableHome, match="link"):
        home.make()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


def test_a_deep_home_has_its_sockets_where_the_kernel_takes_them(tmp_path: Path) -> None:
    home = Home(tmp_path / ("x" * 100))
    home.make()
    try:
        path = home.socket("edge-a-name-of-thirty-letters-0123")
        assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        assert home.run != Home(tmp_path / ("y" * 100)).run
    finally:
        shutil.rmtree(home.run)


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableHome):
        Home(tmp_path / "file" / "home").make()
