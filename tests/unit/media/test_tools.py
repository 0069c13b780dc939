"""Running tools: limits, deadlines, errors, and death with the parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nearcast.media import tools
from nearcast.media.files import DiskFailed, disk, settle, write_whole


def test_a_tool_that_fails_is_quoted() -> None:
    with pytest.raises(tools.ToolFailed, match="ended with status") as told:
        tools.run([tools.ffmpeg(), "-v", "error", "-i", "file:/nonexistent.mp4"], timeout_s=120)
    assert "No such file" in told.value.message
    assert told.value.said


def test_a_tool_that_hangs_is_ended() -> None:
    with pytest.raises(tools.ToolTimeout):
        tools.run(["/bin/sleep", "30"], timeout_s=0.2)


def test_a_tool_that_is_not_there_is_told() -> None:
    with pytest.raises(tools.ToolMissing):
        tools.run(["/nonexistent/ffmpeg"], timeout_s=120)


def test_limits_hold() -> None:
    limits = tools.Limits(memory_bytes=10**9, cpu_s=7, open_files=33)
    said = tools.run(["/bin/sh", "-c", "ulimit -v; ulimit -t; ulimit -n; ulimit -c"], timeout_s=120, limits=limits).stdout.decode().split()
    assert said == [str(10**9 // 1024), "7", "33", "0"]


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("x.mp4: No space left on device", tools.DiskFull),
        ("Disk quota exceeded", tools.DiskFull),
        ("Packaging Error: 5 (FILE_FAILURE): Fail to write to file in BufferWriter", tools.DiskFull),
        ("Cannot close the temp file ./x, possibly file permission issue or running out of disk space.", tools.DiskFull),
        ("", tools.ToolFailed),
    ],
)
def test_why_a_tool_failed(stderr: str, error: type[Exception]) -> None:
    assert type(tools.failure("ffmpeg", 1, stderr)) is error


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(tools.DiskFull), disk():
        raise OSError(28, "No space left on device")
    with pytest.raises(DiskFailed), disk():
        raise OSError(5, "Input/output error")
    if Path("/dev/full").exists():
        with pytest.raises(tools.DiskFull), disk(), Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")


def test_tools_die_with_the_worker(tmp_path: Path) -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(tools.__file__).parents[2])!r})
        from nearcast.media import tools
        print("ready", flush=True)
        tools.run(["/bin/sh", "-c", "echo $$ > {tmp_path}/pid; exec sleep 60"], timeout_s=60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert parent.poll() is None
        child = int((tmp_path / "pid").read_text())
        parent.kill()
    for _ in range(1000):
        if not _alive(child):
            return
        time.sleep(0.01)
    raise AssertionError("the tool outlived its parent")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_whole(path, b"old")
    write_whole(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]
    part = tmp_path / "folder.part"
    part.mkdir()
    (part / "a").write_bytes(b"a")
    settle(part, tmp_path / "folder")
    assert (tmp_path / "folder" / "a").read_bytes() == b"a"
    with pytest.raises(DiskFailed):
        write_whole(tmp_path / "none" / "x", b"")
