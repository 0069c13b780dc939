"""Subtitles: mistakes are told with their line, SubRip becomes WebVTT."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import subtitles
from nearcast.media.subtitles import BadSubtitles

GOOD = """WEBVTT - a film

NOTE 00:00 --> nonsense is fine here

STYLE
::cue {}

1
00:01.000 --> 00:04.000 align:left
Hello

01:00:00.000 --> 01:00:01.500
Bye
"""


def test_a_good_file() -> None:
    assert subtitles.check(GOOD, "x.vtt") == 2


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("00:01.000 --> 00:04.000\nHello\n", 1, "WEBVTT"),
        ("WEBVTTX\n", 1, "WEBVTT"),
        ("WEBVTT\n\n00:04.000 --> 00:01.000\nHello\n", 3, "ends before"),
        ("WEBVTT\n\n00:04.000 --> 00:05.000\nA\n\n00:01.000 --> 00:02.000\nB\n", 6, "above"),
        ("WEBVTT\n\n00:01,000 --> 00:04,000\nHello\n", 3, "no timing"),
        ("WEBVTT\n\n00:01.000 -->\nHello\n", 3, "no timing"),
        ("WEBVTT\n\n00:99.000 --> 00:99.500\nHello\n", 3, "no timing"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, line: int, word: str) -> None:
    with pytest.raises(BadSubtitles) as told:
        subtitles.check(text, "x.vtt")
    assert f"line {line}:" in told.value.message
    assert word in told.value.message


def test_a_file_without_cues_is_refused() -> None:
    with pytest.raises(BadSubtitles, match="no cue"):
        subtitles.check("WEBVTT\n\n", "x.vtt")


def test_subrip(tmp_path: Path) -> None:
    path = tmp_path / "film.fr.srt"
    path.write_bytes(
        "\ufeff2\r\n00:00:05,000 --> 00:00:06,000\r\nDeux\r\n\r\n1\r\n00:00:01,500 --> 00:00:02,000\r\nUn --> é\r\nligne\r\n".encode()
    )
    text = subtitles.read(path, 1000).decode()
    assert text == "WEBVTT\n\n00:00:01.500 --> 00:00:02.000\nUn → é\nligne\n\n00:00:05.000 --> 00:00:06.000\nDeux\n"
    with pytest.raises(BadSubtitles, match="line 2"):
        subtitles.from_srt("1\nhello there\n", "x.srt")


def test_encodings(tmp_path: Path) -> None:
    assert subtitles.decode("WEBVTT é".encode("utf-16"), "x") == "WEBVTT é"
    with pytest.raises(BadSubtitles, match="line 2"):
        subtitles.decode(b"WEBVTT\n\xe9t\xe9", "x")
    path = tmp_path / "big.vtt"
    path.write_text(GOOD)
    with pytest.raises(BadSubtitles, match="larger"):
        subtitles.read(path, 10)
    with pytest.raises(BadSubtitles, match="No such file"):
        subtitles.read(tmp_path / "none.vtt", 10)


def test_the_language_may_stand_in_the_name() -> None:
    assert subtitles.language_of("", Path("film.en.vtt")) == "en"
    assert subtitles.language_of("fra", Path("film.en.vtt")) == "fr"
    assert subtitles.language_of("", Path("film.vtt")) == "und"


@given(some.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(BadSubtitles):
        assert subtitles.check(subtitles.decode(text.encode("utf-8", "replace"), "x"), "x") > 0
