"""What an operator may change about ingest. Defaults were measured on two cores; docs say how."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class EncodeSettings(Struct, frozen=True, kw_only=True):
    """How renditions are made.

    Preset and CRF by measurement (Big Buck Bunny, VMAF NEG of 1080p against CPU time): ``veryfast`` at 22 gives 93 to 94;
    ``faster`` saves a fifth of the bits at the same score and takes 1.8 times as long, ``fast`` 2.1 times.
    """

    preset: Annotated[str, Meta(description="x264 preset of all renditions but the first")] = "veryfast"
    starter_preset: Annotated[str, Meta(description="x264 preset of the rendition that makes a title playable")] = "veryfast"
    starter_height: Annotated[int, Meta(description="which rung is made first, before all others", ge=2)] = 360
    crf: Annotated[int, Meta(description="x264 constant rate factor; lower is better and larger", ge=0, le=51)] = 22
    segment_s: Annotated[float, Meta(description="length of a segment, and of a group of pictures", gt=0.5, le=20)] = 4.0
    chunk_s: Annotated[float, Meta(description="film encoded by one task; what a kill can cost at most", gt=1)] = 32.0
    chunks_at_once: Annotated[int, Meta(description="tasks at once; 0: by the number of cores", ge=0)] = 0
    threads: Annotated[int, Meta(description="x264 threads of one rendition in one task; 0: as x264 likes", ge=0)] = 1
    frame_rate_max: Annotated[float, Meta(description="faster films are halved until they fit", gt=0)] = 60.0
    audio_bitrate_bps: Annotated[int, Meta(description="AAC stereo")] = 128_000
    surround: Annotated[bool, Meta(description="keep 5.1 audio as a rendition of its own beside the stereo one")] = True
    surround_bitrate_bps: Annotated[int, Meta(description="AAC 5.1")] = 384_000


class QualitySettings(Struct, frozen=True, kw_only=True):
    """VMAF of what was published."""

    enabled: Annotated[bool, Meta(description="measure VMAF after publishing")] = True
    model: Annotated[str, Meta(description="libvmaf's built-in model")] = "vmaf_v0.6.1neg"
    frames_max: Annotated[int, Meta(description="frames compared per rendition; longer films are sampled evenly", ge=1)] = 240
    threads: Annotated[int, Meta(description="libvmaf threads; 0: by the number of cores", ge=0)] = 0


class LimitSettings(Struct, frozen=True, kw_only=True):
    """What ffmpeg and the packager may use while they read a file that nobody vouches for."""

    memory_bytes: Annotated[int, Meta(description="address space of one tool")] = 16_000_000_000
    probe_timeout_s: Annotated[float, Meta(description="longest look at a source")] = 60.0
    slowest_speed: Annotated[float, Meta(description="a task slower than this many seconds of film per second has hung")] = 0.01
    subtitle_bytes: Annotated[int, Meta(description="largest subtitle file")] = 10_000_000
    upload_bytes: Annotated[int, Meta(description="largest upload")] = 200_000_000_000


class MediaSettings(Struct, frozen=True, kw_only=True):
    """Everything about ingest."""

    encode: EncodeSettings = EncodeSettings()
    quality: QualitySettings = QualitySettings()
    limits: LimitSettings = LimitSettings()
    jobs_at_once: Annotated[int, Meta(description="ingest jobs that run at once; the others queue", ge=1)] = 1
    niceness: Annotated[int, Meta(description="priority of encoding below everything else on its machine; 0: none", ge=0, le=19)] = 10
    follower_lease_s: Annotated[float, Meta(description="a command that has not asked for this long has gone")] = 3.0
    upload_ttl_s: Annotated[float, Meta(description="an upload address is good for")] = 86_400.0
    keep_jobs: Annotated[int, Meta(description="ended jobs remembered", ge=1)] = 100
    retired_min_s: Annotated[float, Meta(description="files of an older generation stay at least this long")] = 6 * 3600.0
