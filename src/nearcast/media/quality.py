"""VMAF of each rendition against its source, measured after publishing so that it delays nothing.

Netflix's no-enhancement-gain model (``vmaf_v0.6.1neg``); both are compared at the source's display size, the rendition scaled
up bicubically, the source as the encoder saw it (constant rate, deinterlaced, tone-mapped). Pooled by harmonic mean, with the
1st and 5th percentile over frames. Long films are sampled: windows of consecutive frames (motion is part of the measure),
each at the start of a segment, spread evenly; how many frames were compared is told in the result.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from nearcast.base.errors import NearcastError
from nearcast.media import filters, tools
from nearcast.media.encode import seek_s
from nearcast.media.files import disk, write_whole
from nearcast.media.ladder import Rung, even_down
from nearcast.media.plan import PREROLL_S, Chunk, Plan
from nearcast.media.settings import QualitySettings
from nearcast.media.source import VideoStream
from nearcast.model.rendition import Vmaf

TIMEOUT_S = 3600.0
WINDOW_FRAMES = 48


class QualityUnknown(NearcastError):
    """VMAF could not be measured; the title is published all the same."""

    code = "NC1301"
    cure = "the job's log has what ffmpeg said"


class Window(Struct, frozen=True):
    """Frames ``[start, start + frames)`` of the grid, all in one chunk."""

    index: int
    start: int
    frames: int
    chunk: Chunk


# --- pure -------------------------------------------------------------------------------------------------------------


def windows(plan: Plan, frames_max: int) -> tuple[Window, ...]:
    """Where to compare: at most about ``frames_max`` frames, spread evenly over the segments of the film."""
    chunks = plan.chunks or plan.starter_chunks
    starts = list(range(0, max(1, plan.frames), plan.segment_frames))
    whole = plan.frames <= frames_max
    length = plan.segment_frames if whole else min(WINDOW_FRAMES, plan.segment_frames)
    wanted = len(starts) if whole else max(1, min(len(starts), frames_max // length))
    # Each window stands in the middle of its share of the film, so that a single one does not judge a black opening.
    chosen = sorted({starts[min(len(starts) - 1, int((each + 0.5) * len(starts) / wanted))] for each in range(wanted)})
    found = []
    for index, start in enumerate(chosen):
        chunk = next(each for each in chunks if each.start <= start and (each.end is None or start < each.end))
        found.append(Window(index, start, min(length, max(1, plan.frames - start)), chunk))
    return tuple(found)


def harmonic_mean(scores: Sequence[float]) -> float:
    """Offset by one, as libvmaf pools, so that a frame of zero does not end it all."""
    return len(scores) / sum(1 / (score + 1) for score in scores) - 1


def percentile(scores: Sequence[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    ordered = sorted(scores)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def pooled(scores: Sequence[float], model: str) -> Vmaf:
    return Vmaf(
        model=model,
        harmonic_mean=round(harmonic_mean(scores), 3),
        percentile_1=round(percentile(scores, 0.01), 3),
        percentile_5=round(percentile(scores, 0.05), 3),
        frames=len(scores),
    )


def graph(video: VideoStream, rungs: Sequence[Rung], window: Window, model: str, threads: int) -> str:
    """Input 0 is the source, the others the chunk in each of ``rungs``; logs are named after the rungs."""
    width, height = even_down(video.width), even_down(video.height)
    span = Chunk(0, window.start, window.start + window.frames)
    count = f"setpts=N/({video.frame_rate[0]}/{video.frame_rate[1]})/TB"
    first = seek_s(video, window.start, PREROLL_S) == 0
    reference = ",".join([*filters.steps(video, first), *filters.cut(span), *filters.picture(video, width, height), count])
    parts = [f"[0:{video.index}]{reference},split={len(rungs)}" + "".join(f"[r{number}]" for number in range(len(rungs)))]
    offset, half = window.start - window.chunk.start, 0.5
    begin_s, end_s = (float((offset + each - half) / video.rate) for each in (0, window.frames))
    for number, rung in enumerate(rungs):
        cut = f"trim=start={begin_s:.6f}:end={end_s:.6f},{count}"
        parts.append(f"[{number + 1}:v]{cut},scale={width}:{height}:flags=bicubic,format=yuv420p,setsar=1[d{number}]")
        measure = f"libvmaf=model=version={model}:n_threads={threads}:log_fmt=json:log_path={rung.name}.json"
        parts.append(f"[d{number}][r{number}]{measure}[o{number}]")
    return ";".join(parts)


# --- shell ------------------------------------------------------------------------------------------------------------


def measure(
    plan: Plan, window: Window, chunk_files: Mapping[str, Path], folder: Path, settings: QualitySettings, limits: tools.Limits
) -> dict[str, list[float]]:
    """Scores of the window's frames by rung, kept in ``folder`` so that they are measured once. Raises QualityUnknown."""
    done = folder / f"window-{window.index:05}.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=dict[str, list[float]])
    video = plan.source.video
    assert video is not None  # noqa: S101  (the plan has rungs only where there is a picture)
    rungs = [each for each in plan.rungs if each.name in chunk_files]
    threads = settings.threads or os.cpu_count() or 1
    start_s = seek_s(video, window.start, PREROLL_S)
    seek = ["-noaccurate_seek", "-ss", f"{start_s:.6f}"] if start_s else []
    argv = [tools.ffmpeg(), "-nostdin", "-v", "error", "-copyts", "-start_at_zero"]
    argv += [*seek, *tools.INPUT_GUARD, "-i", f"file:{plan.source.path}"]
    for rung in rungs:
        argv += [*tools.INPUT_GUARD, "-i", f"file:{chunk_files[rung.name]}"]
    argv += ["-filter_complex", graph(video, rungs, window, settings.model, threads)]
    for number in range(len(rungs)):
        argv += ["-map", f"[o{number}]", "-f", "null", "-"]
    with disk():
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        (folder / "scratch").mkdir(parents=True)
    try:
        tools.run(argv, timeout_s=TIMEOUT_S, cwd=folder / "scratch", limits=limits)
        scores = {rung.name: read_scores(folder / "scratch" / f"{rung.name}.json") for rung in rungs}
    except tools.ToolFailed as error:
        raise QualityUnknown(f"VMAF could not be measured: {error.message}") from error
    write_whole(done, msgspec.json.encode(scores))
    return scores


def read_scores(path: Path) -> list[float]:
    """The score of each frame in libvmaf's log. Raises QualityUnknown."""
    try:
        report = msgspec.json.decode(path.read_bytes())
        scores = [float(frame["metrics"]["vmaf"]) for frame in report["frames"]]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise QualityUnknown(f"libvmaf left no scores of {path.stem}") from error
    if not scores:
        raise QualityUnknown(f"libvmaf compared no frame of {path.stem}")
    return scores
