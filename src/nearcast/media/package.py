"""From encoded files to what is published: Shaka Packager (cbcs, one fragmented MP4 per rendition), names by content, HLS playlists.

Keys reach the packager through its standard input as a flag file: they stand on no command line and touch no disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from nearcast.media import boxes, hls, tools
from nearcast.media.blocks import hash_file
from nearcast.media.files import disk, settle, sync, write_whole
from nearcast.media.ladder import Rung
from nearcast.media.plan import AudioTrack
from nearcast.model.rendition import File, KeyLabel, Rendition, TextTrack
from nearcast.model.services import ContentKey, KeySet

TIMEOUT_S = 6 * 3600.0
VIDEO_SEGMENT_SHARE = 0.995
"""The packager cuts at the first keyframe past a multiple of this share of a segment: just before the keyframe that is meant."""


class Media(Struct, frozen=True, kw_only=True):
    """One encoded rendition on its way out. ``segment_s`` is the exact length of its segments."""

    name: str
    path: Path
    segment_s: float
    rung: Rung | None = None
    track: AudioTrack | None = None
    frame_rate: float = 0.0
    pieces: tuple[tuple[Path, int], ...] = ()
    """Chunks that ``path`` is joined from, with the tick at which each begins; empty where ``path`` is one already."""

    @property
    def label(self) -> KeyLabel:
        return self.rung.label if self.rung else "AUDIO"


# --- pure -------------------------------------------------------------------------------------------------------------


def key_for(keys: KeySet | None, label: KeyLabel) -> ContentKey | None:
    """The key of ``label``; None for a clear title."""
    return next((each for each in keys.keys if each.label == label), None) if keys else None


def title_pssh(keys: KeySet | None) -> bytes:
    """One pssh that names every key of the title, so that one licence request brings them all."""
    return boxes.pssh([each.key_id for each in keys.keys]) if keys else b""


def flags(media: Media, key: ContentKey | None, pssh: bytes) -> bytes:
    """The packager's flag file."""
    segment_s = media.segment_s * (VIDEO_SEGMENT_SHARE if media.rung else 1.0)
    lines = [f"--segment_duration={segment_s:.6f}", "--temp_dir=."]
    if key:
        lines += ["--enable_raw_key_encryption", "--protection_scheme=cbcs", "--clear_lead=0", f"--pssh={pssh.hex()}"]
        lines.append(f"--keys=label={key.label}:key_id={key.key_id.hex()}:key={key.key.hex()}")
    return ("\n".join(lines) + "\n").encode()


def rates(index: boxes.Index, size_bytes: int) -> tuple[int, int]:
    """Average and peak bit rate of a rendition; the last, often short, segment does not count towards the peak unless it is alone."""
    segments = index.segments[:-1] or index.segments
    average = size_bytes * 8 / index.duration_s if index.duration_s else 0.0
    peak = max(((each.end - each.start) * 8 / each.duration_s for each in segments if each.duration_s), default=average)
    return round(average), max(round(peak), round(average))


# --- shell ------------------------------------------------------------------------------------------------------------


def name_by_content(path: Path, out: Path, extension: str) -> File:
    """Move ``path`` into ``out`` under its content's name, its block digests beside it."""
    file, blocks = hash_file(path, extension)
    write_whole(out / file.blocks_name, blocks)
    settle(path, out / file.name)
    return file


def put_bytes(content: bytes, out: Path, extension: str) -> File:
    """The same for a small file in memory."""
    part = out / f".{hashlib.sha256(content).hexdigest()}.{extension}.part"
    write_whole(part, content)
    return name_by_content(part, out, extension)


def join_chunks(pieces: Sequence[tuple[Path, int]], target: Path) -> None:
    with disk():
        boxes.join(pieces, target)
        sync(target)


def pack_text(content: bytes, language: str, label: str, duration_s: float, out: Path) -> TextTrack:
    """Sound WebVTT as it is published, with its playlist."""
    file = put_bytes(content, out, "vtt")
    playlist = put_bytes(hls.text_playlist(duration_s, file.name).encode(), out, "m3u8")
    return TextTrack(file=file, playlist=playlist, language=language, label=label or language)


def pack(media: Media, out: Path, scratch: Path, keys: KeySet | None, limits: tools.Limits) -> Rendition:
    """Package one rendition into ``out``. Its chunks stay. Raises ToolFailed, DiskFull."""
    if media.pieces:
        join_chunks(media.pieces, media.path)
    key = key_for(keys, media.label)
    kind = "video" if media.rung else "audio"
    packed = scratch / f"{media.name}.packed.mp4"
    stream = f"in={os.path.relpath(media.path, scratch)},stream={kind},output={packed.name}" + (f",drm_label={key.label}" if key else "")
    # Names are relative to the working folder: its path may hold commas and spaces, which stream descriptors cannot.
    argv = [tools.packager(), stream, "--flagfile=/dev/stdin"]
    tools.run(argv, timeout_s=TIMEOUT_S, stdin=flags(media, key, title_pssh(keys)), cwd=scratch, limits=limits)
    index, codec = boxes.read_index(packed), boxes.codec(packed)
    file = name_by_content(packed, out, "mp4")
    playlist = put_bytes(hls.media_playlist(index, file.name, key.key_id if key else None).encode(), out, "m3u8")
    average_bps, peak_bps = rates(index, file.size_bytes)
    rung, track = media.rung, media.track
    return Rendition(
        kind="video" if rung else "audio",
        file=file,
        playlist=playlist,
        codec=codec,
        bitrate_bps=average_bps,
        peak_bitrate_bps=peak_bps,
        duration_s=index.duration_s,
        init_range=index.init_range,
        index_range=index.index_range,
        key_label=key.label if key else None,
        key_id=key.key_id.hex() if key else None,
        width=rung.width if rung else 0,
        height=rung.height if rung else 0,
        frame_rate=media.frame_rate,
        language=track.language if track else "und",
        label=track.label if track else "",
        channels=track.channels if track else 0,
        sample_rate_hz=48_000 if track else 0,
    )
