"""What ffprobe's report means: rates, sizes, colours, languages."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import source


def report(**stream: Any) -> dict[str, Any]:
    picture = {
        "index": 0,
        "codec_type": "video",
        "codec_name": "h264",
        "width": 1920,
        "height": 1080,
        "r_frame_rate": "24/1",
        "avg_frame_rate": "24/1",
        "pix_fmt": "yuv420p",
    }
    return {"format": {"duration": "10.0", "start_time": "1.5"}, "streams": [picture | stream]}


def video(**stream: Any) -> source.VideoStream:
    found, _ = source.streams(report(**stream), 60.0)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("nominal", "average", "rate", "variable"),
    [
        ("24/1", "24/1", "24", False),
        ("24000/1001", "24000/1001", "24000/1001", False),
        ("17/1", "17/1", "17", False),
        ("30/1", "29.97", "30", False),
        ("120/1", "120/1", "60", False),
        ("240/1", "240/1", "60", False),
        ("30/1", "12.4", "30", True),
        ("90000/1", "29.87", "30000/1001", True),
        ("1000/1", "14.2", "15", True),
        ("0/0", "25/1", "25", False),
    ],
)
def test_frame_rates(nominal: str, average: str, rate: str, variable: bool) -> None:
    assert source.constant_rate(source.rational(nominal), source.rational(average), 60.0) == (Fraction(rate), variable)


def test_fields_are_not_frames() -> None:
    assert source.constant_rate(Fraction(50), Fraction(25), 60.0, interlaced=True)[0] == 25
    assert source.constant_rate(Fraction(60000, 1001), Fraction(30000, 1001), 60.0, interlaced=True)[0] == Fraction(30000, 1001)


def test_no_rate_at_all() -> None:
    assert source.constant_rate(None, None, 60.0) == (Fraction(25), True)


@given(some.fractions(min_value=Fraction(1, 1000), max_value=100_000), some.fractions(min_value=Fraction(1, 1000), max_value=100_000))
def test_any_rate_becomes_one_that_can_be_encoded(nominal: Fraction, average: Fraction) -> None:
    rate, _ = source.constant_rate(nominal, average, 60.0)
    assert 1 <= rate <= 60
    assert rate.denominator <= 1001


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        ({}, (1920, 1080)),
        ({"width": 720, "height": 576, "sample_aspect_ratio": "64:45"}, (1024, 576)),
        ({"sample_aspect_ratio": "0:1"}, (1920, 1080)),
        ({"side_data_list": [{"rotation": -90}]}, (1080, 1920)),
        ({"side_data_list": [{"rotation": 180}]}, (1920, 1080)),
        ({"tags": {"rotate": "270"}}, (1080, 1920)),
    ],
)
def test_sizes_are_as_displayed(stream: dict[str, Any], size: tuple[int, int]) -> None:
    found = video(**stream)
    assert (found.width, found.height) == size


@pytest.mark.parametrize(
    ("stream", "plain"),
    [
        ({}, True),
        ({"side_data_list": [{"rotation": -90}]}, True),
        ({"width": 720, "height": 576, "sample_aspect_ratio": "64:45"}, False),
        ({"width": 853, "height": 480}, False),
        ({"pix_fmt": "yuv420p10le"}, False),
        ({"pix_fmt": "yuvj420p"}, False),
        ({"color_range": "pc"}, False),
    ],
)
def test_what_is_plain(stream: dict[str, Any], plain: bool) -> None:
    assert video(**stream).plain is plain


def test_colours() -> None:
    assert video(color_transfer="smpte2084", color_primaries="bt2020", color_space="bt2020nc").hdr == "pq"
    assert video(color_transfer="arib-std-b67").hdr == "hlg"
    assert video(color_primaries="bt2020").wide_gamut
    assert video(color_range="pc").full_range
    assert video(pix_fmt="yuvj420p").full_range
    assert not video().full_range
    assert [source.bit_depth(each, None) for each in ("yuv420p", "yuv420p10le", "p010le", "yuv422p12be", "gray16le")] == [8, 10, 10, 12, 16]
    assert source.bit_depth("yuv420p", "10") == 10


def test_a_late_picture_is_told() -> None:
    assert video(start_time="3.0").start_s == 1.5
    assert video(start_time="1.0").start_s == 0.0
    assert video(start_time="N/A").start_s == 0.0


def test_covers_are_no_pictures_and_the_default_comes_first() -> None:
    found = report()
    cover = found["streams"][0] | {"disposition": {"attached_pic": 1}}
    second = found["streams"][0] | {"index": 3, "disposition": {"default": 1}, "height": 720}
    assert source.streams({"streams": [cover]}, 60.0) == (None, ())
    chosen, _ = source.streams({"streams": [*found["streams"], second]}, 60.0)
    assert chosen is not None
    assert chosen.index == 3


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ("eng", "en"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("en", "en"),
        ("pt-BR", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("xyz", "xyz"),
        ("", "und"),
        ("e/n", "und"),
        ("und", "und"),
    ],
)
def test_languages(tag: str, meant: str) -> None:
    assert source.language(tag) == meant


@pytest.mark.parametrize(("texts", "meant"), [(("10.5",), 10.5), (("N/A", "0:01:02.5"), 62.5), ((None, "-3", "inf"), 0.0)])
def test_durations(texts: tuple[object, ...], meant: float) -> None:
    assert source.duration(*texts) == meant
