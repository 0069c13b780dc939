"""Chunks, time scales and tracks."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nearcast.media.plan import audio_tracks, chunks, make_plan, timescale, too_short
from nearcast.media.settings import EncodeSettings
from nearcast.media.source import AudioStream, Source, VideoStream
from nearcast.model.ingest import SideTrack


def sound(index: int, language: str = "en", channels: int = 2) -> AudioStream:
    return AudioStream(
        index=index, codec="aac", channels=channels, layout="", sample_rate_hz=48000, language=language, label="", duration_s=60.0
    )


def film(duration_s: float = 60.0, rate: tuple[int, int] = (24, 1), *audio: AudioStream, keyframe_gap_s: float = 2.0) -> Source:
    video = VideoStream(
        index=0, codec="h264", width=1920, height=1080, frame_rate=rate, variable=False, interlaced=False, bit_depth=8, rotation=0,
        duration_s=duration_s,
    )  # fmt: skip
    return Source(
        path="/film.mp4", size_bytes=1, modified_ns=1, format="mov", duration_s=duration_s, video=video, audio=audio,
        keyframe_gap_s=keyframe_gap_s,
    )  # fmt: skip


@given(some.integers(1, 500_000), some.integers(1, 240), some.integers(1, 3000), some.integers(1, 16))
def test_chunks_cover_every_frame_once_at_whole_segments(frames: int, segment: int, chunk: int, at_once: int) -> None:
    found = chunks(frames, segment, max(segment, chunk), at_once)
    assert found[0].start == 0
    assert found[-1].end is None
    assert [each.index for each in found] == list(range(len(found)))
    for before, after in itertools.pairwise(found):
        assert before.end == after.start
    assert all(each.start % segment == 0 for each in found)
    assert len(found) == 1 or frames - found[-1].start >= segment, "the last is never shorter than a segment"


def test_all_workers_end_together() -> None:
    assert len(chunks(2880, 96, 768, 2)) == 4
    assert len(chunks(720, 96, 768, 2)) == 2
    assert len(chunks(96, 96, 768, 2)) == 1
    lengths = {(each.end or 2880) - each.start for each in chunks(2880, 96, 768, 2)}
    assert max(lengths) - min(lengths) <= 96


@pytest.mark.parametrize("rate", ["24", "24000/1001", "25", "30000/1001", "60", "25/2", "17", "59"])
def test_a_frame_is_a_whole_number_of_ticks(rate: str) -> None:
    scale, ticks = timescale(Fraction(rate))
    assert Fraction(scale, ticks) == Fraction(rate)
    assert scale >= 10_000


def test_the_plan_of_a_film() -> None:
    plan = make_plan(film(30.0), (), EncodeSettings(), 2)
    assert (plan.frames, plan.segment_frames, plan.segment_s) == (720, 96, 4.0)
    assert plan.starter is not None
    assert plan.starter.name == "360p"
    assert [each.name for each in plan.better] == ["240p", "480p", "720p", "1080p"]
    assert [each.name for each in plan.rungs] == ["240p", "360p", "480p", "720p", "1080p"]


def test_segments_of_ntsc_films_are_whole_frames() -> None:
    plan = make_plan(film(30.0, (24000, 1001)), (), EncodeSettings(), 2)
    assert plan.segment_frames == 96
    assert plan.segment_s == pytest.approx(4.004)


def test_sparse_keyframes_make_longer_chunks() -> None:
    dense = make_plan(film(3600.0), (), EncodeSettings(), 2)
    sparse = make_plan(film(3600.0, keyframe_gap_s=300.0), (), EncodeSettings(), 2)
    assert len(sparse.chunks) < len(dense.chunks) / 10


def test_sound_alone_has_a_plan() -> None:
    source = Source(
        path="/s.mp3", size_bytes=1, modified_ns=1, format="mp3", duration_s=60.0, video=None, audio=(sound(0, "und"),), keyframe_gap_s=0.0
    )
    plan = make_plan(source, (), EncodeSettings(), 2)
    assert (plan.rungs, plan.chunks, plan.starter_chunks) == ((), (), ())
    assert plan.segment_s == 4.0
    assert [each.name for each in plan.audio] == ["audio-und"]


def test_tracks_have_names_of_their_own_and_stereo_comes_first() -> None:
    side = SideTrack(path="/dub.m4a", language="fra", label="")
    tracks = audio_tracks(film(60.0, (24, 1), sound(1, "en", 6), sound(2, "en")), ((side, sound(0, "und")),), EncodeSettings())
    assert [(each.name, each.channels) for each in tracks] == [
        ("audio-en", 2), ("audio-en-2", 2), ("audio-fr", 2), ("audio-en-surround", 6),
    ]  # fmt: skip
    assert tracks[2].path == "/dub.m4a"
    assert tracks[3].label == "5.1"
    plain = audio_tracks(film(60.0, (24, 1), sound(1, "en", 6)), (), EncodeSettings(surround=False))
    assert [each.channels for each in plain] == [2]


def test_a_film_that_stops_early_is_told_from_a_sloppy_container() -> None:
    assert not too_short(720, 720, Fraction(24))
    assert not too_short(720, 690, Fraction(24))
    assert too_short(720, 600, Fraction(24))
    assert not too_short(24, 23, Fraction(24))
    assert too_short(24, 5, Fraction(24))
