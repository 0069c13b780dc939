"""Looks at a source before any work is spent on it: can it be read, is it a film, is it whole."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from nearcast.base.errors import BadInput, NearcastError
from nearcast.media import containers, tools
from nearcast.media.settings import MediaSettings
from nearcast.media.source import Source, duration, number, streams, text_streams

_MP4_BEGINNINGS = (b"ftyp", b"mdat", b"free", b"skip", b"wide", b"moov")
_BARE = re.compile(r"\[(h26[1-4]|hevc|vvc|evc|m4v|mpegvideo|mjpeg|vc1|av1|obu|dirac|cavsvideo) @ \w+\] Format not on whitelist")
_NO_CONTAINER = {"image2", "tty", "ass", "srt", "webvtt", "lrc", "subviewer", "ico"}
TAIL_S = 10.0
TRUNCATED_S = 2.0
"""Containers may promise this much more than there is before a film counts as truncated."""
KEYFRAME_WINDOW_S = 60.0
HASH_STEP_BYTES = 1 << 20


class Unreadable(BadInput):
    """The path does not lead to a file that can be read."""

    code = "NC1101"
    cure = "check the path, and that the user who runs Nearcast may read it"


class NotMedia(BadInput):
    """The file is not a film or a recording that can be decoded."""

    code = "NC1102"
    cure = "give a video or audio file, as MP4, MOV, Matroska, WebM, MPEG-TS or AVI"


class Truncated(BadInput):
    """The file ends before its film does."""

    code = "NC1103"
    cure = "copy or download the file again; a recording that was cut off may be repaired by the tool that made it"


class Empty(BadInput):
    """The file has no bytes."""

    code = "NC1104"
    cure = "copy or download the file again"


class SourceChanged(NearcastError):
    """The file is not the one that the job began with."""

    code = "NC1105"
    status = 409
    cure = "leave the file alone while it is ingested; ingest it again to begin anew"


class Fingerprint(msgspec.Struct, frozen=True):
    """What tells cheaply whether a file is still the same."""

    size_bytes: int
    modified_ns: int
    sample: str
    """SHA-256 over the first and last MiB, hex."""


def fingerprint(path: Path) -> Fingerprint:
    """Raises Unreadable or Empty."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{path} is not a file", hint="give the path of one film")
        if found.st_size == 0:
            raise Empty(f"{path.name} is empty")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(HASH_STEP_BYTES))
            file.seek(max(0, found.st_size - HASH_STEP_BYTES))
            digest.update(file.read(HASH_STEP_BYTES))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise Unreadable(f"{str(path)!r} is no path") from error
    return Fingerprint(found.st_size, found.st_mtime_ns, digest.hexdigest())


def content_sha256(path: Path) -> str:
    """Hex SHA-256 of the whole file. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error


# --- pure: reading what ffprobe says ----------------------------------------------------------------------------------


def missing_s(expected_s: float, last_packet_s: float | None) -> float:
    """How many seconds at the end of a stream are not there; 0.0 within the tolerance for sloppy containers."""
    gap_s = expected_s - (last_packet_s or 0.0)
    return gap_s if gap_s > min(TRUNCATED_S, expected_s / 2) else 0.0


def largest_gap_s(keyframes_s: Iterable[float], end_s: float) -> float:
    """The longest run without a keyframe, in seconds, up to ``end_s``."""
    points = [*sorted(keyframes_s), end_s]
    return max([0.0, *(after - before for before, after in itertools.pairwise(points))])


def explain(stderr: str, name: str, head: bytes) -> BadInput:
    """The error for a file that ffprobe refused, by what it said; ``head`` is how the file begins."""
    if "moov atom not found" in stderr and head[4:8] in _MP4_BEGINNINGS:  # anything named .mp4 is taken for one at first
        return Truncated(f"{name} has no index (moov): it is truncated, or was never finished")
    if "Permission denied" in stderr:
        return Unreadable(f"{name} cannot be read: permission denied")
    if bare := _BARE.search(stderr):
        hint = f"put it into one that has times: `mkvmerge -o film.mkv --default-duration 0:24fps {name}`, with its own frame rate"
        return NotMedia(f"{name} is a bare {bare[1]} stream, without a container", hint=hint)
    if "not on whitelist" in stderr or "not allowed" in stderr:
        return NotMedia(f"{name} is a list of other files, not a film")
    if "End of file" in stderr:
        return Truncated(f"{name} ends in the middle of its header")
    return NotMedia(f"{name} is not a video or audio file")


# --- shell ------------------------------------------------------------------------------------------------------------


def _ask(path: Path, arguments: list[str], settings: MediaSettings) -> dict[str, Any]:
    """ffprobe's JSON. Raises BadInput as ``explain`` says."""
    limits = tools.Limits(memory_bytes=settings.limits.memory_bytes, cpu_s=int(settings.limits.probe_timeout_s) * 4)
    argv = [tools.ffprobe(), "-v", "error", *tools.INPUT_GUARD, "-of", "json", *arguments]
    try:
        done = tools.run([*argv, "-i", f"file:{path}"], timeout_s=settings.limits.probe_timeout_s, limits=limits)
    except tools.ToolTimeout as error:
        raise NotMedia(f"{path.name} could not be understood within {settings.limits.probe_timeout_s:.0f} s") from error
    except tools.ToolFailed as error:
        raise explain(error.said, path.name, _head(path)) from error
    try:
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
    except msgspec.MsgspecError as error:
        raise NotMedia(f"{path.name} cannot be described") from error
    return found


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


