"""The film of the lab: a moving test picture with a tone, made by ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # it ships no types

from nearcast.operations.lab.product import ProductFailed

MAKE_S = 120.0


def make(path: Path, duration_s: int) -> Path:
    """``duration_s`` of 640 by 360 at 24 pictures a second. Raises ProductFailed with ffmpeg's words."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=24:duration={duration_s}"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={duration_s}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *picture, *tone, *coding, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKE_S, check=False)
    if done.returncode:
        raise ProductFailed(f"ffmpeg made no film: {done.stderr[-300:]}")
    return path
