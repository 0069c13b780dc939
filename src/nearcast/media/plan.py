"""What a job will do, decided once at its start and kept in its folder: rungs, segments, chunks, audio tracks. Pure.

Chunks are cut on the global grid of frames at the constant output rate, at multiples of a segment, so that frames are
neither lost nor doubled between two of them and every rendition has its keyframes at the same places.
"""

from __future__ import annotations

import math
from fractions import Fraction

from msgspec import Struct

from nearcast.media.ladder import Rung, ladder, starter
from nearcast.media.settings import EncodeSettings
from nearcast.media.source import AudioStream, Source, VideoStream
from nearcast.media.source import language as language_tag
from nearcast.model.ingest import SideTrack

TIMESCALE_MIN = 10_000
SPARSE_KEYFRAMES_CHUNKS = 4.0
"""A chunk is at least this many times the source's longest run without keyframes, for a task must decode from one on."""
PREROLL_S = 0.1
"""How far before its first frame a chunk's decoding begins at least: the frame shown at a border may have begun before it."""


class Chunk(Struct, frozen=True):
    """Frames ``[start, end)`` of the output grid. The last chunk has ``end`` None: it takes what is left."""

    index: int
    start: int
    end: int | None


class AudioTrack(Struct, frozen=True, kw_only=True):
    """One audio rendition to make. ``stream`` is the index in ``path``."""

    name: str
    path: str
    stream: int
    language: str
    label: str
    channels: int
    bitrate_bps: int
    duration_s: float


class Plan(Struct, frozen=True, kw_only=True):
    """``frames`` is what the source promises; the film may turn out a little shorter or longer."""

    source: Source
    frames: int
    segment_frames: int
    timescale: int
    ticks_per_frame: int
    starter: Rung | None
    better: tuple[Rung, ...]
    starter_chunks: tuple[Chunk, ...]
    chunks: tuple[Chunk, ...]
    audio: tuple[AudioTrack, ...]

    @property
    def rate(self) -> Fraction:
        return self.source.video.rate if self.source.video else Fraction(25)

    @property
    def segment_s(self) -> float:
        return float(self.segment_frames / self.rate)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return tuple(sorted((*self.better, *([self.starter] if self.starter else [])), key=lambda each: each.height))


def timescale(rate: Fraction) -> tuple[int, int]:
    """Ticks per second and per frame, so that a frame is a whole number of ticks."""
    factor = math.ceil(TIMESCALE_MIN / rate.numerator)
    return rate.numerator * factor, rate.denominator * factor


def chunks(frames: int, segment_frames: int, chunk_frames: int, at_once: int) -> tuple[Chunk, ...]:
    """``frames`` in chunks of whole segments, as near to ``chunk_frames`` as lets all tasks end together."""
    segments = max(1, frames // segment_frames)  # the last chunk takes the rest, so it is never shorter than a segment
    count = math.ceil(frames / chunk_frames)
    # A short film is shared out in pieces of two segments at least; a long one in rounds that all tasks take part in.
    count = min(at_once, max(1, segments // 2)) if count < at_once else min(segments, math.ceil(count / at_once) * at_once)
    borders = sorted({round(each * segments / count) * segment_frames for each in range(count)})
    return tuple(Chunk(index, start, borders[index + 1] if index + 1 < len(borders) else None) for index, start in enumerate(borders))


def frame_count(video: VideoStream) -> int:
    return max(1, round(video.duration_s * video.rate))


def too_short(promised: int, found: int, rate: Fraction) -> bool:
    """Whether decoding ended so far before the promised end that the film must be truncated."""
    return promised - found > min(2 * rate, Fraction(promised, 2))


def track_name(language: str, taken: set[str], suffix: str = "") -> str:
    """``audio-en``, ``audio-en-2``, …: a name for files and progress lines."""
    base = f"audio-{language}{suffix}"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def audio_tracks(source: Source, side: tuple[tuple[SideTrack, AudioStream], ...], settings: EncodeSettings) -> tuple[AudioTrack, ...]:
    """Stereo of every track first, side files after the film's own, then 5.1 where there is any."""
    origins = [(source.path, each, each.language, each.label) for each in source.audio]
    origins += [(track.path, each, language_tag(track.language), track.label or each.label) for track, each in side]
    taken: set[str] = set()
    found = [
        AudioTrack(
            name=track_name(language, taken),
            path=path,
            stream=each.index,
            language=language,
            label=label,
            channels=2,
            bitrate_bps=settings.audio_bitrate_bps,
            duration_s=each.duration_s,
        )
        for path, each, language, label in origins
    ]
    for path, each, language, label in origins:
        if settings.surround and each.channels >= 6:
            found.append(
                AudioTrack(
                    name=track_name(language, taken, "-surround"),
                    path=path,
                    stream=each.index,
                    language=language,
                    label=f"{label} 5.1".strip(),
                    channels=6,
                    bitrate_bps=settings.surround_bitrate_bps,
                    duration_s=each.duration_s,
                )
            )
    return tuple(found)


def make_plan(source: Source, side: tuple[tuple[SideTrack, AudioStream], ...], settings: EncodeSettings, at_once: int) -> Plan:
    """The whole plan for ``source`` with ``at_once`` tasks side by side."""
    tracks = audio_tracks(source, side, settings)
    video = source.video
    if video is None:
        return Plan(
            source=source,
            frames=0,
            segment_frames=round(settings.segment_s * 25),
            timescale=48_000,
            ticks_per_frame=1920,
            starter=None,
            better=(),
            starter_chunks=(),
            chunks=(),
            audio=tracks,
        )
    rungs = ladder(video.width, video.height, float(video.rate))
    first = starter(rungs, settings.starter_height)
    frames, segment = frame_count(video), max(1, round(settings.segment_s * video.rate))
    chunk_s = max(settings.chunk_s, SPARSE_KEYFRAMES_CHUNKS * source.keyframe_gap_s if source.keyframe_gap_s > settings.chunk_s else 0)
    ticks = timescale(video.rate)
    pieces = chunks(frames, segment, round(chunk_s * video.rate), at_once)
    return Plan(
        source=source,
        frames=frames,
        segment_frames=segment,
        timescale=ticks[0],
        ticks_per_frame=ticks[1],
        starter=first,
        better=tuple(each for each in rungs if each != first),
        starter_chunks=pieces,
        chunks=pieces if len(rungs) > 1 else (),
        audio=tracks,
    )
