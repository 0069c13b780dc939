"""Files of a title as they are published: immutable, named by content, verifiable slice by slice."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

BLOCK_BYTES = 1 << 20
"""Files are hashed in blocks of 1 MiB so that any slice can be verified on its own."""

KeyLabel = Literal["AUDIO", "SD", "HD", "UHD"]


def video_key_label(height: int) -> KeyLabel:
    """Which key protects a video of ``height`` lines: SD below 720, HD up to 1080, UHD above."""
    if height < 720:
        return "SD"
    return "HD" if height <= 1080 else "UHD"


class File(Struct, frozen=True, kw_only=True):
    """One published object. Its name is ``{root}.{extension}`` below its title's folder.

    ``root`` is the hex SHA-256 over the concatenated SHA-256 digests of the file's 1 MiB blocks;
    those digests (32 bytes each, in order) lie beside the file as ``{root}.blocks``.
    """

    root: str
    extension: str
    size_bytes: int

    @property
    def name(self) -> str:
        return f"{self.root}.{self.extension}"

    @property
    def blocks_name(self) -> str:
        return f"{self.root}.blocks"


class Vmaf(Struct, frozen=True, kw_only=True):
    """VMAF of one rendition against its source: harmonic mean and low percentiles over frames (0-100).

    ``frames`` is how many were compared: long films are sampled evenly.
    """

    model: str
    harmonic_mean: float
    percentile_1: float
    percentile_5: float
    frames: int = 0


class Rendition(Struct, frozen=True, kw_only=True):
    """One encoding of a title: one fragmented-MP4 file, the unit of placement and fill.

    ``init_range`` and ``index_range`` (the sidx box) are inclusive byte positions, as in DASH SegmentBase.
    ``playlist`` is the HLS media playlist, whose segments are byte ranges of ``file`` by relative address.
    ``key_label`` and ``key_id`` (32 hex digits) are None where the title is clear.
    """

    kind: Literal["video", "audio"]
    file: File
    playlist: File
    codec: str
    bitrate_bps: int
    peak_bitrate_bps: int
    duration_s: float
    init_range: tuple[int, int]
    index_range: tuple[int, int]
    key_label: KeyLabel | None = None
    key_id: str | None = None
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    vmaf: Vmaf | None = None
    language: str = "und"
    label: str = ""
    channels: int = 0
    sample_rate_hz: int = 0

    @property
    def name(self) -> str:
        """How people call it: ``1080p``, or the language of an audio track."""
        return f"{self.height}p" if self.kind == "video" else f"audio-{self.language}"


class TextTrack(Struct, frozen=True, kw_only=True):
    """WebVTT subtitles (``file``) and the HLS playlist of one segment that names them."""

    file: File
    playlist: File
    language: str
    label: str


class Thumbnails(Struct, frozen=True, kw_only=True):
    """Trick-play pictures: one JPEG sprite of ``columns`` x ``rows`` tiles, a tile each ``interval_s``."""

    file: File
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    interval_s: float
    count: int
