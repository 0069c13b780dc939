"""Packaging: what is published is encrypted, decodes with its key, and no key is seen on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nearcast.media import boxes, package, tools
from nearcast.media.ladder import ladder
from nearcast.model.rendition import KeyLabel
from nearcast.model.services import ContentKey, KeySet
from tests.unit.media import films

LABELS: tuple[KeyLabel, ...] = ("AUDIO", "SD", "HD", "UHD")
KEYS = KeySet(
    title_id="t_1", keys=tuple(ContentKey(label=each, key_id=bytes([n]) * 16, key=bytes([n + 99]) * 16) for n, each in enumerate(LABELS))
)


def media(scratch: Path, film: Path) -> package.Media:
    scratch.mkdir(parents=True)
    encoded = scratch / "240p.mp4"
    films.ffmpeg(
        "-i", film, "-an", "-vf", "scale=426:240", "-c:v", "libx264", "-preset", "ultrafast", "-g", "24", "-sc_threshold", "0", encoded
    )
    return package.Media(name="240p", path=encoded, segment_s=1.0, rung=ladder(426, 240, 24.0)[0], frame_rate=24.0)


def test_a_rendition_is_encrypted_and_indexed(tmp_path: Path, small_film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    real = tools.run

    def spy(argv: Any, **more: Any) -> tools.Finished:
        commands.append([str(each) for each in argv])
        return real(argv, **more)

    monkeypatch.setattr(tools, "run", spy)
    scratch, out = tmp_path / "a folder, with = signs" / "scratch", tmp_path / "out"
    out.mkdir()
    made = package.pack(media(scratch, small_film), out, scratch, KEYS, tools.Limits())
    path = out / made.file.name
    content = path.read_bytes()
    assert (made.key_label, made.key_id) == ("SD", "01" * 16)
    assert not any(KEYS.keys[1].key.hex() in word for command in commands for word in command)
    assert not [each for each in tmp_path.rglob("*") if each.is_file() and KEYS.keys[1].key.hex().encode() in each.read_bytes()]
    assert made.codec.startswith("avc1.")
    assert content[made.index_range[0] + 4 : made.index_range[0] + 8] == b"sidx"
    assert package.title_pssh(KEYS) in content, "one pssh with every key"
    playlist = (out / made.playlist.name).read_text()
    index = boxes.read_index(path)
    assert playlist.count(made.file.name) == len(index.segments) + 1
    assert [round(each.duration_s, 3) for each in index.segments] == [1.0, 1.0, 1.0]
    assert made.peak_bitrate_bps >= made.bitrate_bps > 0
    key = ("-decryption_key", KEYS.keys[1].key.hex())
    assert len(films.frame_hashes(path, *key)) == 72
    assert films.mean_luma(path, *key) != films.mean_luma(path), "without its key it is noise"


def test_a_clear_one_is_clear(tmp_path: Path, small_film: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made = package.pack(media(tmp_path / "scratch", small_film), out, tmp_path / "scratch", None, tools.Limits())
    assert (made.key_label, made.key_id) == (None, None)
    assert len(films.frame_hashes(out / made.file.name)) == 72
    assert b"pssh" not in (out / made.file.name).read_bytes()
    assert "EXT-X-KEY" not in (out / made.playlist.name).read_text()


def test_which_key() -> None:
    assert package.key_for(KEYS, "HD") == KEYS.keys[2]
    assert package.key_for(None, "HD") is None
    assert package.title_pssh(None) == b""


def test_rates_leave_the_short_last_segment_out() -> None:
    def index(*segments: tuple[int, float]) -> boxes.Index:
        at, found = 0, []
        for size, length_s in segments:
            found.append(boxes.Reference(at, at + size, length_s))
            at += size
        return boxes.Index((0, 0), (0, 0), tuple(found))

    assert package.rates(index((1000, 4.0), (2000, 4.0), (900, 0.1)), 4050) == (4000, 4000)
    assert package.rates(index((1000, 2.0)), 1000) == (4000, 4000)
