"""VMAF: where it looks, how it pools, and that worse films score worse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media import encode, quality, tools
from nearcast.media.plan import make_plan
from nearcast.media.probe import probe
from nearcast.media.settings import EncodeSettings, MediaSettings, QualitySettings
from tests.unit.media.test_plan import film


@given(some.lists(some.floats(0, 100), min_size=1))
def test_pooling(scores: list[float]) -> None:
    vmaf = quality.pooled(scores, "m")
    assert min(scores) - 0.01 <= vmaf.percentile_1 <= vmaf.percentile_5 <= max(scores) + 0.01
    assert min(scores) - 0.01 <= vmaf.harmonic_mean <= sum(scores) / len(scores) + 0.01
    assert vmaf.frames == len(scores)


def test_percentiles() -> None:
    assert quality.percentile([float(each) for each in range(101)], 0.05) == 5.0
    assert quality.percentile([7.0], 0.5) == 7.0
    assert quality.harmonic_mean([50.0, 50.0]) == pytest.approx(50.0)


@pytest.mark.parametrize("duration_s", [0.5, 3.0, 30.0, 600.0, 7200.0])
def test_windows_are_spread_over_the_film(duration_s: float) -> None:
    plan = make_plan(film(duration_s), (), EncodeSettings(), 2)
    found = quality.windows(plan, 240)
    assert found
    assert sum(each.frames for each in found) <= max(240, plan.segment_frames)
    for each in found:
        assert each.start % plan.segment_frames == 0
        assert each.chunk.start <= each.start
        assert each.chunk.end is None or each.start + each.frames <= each.chunk.end
        assert each.start + each.frames <= max(plan.frames, 1)
    if duration_s >= 600:
        assert found[0].start > 0.05 * plan.frames
        assert found[-1].start > 0.8 * plan.frames


def test_worse_renditions_score_worse_and_are_measured_once(tmp_path: Path, small_film: Path) -> None:
    settings = MediaSettings(quality=QualitySettings(frames_max=24))
    quick = EncodeSettings(segment_s=1.0, crf=18)
    plan = make_plan(probe(small_film, settings), (), quick, 1)
    chunk = plan.starter_chunks[0]
    task = encode.chunk_task(plan, plan.rungs, chunk, "veryfast", tmp_path / "good", quick, settings.limits)
    encode.encode_chunk(task)
    (window,) = quality.windows(plan, 24)
    files = {each.name: tmp_path / "good" / f"{each.name}.mp4" for each in plan.rungs}
    folder = tmp_path / "q"
    folder.mkdir()
    scores = quality.measure(plan, window, files, folder, settings.quality, tools.Limits())
    assert [len(each) for each in scores.values()] == [24, 24]
    assert quality.harmonic_mean(scores["360p"]) > 85
    assert quality.harmonic_mean(scores["240p"]) < quality.harmonic_mean(scores["360p"]) - 5
    assert quality.measure(plan, window, {}, folder, settings.quality, tools.Limits()) == scores


def test_what_cannot_be_measured_is_told(tmp_path: Path, small_film: Path) -> None:
    settings = MediaSettings()
    plan = make_plan(probe(small_film, settings), (), EncodeSettings(), 1)
    with pytest.raises(quality.QualityUnknown):
        quality.measure(plan, quality.windows(plan, 24)[0], {"360p": tmp_path / "none.mp4"}, tmp_path, settings.quality, tools.Limits())
