"""The ladder: fixed rungs, never above the source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media.ladder import HEIGHTS, ladder, rate_cap_bps, starter


def sizes(width: int, height: int) -> list[tuple[int, int]]:
    return [(each.width, each.height) for each in ladder(width, height, 24.0)]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ((1920, 1080), [(426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)]),
        ((3840, 2160), [(426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)]),
        ((640, 360), [(426, 240), (640, 360)]),
        ((427, 239), [(426, 238)]),
        ((64, 36), [(64, 36)]),
        ((1, 1), [(2, 2)]),
        ((1920, 800), [(576, 240), (864, 360), (1152, 480), (1728, 720), (1920, 800)]),
        ((1279, 717), [(428, 240), (642, 360), (856, 480), (1278, 716)]),
        ((1080, 1920), [(136, 240), (202, 360), (270, 480), (404, 720), (608, 1080)]),
        ((720, 490), [(352, 240), (528, 360), (706, 480)]),
    ],
)
def test_the_ladder_of_known_sources(source: tuple[int, int], wanted: list[tuple[int, int]]) -> None:
    assert sizes(*source) == wanted


@given(some.integers(2, 8192), some.integers(2, 8192))
def test_rungs_are_even_and_never_above_the_source(width: int, height: int) -> None:
    found = ladder(width, height, 24.0)
    assert found
    assert [each.height for each in found] == sorted({each.height for each in found})
    for each in found:
        assert each.width % 2 == each.height % 2 == 0
        assert each.width <= width
        assert each.height <= height
        assert each.height in HEIGHTS or each is found[-1]
        assert each.rate_cap_bps > 0


@given(some.integers(240, 2160))
def test_more_pixels_are_given_no_fewer_bits(height: int) -> None:
    caps = [each.rate_cap_bps for each in ladder(height * 16 // 9, height, 24.0)]
    assert caps == sorted(caps)


def test_caps_between_rungs_and_for_fast_films() -> None:
    assert rate_cap_bps(1280, 720, 24.0) == 3_200_000
    assert 3_200_000 < rate_cap_bps(1600, 900, 24.0) < 6_000_000
    assert rate_cap_bps(1280, 720, 60.0) == 4_800_000
    assert rate_cap_bps(8, 8, 24.0) == 100_000


def test_keys_by_height() -> None:
    assert [each.label for each in ladder(1920, 1080, 24.0)] == ["SD", "SD", "SD", "HD", "HD"]


def test_the_starter_is_the_best_rung_not_above_the_wish() -> None:
    rungs = ladder(1920, 1080, 24.0)
    assert starter(rungs, 360).height == 360
    assert starter(rungs, 500).height == 480
    assert starter(ladder(64, 36, 24.0), 360).height == 36
    assert starter(ladder(1278, 900, 24.0), 100).height == 240
