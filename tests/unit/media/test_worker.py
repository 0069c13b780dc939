"""The worker process: its answers to a bad start, and its end with its parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from nearcast.media.worker import ORPHANED, chunks_at_once
from nearcast.media.workspace import Report, Start, WorkRequest, write
from nearcast.model.ingest import Submission
from nearcast.model.title import Metadata
from tests.unit.media.fleet import QUICK


def started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nearcast.media.worker", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def told(process: subprocess.Popen[bytes], line: bytes) -> list[Report]:
    out, _ = process.communicate(line, timeout=120)
    return [msgspec.json.decode(each, type=Report) for each in out.splitlines()]


def test_a_folder_without_a_job(tmp_path: Path) -> None:
    process = started(tmp_path)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(Start(keys=None)) + b"\n")
    process.stdin.flush()
    assert process.stdout is not None
    report = msgspec.json.decode(process.stdout.readline(), type=Report)
    assert report.error is not None
    assert report.error.code == "NC1005"
    assert process.wait(timeout=120) == 1
    process.communicate()


def test_what_failed_is_told_even_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nearcast.media.worker", str(tmp_path)]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(command, stdin=-1, stdout=-1, stderr=full) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(Start(keys=None)) + b"\n")
        process.stdin.flush()
        report = msgspec.json.decode(process.stdout.readline(), type=Report)
        assert report.error is not None
        assert report.error.code == "NC1005"
        assert process.wait(timeout=120) == 1


def test_a_start_that_is_nonsense(tmp_path: Path) -> None:
    process = started(tmp_path)
    (report,) = told(process, b"hello\n")
    assert report.error is not None
    assert process.returncode == 2


def test_it_ends_when_its_input_does(tmp_path: Path, small_film: Path) -> None:
    submission = Submission(path=str(small_film), metadata=Metadata(name="x"), clear=True)
    request = WorkRequest(title_id="t_1", submission=submission, first_generation=1, settings=QUICK, at_once=1)
    write(tmp_path / "request.json", request)
    process = started(tmp_path)
    told(process, msgspec.json.encode(Start(keys=None)) + b"\n")  # and then the pipe is closed
    assert process.returncode == ORPHANED
    assert not list(tmp_path.glob("manifests/*"))


def test_tasks_side_by_side() -> None:
    assert [chunks_at_once(0, cores) for cores in (1, 2, 4, 16)] == [2, 2, 3, 9]
    assert chunks_at_once(5, 2) == 5
