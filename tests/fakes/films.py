"""Films as the packager would describe them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, KeyLabel, Rendition, TextTrack, Thumbnails, video_key_label
from nearcast.model.title import Metadata, Publication, TitleState

PSSH = base64.b64encode(b"\x00\x00\x00\x20pssh common").decode()
LADDER = ((240, 400_000), (360, 800_000), (480, 1_400_000), (720, 2_800_000), (1080, 5_000_000))


def file(name: str, extension: str = "mp4", size_bytes: int = 1_000_000) -> File:
    """A file whose root is the hash of ``name``."""
    return File(root=hashlib.sha256(name.encode()).hexdigest(), extension=extension, size_bytes=size_bytes)


def key_id(title_id: str, label: str) -> str:
    return hashlib.md5(f"{title_id}/{label}".encode(), usedforsecurity=False).hexdigest()


def rendition(title_id: str, name: str, bitrate_bps: int, *, clear: bool = False, **fields: Any) -> Rendition:
    """A rendition as the packager would describe it. ``fields`` override."""
    height = int(fields.get("height", 0))
    kind = "video" if height else "audio"
    label: KeyLabel = video_key_label(height) if height else "AUDIO"
    given: dict[str, Any] = {
        "kind": kind,
        "file": file(f"{title_id}/{name}"),
        "playlist": file(f"{title_id}/{name}", "m3u8", 900),
        "codec": "avc1.64001f" if kind == "video" else "mp4a.40.2",
        "bitrate_bps": bitrate_bps,
        "peak_bitrate_bps": bitrate_bps * 3 // 2,
        "duration_s": 60.0,
        "init_range": (0, 999),
        "index_range": (1000, 1499),
        "key_label": None if clear else label,
        "key_id": None if clear else key_id(title_id, label),
    }
    return Rendition(**{**given, **fields})


def film(
    title_id: str = "t_film",
    *,
    name: str = "A Film",
    clear: bool = False,
    state: TitleState = "complete",
    ladder: tuple[tuple[int, int], ...] = LADDER,
    languages: tuple[str, ...] = ("en", "fr"),
    subtitles: tuple[str, ...] = ("en",),
) -> Publication:
    """A published film of a minute."""
    video = [
        rendition(title_id, f"{height}p", rate, clear=clear, width=height * 16 // 9, height=height, frame_rate=30000 / 1001)
        for height, rate in ladder
    ]
    audio = [
        rendition(title_id, f"audio-{tag}", 128_000, clear=clear, language=tag, label=tag.upper(), channels=2, sample_rate_hz=48000)
        for tag in languages
    ]
    text = [
        TextTrack(file=file(f"{title_id}/{tag}", "vtt"), playlist=file(f"{title_id}/{tag}.vtt", "m3u8"), language=tag, label=f"{tag} (CC)")
        for tag in subtitles
    ]
    manifest = Manifest(
        title_id=title_id,
        generation=1,
        complete=state == "complete",
        duration_s=60.0,
        created_at=0.0,
        video=tuple(video),
        audio=tuple(audio),
        text=tuple(text),
        poster=file(f"{title_id}/poster", "jpg", 2000),
        thumbnails=Thumbnails(
            file=file(f"{title_id}/sprite", "jpg", 5000), columns=10, rows=2, tile_width=160, tile_height=90, interval_s=5.0, count=12
        ),
        pssh="" if clear else PSSH,
    )
    held = None if state == "processing" else manifest
    return Publication(title_id=title_id, metadata=Metadata(name=name, genres=("Drama",)), state=state, manifest=held)
