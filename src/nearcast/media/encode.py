"""Encodes one chunk or one audio track; a task is a Struct, so that any ``concurrent.futures.Executor`` can carry it.

A task writes into a folder of its own which takes its final name when everything in it is whole and synced: a task that was
killed has left nothing that counts.
"""

from __future__ import annotations

import contextlib
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from nearcast.media import filters, tools
from nearcast.media.boxes import sample_count
from nearcast.media.files import disk, settle
from nearcast.media.ladder import Rung
from nearcast.media.plan import PREROLL_S, AudioTrack, Chunk, Plan
from nearcast.media.probe import Truncated
from nearcast.media.settings import EncodeSettings, LimitSettings
from nearcast.media.source import Source, VideoStream

FRAGMENTED = "+frag_keyframe+delay_moov+default_base_moof"
PREROLLS_S = (PREROLL_S, 12.0, 60.0, 1e9)
"""How far before a chunk decoding begins; the next is tried where a container without an index led too far ahead."""
TIMEOUT_MIN_S = 300.0
LEVEL_1B_MACROBLOCKS = 99
"""The largest picture of H.264's level 1b: QCIF (ITU-T H.264, table A-1)."""
PROGRESS = "progress"


class Farm(Protocol):
    """Where tasks run: any ``concurrent.futures.Executor``; a Dask client's fits too, over a shared folder."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]: ...


class ChunkTask(Struct, frozen=True, kw_only=True):
    """Frames of one chunk in all ``rungs``. ``folder`` is what the task makes."""

    source: Source
    rungs: tuple[Rung, ...]
    chunk: Chunk
    frames: int
    segment_frames: int
    timescale: int
    preset: str
    folder: str
    encode: EncodeSettings
    limits: LimitSettings


class AudioTask(Struct, frozen=True, kw_only=True):
    """One whole audio track."""

    track: AudioTrack
    folder: str
    limits: LimitSettings


# --- pure: what ffmpeg is told ----------------------------------------------------------------------------------------


def seek_s(video: VideoStream, start: int, preroll_s: float) -> float:
    """Where decoding begins for frame ``start``, in seconds of the source; 0.0: at its start, without seeking.

    A picture that begins later than its sound is filled up from zero, so whatever lies before its first frame is made from the start.
    """
    begin_s = start / float(video.rate)
    return 0.0 if begin_s <= video.start_s + 1 / float(video.rate) else max(0.0, begin_s - preroll_s)


def rendition_arguments(task: ChunkTask, number: int, path: str) -> list[str]:
    """One output: H.264 High, 8 bits, closed GOPs of exactly a segment."""
    rung = task.rungs[number]
    group = str(task.segment_frames)
    quality = ["-crf", str(task.encode.crf), "-maxrate", str(rung.rate_cap_bps), "-bufsize", str(2 * rung.rate_cap_bps)]
    grouping = ["-g", group, "-keyint_min", group, "-sc_threshold", "0", "-flags", "+cgop"]
    codec = ["-c:v", "libx264", "-preset", task.preset, "-profile:v", "high", "-pix_fmt", "yuv420p", "-threads", str(task.encode.threads)]
    # For so small a picture x264 would take level 1b, whose codec string (avc1.640009) no browser understands.
    level = ["-level", "2"] if -(-rung.width // 16) * -(-rung.height // 16) <= LEVEL_1B_MACROBLOCKS else []
    mux = ["-video_track_timescale", str(task.timescale), "-movflags", FRAGMENTED, "-map_metadata", "-1", "-map_chapters", "-1"]
    return ["-map", f"[v{number}]", *codec, *level, *quality, *grouping, *mux, "-f", "mp4", path]


def chunk_arguments(task: ChunkTask, video: VideoStream, folder: str, preroll_s: float) -> list[str]:
    """ffmpeg's whole command line for a chunk."""
    start_s = seek_s(video, task.chunk.start, preroll_s)
    seek = ["-noaccurate_seek", "-ss", f"{start_s:.6f}"] if start_s > 0 else []
    read = ["-copyts", "-start_at_zero", "-fflags", "+genpts", *seek, *tools.INPUT_GUARD, "-i", f"file:{task.source.path}"]
    outputs = [rendition_arguments(task, number, f"file:{folder}/{rung.name}.mp4") for number, rung in enumerate(task.rungs)]
    graph = ["-filter_complex", filters.graph(video, task.rungs, task.chunk, first=start_s == 0)]
    return [*common(folder), *read, *graph, *(each for output in outputs for each in output)]


