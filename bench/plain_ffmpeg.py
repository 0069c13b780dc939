"""Ingest of a two-minute film, held against one plain ffmpeg command that makes the same renditions.

The plain command decodes once, splits, scales and encodes every rung and audio track with the encoder options of ``nearcast.media``,
x264 threaded as it likes best. It probes nothing, encrypts nothing, packages nothing, hashes nothing and publishes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from tests.e2e import films
from tests.e2e.harness import System

from bench.report import Figure
from nearcast.base.config import parse
from nearcast.base.paths import Home
from nearcast.media import encode
from nearcast.media.plan import Chunk, Plan, make_plan
from nearcast.media.probe import probe
from nearcast.media.settings import EncodeSettings, MediaSettings
from nearcast.system.settings import Settings

ROUNDS = 2
LOOPS = 3
"""The film is played this often again: four times in all."""


def plain_command(plan: Plan, out: Path) -> list[str]:
    """``ffmpeg … split … scale …``: the renditions of ``plan`` in one go."""
    rungs = plan.rungs
    threads_free = msgspec.structs.replace(EncodeSettings(), threads=0)
    whole = encode.chunk_task(plan, rungs, Chunk(0, 0, None), threads_free.preset, out, threads_free, MediaSettings().limits)
    pads = "".join(f"[s{number}]" for number in range(len(rungs)))
    graph = [f"[0:v:0]split={len(rungs)}{pads}"]
    graph += [f"[s{number}]scale={rung.width}:{rung.height}:flags=bicubic[v{number}]" for number, rung in enumerate(rungs)]
    outputs = [encode.rendition_arguments(whole, number, f"{out}/{rung.name}.mp4") for number, rung in enumerate(rungs)]
    for track in plan.audio:
        sound = ["-map", f"0:{track.stream}", "-c:a", "aac", "-b:a", str(track.bitrate_bps), "-ac", str(track.channels), "-ar", "48000"]
        outputs.append([*sound, f"{out}/{track.name}.mp4"])
    read = [films.FFMPEG, "-nostdin", "-v", "error", "-y", "-i", plan.source.path]
    return [*read, "-filter_complex", ";".join(graph), *(each for output in outputs for each in output)]


def plain_s(film: Path) -> float:
    """Seconds of the plain command."""
    settings = MediaSettings()
    plan = make_plan(probe(film, settings), (), settings.encode, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        command = plain_command(plan, Path(folder))
        began_s = time.monotonic()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return time.monotonic() - began_s


def ingest_s(system: System, film: Path, name: str) -> float:
    """Seconds of ``nearcast ingest``, from the command's start to its end: every rendition is published."""
    began_s = time.monotonic()
    system.run("ingest", film, "--title", name, timeout_s=900)
    taken_s = time.monotonic() - began_s
    title = next(each for each in system.titles() if each["metadata"]["name"] == name)
    if title["state"] != "complete":
        sys.exit(f"{name} is {title['state']} after its ingest")
    return taken_s


def ingest(system: System) -> list[Figure]:
    """Both, one after the other and again, VMAF switched off for the while."""
    if system.signed_in:
        system.run("down")
    system.environment["NEARCAST_MEDIA__QUALITY__ENABLED"] = "false"
    assert not parse(Settings, system.home.config.read_text(), environment=system.environment).media.quality.enabled
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = demo_film(system.home)
        system.run("up", "--no-demo")
        for number in range(ROUNDS):
            film = Path(folder) / f"two-minutes-{number}.mp4"  # not the same file twice: nothing may be known from before
            films.ffmpeg("-stream_loop", str(LOOPS), "-i", source, "-c", "copy", "-metadata", f"comment={number}", film)
            ours.append(ingest_s(system, film, f"Two minutes {number}"))
            plain.append(plain_s(film))
        system.run("down")
    del system.environment["NEARCAST_MEDIA__QUALITY__ENABLED"]
    return [
        Figure(
            name="ingest of the demo film looped to 2 min, VMAF apart",
            unit="s",
            samples=tuple(ours),
            reach=1.15,
            peer="one plain ffmpeg command",
            peer_samples=tuple(plain),
        )
    ]


def demo_film(home: Home) -> Path:
    from nearcast.media import tools
    from nearcast.system import demo

    return demo.obtain(home, tools.ffmpeg).path
