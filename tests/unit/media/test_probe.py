"""Probing real files: whole ones are described, broken ones refused with what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nearcast.media import probe
from nearcast.media.settings import MediaSettings
from tests.unit.media import films

SETTINGS = MediaSettings()


def test_a_film_is_described(small_film: Path) -> None:
    found = probe.probe(small_film, SETTINGS)
    assert found.video is not None
    assert (found.video.width, found.video.height, found.video.frame_rate) == (640, 360, (24, 1))
    assert found.duration_s == pytest.approx(3.0, abs=0.05)
    assert found.keyframe_gap_s == pytest.approx(1.0, abs=0.05)
    assert [each.channels for each in found.audio] == [1]


@pytest.mark.parametrize("faststart", [False, True])
def test_a_film_that_was_cut_off(tmp_path: Path, small_film: Path, faststart: bool) -> None:
    whole = small_film
    if faststart:
        whole = tmp_path / "front.mp4"
        films.ffmpeg("-i", small_film, "-c", "copy", "-movflags", "+faststart", whole)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(probe.Truncated, match=r"cut\.mp4") as told:
        probe.probe(cut, SETTINGS)
    assert told.value.hint


def test_a_matroska_that_was_cut_off(tmp_path: Path, small_film: Path) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    films.ffmpeg("-i", small_film, "-c", "copy", whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(probe.Truncated):
        probe.probe(cut, SETTINGS)


@pytest.mark.parametrize("name", ["whole.mkv", "front.mp4", "fragments.mp4", "sound.m4a"])
@pytest.mark.parametrize("lost_bytes", [1, 5000])
def test_a_film_that_misses_a_little_at_its_end(tmp_path: Path, small_film: Path, name: str, lost_bytes: int) -> None:
    options = {"front.mp4": ["-movflags", "+faststart"], "fragments.mp4": ["-movflags", "+frag_keyframe+empty_moov", "-write_tmcd", "0"]}
    options["sound.m4a"] = ["-vn", "-movflags", "+faststart"]
    whole, cut = tmp_path / name, tmp_path / f"cut {name}"
    films.ffmpeg("-i", small_film, "-c", "copy", *options.get(name, []), whole)
    if name == "fragments.mp4":
        lost_bytes += 1000  # the index of fragments at its end may go
    cut.write_bytes(whole.read_bytes()[:-lost_bytes])
    probe.probe(whole, SETTINGS)
    with pytest.raises(probe.Truncated, match="its end is not there"):
        probe.probe(cut, SETTINGS)


def test_what_was_written_without_knowing_its_length_is_whole(tmp_path: Path, small_film: Path) -> None:
    live, trailer = tmp_path / "live.mkv", tmp_path / "trailer.mp4"
    films.ffmpeg("-i", small_film, "-c", "copy", "-live", "1", live)
    trailer.write_bytes(small_film.read_bytes() + b"\0\0\0\0 added by a camera")
    for path in (live, trailer):
        assert probe.probe(path, SETTINGS).duration_s == pytest.approx(3.0, abs=0.1)


def test_matroska_that_begins_late_is_whole(tmp_path: Path, small_film: Path) -> None:
    late = tmp_path / "late.mkv"
    films.ffmpeg("-i", small_film, "-c", "copy", "-output_ts_offset", "3600", late)
    assert probe.probe(late, SETTINGS).duration_s == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("letter.mp4", b"Dear viewer, this is no film.\n" * 50, probe.NotMedia),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/etc/passwd\n", probe.NotMedia),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", probe.NotMedia),
        ("page.mp4", b"<html>404</html>" * 20, probe.NotMedia),
        ("subtitles.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", probe.NotMedia),
        ("noise.mkv", bytes(range(256)) * 40, probe.NotMedia),
        ("empty.mp4", b"", probe.Empty),
    ],
)
def test_what_is_no_film(tmp_path: Path, name: str, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=name.replace(".", r"\.")):
        probe.probe(path, SETTINGS)


def test_a_playlist_reads_no_other_file(tmp_path: Path, small_film: Path) -> None:
    """Playlists are refused even when what they name is a film."""
    for name, content in (
        ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\n{small_film}\n#EXT-X-ENDLIST\n"),
        ("b.ffconcat", f"ffconcat version 1.0\nfile '{small_film}'\n"),
    ):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(probe.NotMedia):
            probe.probe(path, SETTINGS)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "none.mp4", tmp_path, pipe, Path("/x\0y"), tmp_path / ("x" * 300)):
        with pytest.raises(probe.Unreadable):
            probe.fingerprint(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, small_film: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(small_film.read_bytes())
    path.chmod(0)
    with pytest.raises(probe.Unreadable, match="Permission denied"):
        probe.fingerprint(path)


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a" * 3_000_000)
    two.write_bytes(b"a" * 2_999_999 + b"b")
    assert probe.fingerprint(one).sample != probe.fingerprint(two).sample
    assert probe.content_sha256(one) != probe.content_sha256(two)


def test_sound_with_a_cover_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    cover = ["-f", "lavfi", "-i", "color=red:s=64x64:d=0.04", "-map", "0", "-map", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic"]
    films.ffmpeg(*films.tone(1), *cover, "-c:a", "libmp3lame", path)
    found = probe.probe(path, SETTINGS)
    assert found.video is None
    assert len(found.audio) == 1


def test_gaps_between_keyframes() -> None:
    assert probe.largest_gap_s([0.0, 2.0, 7.0], 10.0) == 5.0
    assert probe.largest_gap_s([], 10.0) == 0.0
    assert probe.largest_gap_s([0.0], 60.0) == 60.0


def test_missing_ends() -> None:
    assert probe.missing_s(100.0, 99.0) == 0.0
    assert probe.missing_s(100.0, 50.0) == 50.0
    assert probe.missing_s(100.0, None) == 100.0
    assert probe.missing_s(1.0, 0.9) == 0.0
    assert probe.missing_s(1.0, 0.2) == 0.8
