"""Filter graphs, as text; that they work is shown where films are encoded."""

from __future__ import annotations

from typing import Any

import pytest

from nearcast.media import filters
from nearcast.media.ladder import ladder
from nearcast.media.plan import Chunk
from nearcast.media.source import VideoStream


def video(**changes: Any) -> VideoStream:
    plain: dict[str, Any] = {
        "index": 2, "codec": "h264", "width": 1920, "height": 1080, "frame_rate": (24, 1), "variable": False, "interlaced": False,
        "bit_depth": 8, "rotation": 0, "duration_s": 10.0,
    }  # fmt: skip
    return VideoStream(**plain | changes)


def test_one_decode_feeds_every_rung_from_the_next_larger() -> None:
    rungs = ladder(1920, 1080, 24.0)
    graph = filters.graph(video(), rungs, Chunk(1, 96, 192), first=False)
    assert graph.count("[0:2]") == 1
    assert [f"[v{number}]" in graph for number in range(5)] == [True] * 5
    assert graph.index("scale=1920:1080") < graph.index("scale=1280:720") < graph.index("scale=426:240")
    assert "trim=start_pts=96:end_pts=192,setpts=PTS-96" in graph
    assert "start_time" not in graph


def test_a_plain_picture_is_scaled_once_and_only_where_it_must_be() -> None:
    plain, other = video(plain=True), video(plain=True, hdr="pq")
    assert not [each for each in filters.picture(plain, 1920, 1080) if "scale" in each]
    assert [each for each in filters.picture(plain, 640, 360) if "scale=" in each] == [filters.smaller(640, 360)]
    assert "tonemap" in ",".join(filters.picture(other, 640, 360))


def test_a_film_is_filled_up_from_zero() -> None:
    assert "fps=fps=24/1:start_time=0" in filters.graph(video(), ladder(640, 360, 24.0), Chunk(0, 0, None), first=True)


@pytest.mark.parametrize(("changes", "wanted"), [({"hdr": "pq"}, "smpte2084"), ({"hdr": "hlg"}, "arib-std-b67")])
def test_hdr_is_tone_mapped(changes: dict[str, Any], wanted: str) -> None:
    chain = ",".join(filters.picture(video(**changes), 640, 360))
    assert f"transferin={wanted}" in chain
    assert "tonemap" in chain
    assert chain.index("scale=640:360") < chain.index("tonemap"), "after scaling: it costs less"


def test_deinterlacing_comes_before_the_rate() -> None:
    first, second = filters.steps(video(interlaced=True), False)
    assert first.startswith("bwdif")
    assert second.startswith("fps")


@pytest.mark.parametrize(
    ("changes", "matrix"),
    [
        ({}, "bt709"),
        ({"height": 576, "width": 720}, "smpte170m"),
        ({"matrix": "bt470bg"}, "bt470bg"),
        ({"matrix": "unknown"}, "bt709"),
        ({"wide_gamut": True}, "bt709"),
        ({"plain": True}, "bt709"),
        ({"plain": True, "matrix": "bt470bg"}, "bt470bg"),
    ],
)
def test_every_rendition_declares_the_same_colours(changes: dict[str, Any], matrix: str) -> None:
    for width, height in ((426, 240), (1920, 1080)):
        assert f"setparams=colorspace={matrix}" in ",".join(filters.picture(video(**changes), width, height))