def audio_arguments(track: AudioTrack, folder: str) -> list[str]:
    """ffmpeg's whole command line for an audio track."""
    codec = ["-c:a", "aac", "-b:a", str(track.bitrate_bps), "-ar", "48000", "-map_metadata", "-1", "-map_chapters", "-1"]
    read = ["-vn", "-copyts", "-start_at_zero", "-fflags", "+genpts", *tools.INPUT_GUARD, "-i", f"file:{track.path}"]
    graph = ["-filter_complex", filters.sound(track.stream, track.channels)]
    return [*common(folder), *read, *graph, "-map", "[a]", *codec, "-f", "mp4", f"file:{folder}/{track.name}.mp4"]


def common(folder: str) -> list[str]:
    """How each task's command line begins."""
    return [tools.ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", "-y", "-progress", f"file:{folder}/{PROGRESS}"]


# --- shell ------------------------------------------------------------------------------------------------------------


def encode_chunk(task: ChunkTask) -> int:
    """Make ``task.folder`` with one file per rung; answers with the number of frames in each.

    A chunk whose decoding begins too late (containers without an index) is tried again from further back. Raises Truncated
    where the source has nothing for this chunk, DiskFull, ToolFailed.
    """
    video = task.source.video
    assert video is not None  # noqa: S101  (the plan has chunks only where there is a picture)
    final, part = Path(task.folder), Path(task.folder + ".part")
    wanted = task.chunk.end - task.chunk.start if task.chunk.end is not None else max(1, task.frames - task.chunk.start)
    found, before = 0, -1
    for preroll_s in PREROLLS_S:
        begin(part)
        timeout_s = TIMEOUT_MIN_S + wanted / float(video.rate) / task.limits.slowest_speed
        arguments = chunk_arguments(task, video, str(part), preroll_s)
        tools.run(arguments, timeout_s=timeout_s, limits=tools.Limits(memory_bytes=task.limits.memory_bytes))
        found = min((sample_count(part / f"{rung.name}.mp4") for rung in task.rungs), default=0)
        if found in (wanted, before) or seek_s(video, task.chunk.start, preroll_s) == 0:
            break  # all there, or decoding from further back brought nothing more: the film ends here
        before = found
    if found == 0:
        raise Truncated(f"the film ends before {task.chunk.start / float(video.rate):.1f} s, earlier than it says")
    finish(part, final)
    return found


def encode_audio(task: AudioTask) -> None:
    """Make ``task.folder`` with the track's file. Raises ToolFailed, DiskFull."""
    final, part = Path(task.folder), Path(task.folder + ".part")
    begin(part)
    timeout_s = TIMEOUT_MIN_S + task.track.duration_s / task.limits.slowest_speed
    tools.run(audio_arguments(task.track, str(part)), timeout_s=timeout_s, limits=tools.Limits(memory_bytes=task.limits.memory_bytes))
    finish(part, final)


def begin(part: Path) -> None:
    """An empty folder for a task to write into."""
    with disk():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)


def finish(part: Path, final: Path) -> None:
    """The task's folder is whole and takes its name."""
    with disk():
        (part / PROGRESS).unlink(missing_ok=True)
        shutil.rmtree(final, ignore_errors=True)
    settle(part, final)


def progress_s(folder: Path) -> float:
    """How many seconds of its output a running task has made, by what ffmpeg last wrote of it."""
    path = folder.with_name(folder.name + ".part") / PROGRESS
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 600))
        for line in reversed(file.read().decode(errors="replace").splitlines()):
            if line.startswith("out_time_us="):
                return max(0.0, int(line.partition("=")[2]) / 1e6)
    return 0.0


def chunk_task(
    plan: Plan, rungs: tuple[Rung, ...], chunk: Chunk, preset: str, folder: Path, encode: EncodeSettings, limits: LimitSettings
) -> ChunkTask:
    return ChunkTask(
        source=plan.source,
        rungs=rungs,
        chunk=chunk,
        frames=plan.frames,
        segment_frames=plan.segment_frames,
        timescale=plan.timescale,
        preset=preset,
        folder=str(folder),
        encode=encode,
        limits=limits,
    )
