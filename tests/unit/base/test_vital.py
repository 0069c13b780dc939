"""Signs of life: who counts as dead, and who only waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def test_signs_are_seen_and_silence_is_counted_from_the_last(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        os.kill(sleeper.pid, signal.SIGSTOP)
        while vital.states(sleeper.pid) != {"T"}:
            time.sleep(0.01)
        watch = Watch(tmp_path / "sign")
        assert [watch.dead(sleeper.pid) for _ in range(SILENT_LOOKS)] == [False] * (SILENT_LOOKS - 1) + [True]
        sign = Sign(tmp_path / "sign")
        sign.give()
        for _ in range(2):
            assert [watch.dead(sleeper.pid) for _ in range(SILENT_LOOKS)] == [False] * SILENT_LOOKS
            sign.give()
        again = Sign(tmp_path / "sign")  # of the next process under this name
        again.give()
        assert not watch.dead(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert vital.states(sleeper.pid) == frozenset()
