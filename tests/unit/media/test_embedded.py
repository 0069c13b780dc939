"""Subtitles inside a film come out as sound WebVTT, at their times, whatever they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearcast.media import embedded, subtitles
from nearcast.media.probe import probe
from nearcast.media.settings import LimitSettings, MediaSettings
from tests.unit.media import films

SRT = "1\n00:00:00,500 --> 00:00:01,000\nHello <i>you</i>\n\n2\n00:00:01,200 --> 00:00:01,900\n- one\n- two\n\n"


def subtitled(tmp_path: Path, name: str, codec: str, text: str = SRT, *more: str) -> Path:
    own, film = tmp_path / "own.srt", tmp_path / name
    own.write_text(text)
    inputs: list[str | Path] = [*films.picture(), *films.tone(), "-f", "srt", "-i", own, "-map", "0", "-map", "1", "-map", "2"]
    films.ffmpeg(*inputs, *films.FAST, "-c:a", "aac", "-c:s", codec, "-metadata:s:s:0", "language=fra", *more, film)
    return film


def extracted(film: Path, folder: Path) -> tuple[embedded.TextTask, Path]:
    source = probe(film, MediaSettings())
    task = embedded.TextTask(source=source, folder=str(folder), limits=LimitSettings())
    embedded.extract(task)
    return task, folder


@pytest.mark.parametrize(
    ("name", "codec", "more"),
    [
        ("plain.mkv", "subrip", ()),
        ("styled.mkv", "ass", ()),
        ("web.mkv", "webvtt", ()),
        ("phone.mp4", "mov_text", ()),
        ("late.mkv", "subrip", ("-output_ts_offset", "3600")),
    ],
)
def test_every_kind_of_text_is_read(tmp_path: Path, name: str, codec: str, more: tuple[str, ...]) -> None:
    task, folder = extracted(subtitled(tmp_path, name, codec, SRT, *more), tmp_path / "text")
    (stream,) = embedded.readable(task.source)
    assert stream.language == "fr"
    assert embedded.left_out(task.source) == ""
    lines = embedded.read(folder, stream, 10_000).decode().split("\n")
    timings = [line.split(" --> ") for line in lines if "-->" in line]
    found = [[subtitles.time_s(each) for each in pair] for pair in timings]
    assert found == [
        [pytest.approx(0.5, abs=0.05), pytest.approx(1.0, abs=0.05)],
        [pytest.approx(1.2, abs=0.05), pytest.approx(1.9, abs=0.05)],
    ]
    assert "Hello <i>you</i>" in lines
    assert lines[-3:-1] == ["- one", "- two"]


def test_pictures_are_told_and_cost_nothing(tmp_path: Path) -> None:
    film = tmp_path / "disc.mkv"
    pictures: list[str | Path] = ["-f", "sup", "-i", films.picture_subtitles(tmp_path / "x.sup"), "-map", "0", "-map", "1", "-c:s", "copy"]
    films.ffmpeg(*films.picture(), *pictures, *films.FAST, "-metadata:s:s:0", "language=eng", film)
    source = probe(film, MediaSettings())
    assert embedded.readable(source) == ()
    assert "en (hdmv_pgs_subtitle)" in embedded.left_out(source)


def test_a_track_without_a_cue_is_told(tmp_path: Path) -> None:
    task, folder = extracted(subtitled(tmp_path, "x.mkv", "subrip"), tmp_path / "text")
    (stream,) = embedded.readable(task.source)
    with pytest.raises(subtitles.BadSubtitles, match="larger than 10 bytes"):
        embedded.read(folder, stream, 10)
    (folder / f"{stream.index}.vtt").write_text("WEBVTT\n\n")
    with pytest.raises(subtitles.BadSubtitles, match="no cue"):
        embedded.read(folder, stream, 10_000)
    with pytest.raises(subtitles.BadSubtitles, match="cannot be read"):
        embedded.read(tmp_path / "none", stream, 10_000)


def test_a_film_that_cannot_be_read_leaves_no_track_and_no_error(tmp_path: Path) -> None:
    film = subtitled(tmp_path, "x.mkv", "subrip")
    source = probe(film, MediaSettings())
    film.unlink()
    embedded.extract(embedded.TextTask(source=source, folder=str(tmp_path / "text"), limits=LimitSettings()))
    assert list((tmp_path / "text").iterdir()) == []


def test_what_a_tool_wrote_is_put_in_order() -> None:
    written = (
        "WEBVTT\n\n00:05.000 --> 00:06.000\nlater\n\nand an empty line\n\n00:02.000 --> 00:02.000\nno time\n\nat all\n\n"
        "name\n00:01.000 --> 00:02.000 line:0\nQ&A <3 <b>--></b>\n"
    )
    tidy = subtitles.tidied(written, "x")
    wanted = "WEBVTT\n\n00:01.000 --> 00:02.000 line:0\nQ&amp;A &lt;3 <b>→</b>\n\n00:05.000 --> 00:06.000\nlater\nand an empty line\n"
    assert tidy == wanted
    assert subtitles.check(tidy, "x") == 2
