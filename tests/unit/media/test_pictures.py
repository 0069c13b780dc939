"""Posters and thumbnails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import pictures, tools
from tests.unit.media import films
from tests.unit.media.test_encode import described


@given(some.floats(0.04, 50_000), some.integers(16, 4000), some.integers(16, 4000))
def test_every_film_has_a_sheet_that_covers_it(duration_s: float, width: int, height: int) -> None:
    made = pictures.sheet(duration_s, width, height)
    assert 1 <= made.count <= pictures.TILES_MAX
    assert made.columns * made.rows >= made.count
    assert made.count * made.interval_s >= duration_s - 0.01
    assert made.tile_width % 2 == made.tile_height % 2 == 0


def test_the_liveliest_picture_is_taken() -> None:
    black, grey = bytes(64), bytes([128]) * 64
    lively = bytes(range(60, 188, 2))
    dark = bytes([0] * 60 + [255] * 4)
    assert pictures.liveliest([black, grey, dark, lively, lively]) == 3
    assert pictures.liveliest([]) == 0


def test_a_poster_is_not_taken_from_the_black(tmp_path: Path) -> None:
    film = tmp_path / "dark.mp4"
    graph = "color=black:s=128x72:r=24:d=3[a];testsrc2=s=128x72:r=24:d=3[b];[a][b]concat"
    films.ffmpeg("-f", "lavfi", "-i", graph, *films.FAST, film)
    assert pictures.poster_time_s(film, 6.0, tools.Limits()) >= 2.9


def test_the_sprite_has_the_size_it_says(tmp_path: Path, small_film: Path) -> None:
    layout = pictures.sheet(3.0, 640, 360, 0.5)
    out = tmp_path / "sprite.jpg"
    pictures.make_sprite(small_film, layout, out, tools.Limits())
    assert layout.count == 6
    assert (described(out)["width"], described(out)["height"]) == (layout.columns * 160, layout.rows * 90)


def test_a_given_poster(tmp_path: Path, small_film: Path) -> None:
    png, out = tmp_path / "poster 100% 🎬.png", tmp_path / "poster.jpg"
    films.ffmpeg("-i", small_film, "-frames:v", "1", "-vf", "scale=1401:801", tmp_path / "poster.png")
    (tmp_path / "poster.png").rename(png)
    pictures.convert_poster(png, out, tools.Limits())
    assert described(out)["codec_name"] == "mjpeg"
    assert described(out)["width"] == 1280
    letter = tmp_path / "letter.png"
    letter.write_text("no picture")
    for bad in (letter, tmp_path / "none.png", small_film):
        with pytest.raises(pictures.BadPoster, match=bad.name.split(".")[0]):
            pictures.convert_poster(bad, out, tools.Limits())