class _Packet(msgspec.Struct, frozen=True):
    stream: int
    time_s: float
    end_s: float
    key: bool


def _packets(path: Path, interval: str, settings: MediaSettings, stream: int | None = None) -> list[_Packet]:
    """The packets of an ffprobe interval, of one stream or all, in file order; times count from the container's zero."""
    only = [] if stream is None else ["-select_streams", str(stream)]
    entries = ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-read_intervals", interval]
    found = []
    for each in _ask(path, [*only, *entries], settings).get("packets", ()):
        text = each.get("pts_time", each.get("dts_time"))
        if text is not None:
            time_s = float(text)
            end_s = time_s + float(each.get("duration_time", 0) or 0)
            found.append(_Packet(int(each["stream_index"]), time_s, end_s, "K" in each.get("flags", "")))
    return found


def _ends_s(packets: Iterable[_Packet], origin_s: float) -> dict[int, float]:
    """When each stream ends, by its last packets, in seconds from the film's start."""
    ends: dict[int, float] = {}
    for each in packets:
        ends[each.stream] = max(ends.get(each.stream, 0.0), each.end_s - origin_s)
    return ends


def _keyframe_gap_s(path: Path, stream: int, duration_s: float, origin_s: float, settings: MediaSettings) -> float:
    """The longest run without a keyframe in the first minute; where that shows none, in the whole film."""
    window_s = min(KEYFRAME_WINDOW_S, duration_s)
    gap_s = 0.0
    for interval, end_s in ((f"%+{window_s:.3f}", window_s), ("%", duration_s)):
        keys = [each.time_s - origin_s for each in _packets(path, interval, settings, stream) if each.key]
        gap_s = largest_gap_s(keys, end_s)
        if len(keys) > 1 or end_s >= duration_s:
            break
    return gap_s


def _measured(path: Path, container_s: float, origin_s: float, settings: MediaSettings) -> dict[int, float]:
    """When each stream really ends. Raises Truncated where nothing is left of the promised end."""
    if container_s <= 0:
        return _ends_s(_packets(path, "%", settings), origin_s)
    near_s = max(0.0, origin_s + container_s - TAIL_S)
    ends = _ends_s(_packets(path, f"{near_s:.3f}%" if near_s > 0 else "%", settings), origin_s)
    lost_s = missing_s(container_s, max(ends.values(), default=None))
    if lost_s:
        raise Truncated(f"{path.name} should last {container_s:.1f} s, but its last {lost_s:.1f} s are not there")
    return ends


def probe(path: Path, settings: MediaSettings) -> Source:
    """Everything encoding must know of the file at ``path``. Raises Unreadable, Empty, NotMedia or Truncated."""
    mark = fingerprint(path)
    report = _ask(path, ["-show_format", "-show_streams"], settings)
    container = report.get("format", {})
    video, audio = streams(report, settings.encode.frame_rate_max)
    if str(container.get("format_name", "")) in _NO_CONTAINER or (video is None and not audio):
        raise NotMedia(f"{path.name} has neither picture nor sound")
    if lost_bytes := containers.missing_bytes(path):
        raise Truncated(f"{path.name} is {lost_bytes} bytes shorter than it says: its end is not there")
    origin_s = number(container.get("start_time"), 0.0)
    container_s = duration(container.get("duration"))
    if str(container.get("format_name", "")).startswith("matroska") and container_s > origin_s:
        container_s -= origin_s  # Matroska tells when it ends, not how long it lasts
    ends = _measured(path, container_s, origin_s, settings)
    total_s = container_s or max(ends.values(), default=0.0)
    if total_s <= 0:
        raise Truncated(f"{path.name} has not a single frame")
    if video:
        # The stream's own duration counts from its first frame; the grid counts from the container's start.
        end_s = ends.get(video.index, video.duration_s or total_s)
        video = msgspec.structs.replace(video, duration_s=max(end_s, float(1 / Fraction(*video.frame_rate))))
    audio = tuple(msgspec.structs.replace(each, duration_s=ends.get(each.index, each.duration_s or total_s)) for each in audio)
    return Source(
        path=os.fspath(path),
        size_bytes=mark.size_bytes,
        modified_ns=mark.modified_ns,
        format=str(container.get("format_name", "")),
        duration_s=max(video.duration_s if video else 0.0, *(each.duration_s for each in audio), 0.0),
        video=video,
        audio=audio,
        keyframe_gap_s=_keyframe_gap_s(path, video.index, total_s, origin_s, settings) if video else 0.0,
        text=text_streams(report),
    )
