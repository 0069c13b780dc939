"""Films made for these tests by ffmpeg, small enough to be encoded in a second."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from nearcast.media import tools

PICTURE = "testsrc2=size={size}:rate={rate}:duration={duration_s}"
FAST = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "24")


def ffmpeg(*arguments: str | Path) -> None:
    command = [tools.ffmpeg(), "-hide_banner", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def picture(size: str = "128x72", rate: str = "24", duration_s: float = 2) -> list[str | Path]:
    return ["-f", "lavfi", "-i", PICTURE.format(size=size, rate=rate, duration_s=duration_s)]


def tone(duration_s: float = 2, frequency: int = 440) -> list[str | Path]:
    return ["-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={duration_s}"]


NUMBERED = "color=black:s={size}:r=24:d={duration_s},format=yuv420p,geq=lum='20+mod(N*37\\,200)':cb=128:cr=128"
NEAR = 18
"""Less than half of what two numbered pictures in a row differ in brightness."""


def numbered(duration_s: float, size: str = "128x72") -> list[str]:
    """Every picture has a brightness of its own (``luma``), so that each can be told from its neighbours."""
    return ["-f", "lavfi", "-i", NUMBERED.format(duration_s=duration_s, size=size)]


def luma(count: int) -> list[int]:
    return [20 + number * 37 % 200 for number in range(count)]


def film(path: Path, *, size: str = "128x72", rate: str = "24", duration_s: float = 2, sound: bool = True) -> Path:
    """A moving test picture, with a tone."""
    ffmpeg(*picture(size, rate, duration_s), *(tone(duration_s) if sound else []), *FAST, *(["-c:a", "aac"] if sound else []), path)
    return path


def picture_subtitles(path: Path) -> Path:
    """Two empty screens of a Blu-ray's subtitles (PGS): no tool makes such pictures of text."""

    def segment(at_s: int, kind: int, body: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", at_s * 90_000, 0, kind, len(body)) + body

    composition = struct.pack(">HHBHBBBB", 720, 480, 0x10, 1, 0x80, 0, 0, 0)
    path.write_bytes(b"".join(segment(at_s, 0x16, composition) + segment(at_s, 0x80, b"") for at_s in (0, 1)))
    return path


def packets(path: Path, entries: str = "pts_time,dts_time,flags", *more: str) -> list[list[str]]:
    """What ffprobe says of every packet of the first stream."""
    command = [
        tools.ffprobe(),
        "-v",
        "error",
        *more,
        "-select_streams",
        "0",
        "-show_entries",
        f"packet={entries}",
        "-of",
        "csv=p=0",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return [line.rstrip(",").split(",") for line in done.stdout.splitlines()]


def frame_hashes(path: Path, *before: str) -> list[str]:
    """The hash of every decoded picture, in order."""
    command = [tools.ffmpeg(), "-v", "error", *before, "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return [line.rsplit(",", 1)[1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


def mean_luma(path: Path, *before: str) -> list[float]:
    """The mean brightness of every decoded picture, in order."""
    command = [
        tools.ffmpeg(),
        "-v",
        "error",
        *before,
        "-i",
        str(path),
        "-map",
        "0:v",
        "-vf",
        "extractplanes=y,scale=1:1:flags=area",
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, timeout=240, check=True)
    return [float(each) for each in done.stdout]
