"""The key of the zone on this host: no copy of it is left by who was killed, and no stage is over before all workers were in it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from nearcast.base.paths import Home
from nearcast.base.processes import AlreadyRunning, Lock, identify
from nearcast.base.supervise import ProcessStatus, SystemStatus
from nearcast.steering.dns import keyring
from nearcast.steering.dns.keyring import NotNow
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
BEGIN = "signing.take(home, (), lambda ring, _: keyring.begun(ring, keyring.fresh(ring), 1), ('published',), print)"
WORKERS = ("dns-1", "dns-2")
DAY_S = 86400


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


# --- steps ------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a command knows of it."""


class Workers:
    """In place of the supervisor's. ``left``: so many begin anew before the command is killed."""

    def __init__(self, home: Home) -> None:
        self.home, self.now_s, self.left = home, 1_790_000_000.7, 10**6
        self.broken: set[str] = set()

    def restart(self, home: Home, names: Sequence[str], told: signing.Told) -> int:
        for each in names:
            if not self.left:
                raise Killed
            self.left -= 1
            if each not in self.broken:
                self.begin(each)
        return len(names)

    def begin(self, *names: str) -> None:
        for each in names:
            signing.note(self.home, each, keyring.load(key_path(self.home)), self.now_s)

    def take(self, command: str) -> signing.Standing:
        """As ``nearcast dns rollover`` does."""
        step, leads_to = self._command(command)
        return signing.take(self.home, WORKERS, step, leads_to, lambda _: None)

    def _command(self, command: str) -> tuple[signing.Step, Sequence[keyring.Stage]]:
        if command == "start":
            return lambda ring, _: keyring.begun(ring, keyring.fresh(ring), self.now_s), ("published",)
        if command == "cancel":
            return lambda ring, _: keyring.cancelled(ring), ("stable",)
        replaced = command == "next --ds-replaced"
        leads_to: Sequence[keyring.Stage] = ("replaced",) if replaced else ("ready", "stable")
        return lambda ring, late: keyring.advanced(ring, self.now_s, late=late, replaced=replaced), leads_to


@pytest.fixture
def running(home: Home, monkeypatch: pytest.MonkeyPatch) -> Workers:
    found = Workers(home)
    monkeypatch.setattr(signing, "restart_workers", found.restart)
    signing.make(home)
    found.begin(*WORKERS)
    return found


COMMANDS = ("start", "next", "next --ds-replaced", "next")
STAGES = ("published", "ready", "replaced", "stable")


@pytest.mark.parametrize("killed_after", [0, 1])
@pytest.mark.parametrize("number", range(4))
def test_a_killed_step_ends_by_the_same_command_and_lasts_from_then(running: Workers, number: int, killed_after: int) -> None:
    """``killed_after`` so many of the workers have begun with it; days go by until somebody looks again."""
    for command in COMMANDS[:number]:
        running.take(command)
        running.now_s += 2 * DAY_S
    running.left = killed_after
    with pytest.raises(Killed):
        running.take(COMMANDS[number])
    running.left, running.now_s = 10**6, running.now_s + 2 * DAY_S
    ring, late = signing.standing(running.home, WORKERS)
    assert (ring.stage, late) == (STAGES[number], WORKERS[killed_after:])
    assert keyring.left_s(ring, running.now_s, late) == ring.wait_s
    ring, late = running.take(COMMANDS[number])
    assert (ring.stage, late) == (STAGES[number], ())
    assert ring.wait_s - 1 < keyring.left_s(ring, running.now_s) <= ring.wait_s
    if ring.wait_s:
        with pytest.raises(NotNow, match="lasts"):
            running.take("next")


@pytest.mark.parametrize("number", range(1, 4))
def test_the_next_command_after_a_killed_step_takes_no_time_for_passed(running: Workers, number: int) -> None:
    for command in COMMANDS[: number - 1]:
        running.take(command)
        running.now_s += 2 * DAY_S
    running.left = 1
    with pytest.raises(Killed):
        running.take(COMMANDS[number - 1])
    running.left, running.now_s = 10**6, running.now_s + 2 * DAY_S
    if STAGES[number - 1] == "ready":  # which need not last: all have had both keys for two days
        assert running.take(COMMANDS[number]).ring.stage == "replaced"
        return
    with pytest.raises(NotNow, match="lasts"):
        running.take(COMMANDS[number])
    assert signing.standing(running.home, WORKERS).late == ()
    running.now_s += 2 * DAY_S
    assert running.take(COMMANDS[number]).ring.stage == STAGES[number]


def test_taken_back_by_halves_it_is_taken_back_whole(running: Workers) -> None:
    running.take("start")
    running.left = 0
    with pytest.raises(Killed):
        running.take("cancel")
    assert signing.standing(running.home, WORKERS).late == WORKERS
    running.left = 10**6
    assert running.take("cancel").late == ()
    with pytest.raises(NotNow, match="nothing to take back"):
        running.take("cancel")


def test_a_worker_that_does_not_begin_holds_the_rollover_up(running: Workers) -> None:
    running.broken = {"dns-2"}
    assert running.take("start").late == ("dns-2",)
    running.now_s += 2 * DAY_S
    with pytest.raises(NotNow, match="dns-2 has not begun") as refused:
        running.take("next")
    assert "nearcast dns reload" in refused.value.hint
    running.begin("dns-2")
    with pytest.raises(NotNow, match="lasts"):
        running.take("next")
    running.now_s += DAY_S
    running.begin(*WORKERS)  # once more: a crash, a start of the host
    running.broken = set()
    assert running.take("next").ring.stage == "ready"


def test_a_file_from_elsewhere_is_told(running: Workers) -> None:
    """Copied from another host while the workers run; or put back from a backup."""
    before = keyring.load(key_path(running.home))
    keyring.save(key_path(running.home), keyring.begun(before, keyring.fresh(before), running.now_s))
    assert signing.standing(running.home, WORKERS).late == WORKERS
    running.begin(*WORKERS)
    assert signing.standing(running.home, WORKERS).late == ()
    keyring.save(key_path(running.home), before)
    assert signing.standing(running.home, WORKERS).late == WORKERS


def test_what_cannot_be_noted_counts_as_not_begun(running: Workers) -> None:
    """A note of before is not taken for it."""
    running.take("start")
    (running.home.run / "dns-1.keys").write_bytes(b"half a")
    assert signing.standing(running.home, WORKERS).late == ("dns-1",)
    with pytest.MonkeyPatch.context() as full:
        full.setattr(signing, "write_atomically", raising)
        running.take("cancel")
    assert not (running.home.run / "dns-1.keys").exists()
    assert running.take("start").late == ()


def raising(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_worker_that_is_not_ready_again_is_an_error_that_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody starts it again here."""
    monkeypatch.setattr(signing, "RESTART_S", 0.2)
    supervisor = Lock(home.run / "supervisor.lock")
    supervisor.take()
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as worker:
        me, other = identify(os.getpid()), identify(worker.pid)
        assert me
        ready = ProcessStatus(name="dns-1", state="ready", since=0.0, identity=other)
        (home.run / "status.json").write_bytes(msgspec.json.encode(SystemStatus(supervisor=me, started_at=0.0, processes=(ready,))))
        with pytest.raises(signing.NotRestarted, match="dns-1 was not ready again") as refused:
            signing.restart_workers(home, WORKERS, print)
        assert worker.wait() == -15
    assert (refused.value.code, "again" in refused.value.hint) == ("NC0234", True)
    supervisor.free()
