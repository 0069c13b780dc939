"""Files that are replaced at once: whole, for whom they are, and as they were where that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nearcast.base.processes import write_atomically


def test_it_is_whole_and_for_whom_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old", mode=0o600)
    write_atomically(path, b"new", durable=True, mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_where_it_cannot_be_written_the_old_one_stays_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_many_threads_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write(letter: bytes) -> None:
        for _ in range(50):
            write_atomically(path, letter * 10_000)

    threads = [threading.Thread(target=write, args=(bytes([65 + number]),)) for number in range(4)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 10_000
            assert len(set(content)) == 1
    for each in threads:
        each.join()
    assert os.listdir(tmp_path) == ["file"]


HANGING = """
import os, sys, time
from pathlib import Path
from nearcast.base.processes import write_atomically
def hang(descriptor):
    print("here", flush=True)
    time.sleep(600)
os.fsync = hang
write_atomically(Path(sys.argv[1]), b"never", durable=True, mode=0o600)
"""


def test_however_many_writers_are_killed_nothing_of_theirs_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", HANGING, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"here\n"
            write_atomically(path, b"meanwhile")
            assert len(os.listdir(tmp_path)) == 2, "what another still writes is not touched"
            writer.send_signal(signal.SIGKILL)
        assert path.read_bytes() == b"meanwhile"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]
