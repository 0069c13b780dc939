"""Signs of life: who counts as dead, and who only waits."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.base import vital
from nearcast.base.vital import SILENT_LOOKS, STARVED_LOOKS, Sign, Watch


@pytest.mark.parametrize(
    ("silent_looks", "states", "dead"),
    [
        (SILENT_LOOKS - 1, "T", False),
        (SILENT_LOOKS, "T", True),
        (SILENT_LOOKS, "S", True),
        (SILENT_LOOKS, "SR", False),
        (SILENT_LOOKS, "D", False),
        (STARVED_LOOKS - 1, "SR", False),
        (STARVED_LOOKS, "SR", True),
    ],
)
def test_who_waits_for_a_processor_or_a_disk_is_given_time(silent_looks: int, states: str, dead: bool) -> None:
    assert vital.dead(silent_looks, frozenset(states)) == dead


def test_what_its_threads_do_is_no_evidence_where_it_cannot_be_read() -> None:
    assert not vital.dead(STARVED_LOOKS - 1, None)
    assert vital.dead(STARVED_LOOKS, None)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process that has been stopped."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        os.kill(child.pid, signal.SIGSTOP)
        until_s = time.monotonic() + 90
        while vital.states(child.pid) != frozenset("T"):
            assert time.monotonic() < until_s, "it was not stopped"
            time.sleep(0.01)
        yield child.pid
    finally:
        child.kill()
        child.wait()
    assert vital.states(child.pid) == frozenset()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """None is left to this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="Too many"):
            os.open("/dev/null", os.O_RDONLY)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_supervisor_without_descriptors_kills_nobody_who_gives_signs(tmp_path: Path, sleeper: int) -> None:
    sign, watch = Sign(tmp_path / "sign"), Watch(tmp_path / "sign")
    with no_descriptors():
        assert not any(watch.dead(sleeper) for _ in range(2 * STARVED_LOOKS)), "it has never seen the file, so it knows nothing"
    assert not watch.dead(sleeper)
    with no_descriptors():
        for _ in range(2 * SILENT_LOOKS):
            sign.give()
            assert not watch.dead(sleeper)
        found = [watch.dead(sleeper) for _ in range(STARVED_LOOKS)]
    assert found == [False] * (STARVED_LOOKS - 1) + [True], "silence is heard, but not what its threads do"
    watch.close()


def test_a_file_that_was_removed_or_made_anew_kills_nobody(tmp_path: Path, sleeper: int) -> None:
    first, watch = Sign(tmp_path / "sign"), Watch(tmp_path / "sign")
    first.give()
    assert not watch.dead(sleeper)
    (tmp_path / "sign").unlink()
    for _ in range(2 * SILENT_LOOKS):
        assert not watch.dead(sleeper)
        first.give()
        assert not watch.dead(sleeper)
    second = Sign(tmp_path / "sign")
    for _ in range(2 * SILENT_LOOKS):
        second.give()
        assert not watch.dead(sleeper)
    watch.close()


def test_signs_are_seen_and_silence_is_counted_from_the_last(tmp_path: Path, sleeper: int) -> None:
    watch = Watch(tmp_path / "sign")
    assert [watch.dead(sleeper) for _ in range(SILENT_LOOKS)] == [False] * (SILENT_LOOKS - 1) + [True]
    sign = Sign(tmp_path / "sign")
    sign.give()
    for _ in range(2):
        assert [watch.dead(sleeper) for _ in range(SILENT_LOOKS)] == [False] * SILENT_LOOKS
        sign.give()
    again = Sign(tmp_path / "sign")  # of the next process under this name
    again.give()
    assert not watch.dead(sleeper)
    watch.close()
