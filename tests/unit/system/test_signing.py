"""The key of the zone on this host: made once, and no copy of it is left by who was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nearcast.base.paths import Home
from nearcast.base.processes import AlreadyRunning
from nearcast.steering.dns import keyring
from nearcast.system import signing
from nearcast.system.dns import key_path

KILLED = """
import os, pathlib, signal, sys
from nearcast.base.paths import Home
from nearcast.steering.dns import keyring
from nearcast.system import signing
home = Home(pathlib.Path(sys.argv[1]))
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{}
"""
BEGIN = "signing.change(home, lambda ring: keyring.begun(ring, keyring.fresh(ring), 1))"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.make()
    return found


def names(home: Home) -> list[str]:
    return sorted(os.listdir(home.secrets))


def killed(home: Home, code: str) -> None:
    """Just before a file that was written takes its place."""
    assert subprocess.run([sys.executable, "-c", KILLED.format(code), home.root]).returncode == -9


def test_what_a_killed_start_left_is_gone_with_the_next(home: Home) -> None:
    killed(home, "signing.make(home)")
    (left,) = names(home)
    assert left != "dns.pem"
    (home.secrets / ".dns.pem.4711").write_text("of another process")
    assert signing.make(home)
    assert names(home) == ["dns.pem"]
    assert key_path(home).stat().st_mode & 0o777 == 0o600
    assert not signing.make(home)


def test_what_a_killed_step_left_is_gone_with_the_next(home: Home) -> None:
    signing.make(home)
    killed(home, BEGIN)
    assert len(names(home)) == 2
    assert keyring.load(key_path(home)).stage == "stable"
    with signing.alone(home):
        assert names(home) == ["dns.pem"]


def test_of_two_starts_at_once_one_makes_the_key(home: Home) -> None:
    made: list[bool] = []
    starts = [threading.Thread(target=lambda: made.append(signing.make(home))) for _ in range(4)]
    with signing.alone(home):
        for each in starts:
            each.start()
    for each in starts:
        each.join()
    assert sorted(made) == [False, False, False, True]


def test_the_keys_are_changed_by_one_command_at_a_time(home: Home) -> None:
    with signing.alone(home):
        with pytest.raises(AlreadyRunning) as refused, signing.alone(home):
            pass
        assert "wait" in refused.value.hint
    with signing.alone(home):
        pass
