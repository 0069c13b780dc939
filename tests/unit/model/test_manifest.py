"""A manifest names each of its files once, small ones first, and survives JSON and MessagePack unchanged."""

from __future__ import annotations

import msgspec

from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition, Thumbnails


def file(root: str, extension: str = "mp4", size_bytes: int = 10) -> File:
    return File(root=root, extension=extension, size_bytes=size_bytes)


def rendition(kind: str, bitrate_bps: int, root: str) -> Rendition:
    return Rendition(
        kind=kind,  # type: ignore[arg-type]
        file=file(root),
        playlist=file(root + "p", "m3u8"),
        codec="avc1.64001f",
        bitrate_bps=bitrate_bps,
        peak_bitrate_bps=bitrate_bps,
        duration_s=4.0,
        init_range=(0, 99),
        index_range=(100, 199),
        height=720 if kind == "video" else 0,
    )


MANIFEST = Manifest(
    title_id="t_1",
    generation=2,
    complete=True,
    duration_s=4.0,
    created_at=1.0,
    video=(rendition("video", 900, "b"), rendition("video", 100, "a")),
    audio=(rendition("audio", 64, "s"),),
    poster=file("j", "jpg"),
    thumbnails=Thumbnails(file=file("j", "jpg"), columns=1, rows=1, tile_width=1, tile_height=1, interval_s=1.0, count=1),
)


def test_files_come_once_and_small_ones_first() -> None:
    assert [each.root for each in MANIFEST.files()] == ["j", "sp", "s", "ap", "a", "bp", "b"]


def test_it_crosses_both_wires_unchanged() -> None:
    assert msgspec.json.decode(msgspec.json.encode(MANIFEST), type=Manifest) == MANIFEST
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(MANIFEST), type=Manifest) == MANIFEST


def test_names_and_clearness() -> None:
    assert MANIFEST.clear
    assert MANIFEST.video[0].name == "720p"
    assert MANIFEST.audio[0].name == "audio-und"
    assert file("ab").name == "ab.mp4"
    assert file("ab").blocks_name == "ab.blocks"
