"""Encoding real chunks: frames at their places, whatever the container; weird films come out as plain ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nearcast.media import boxes, encode, tools
from nearcast.media.plan import Chunk, Plan, make_plan
from nearcast.media.probe import Truncated, probe
from nearcast.media.settings import EncodeSettings, MediaSettings
from tests.unit.media import films

QUICK = EncodeSettings(preset="superfast", starter_preset="superfast", segment_s=1.0, chunk_s=2.0, crf=1)
SETTINGS = MediaSettings(encode=QUICK)


def encoded(path: Path, folder: Path, *, surround: bool = True) -> tuple[Plan, Path]:
    """The film's starter rendition, joined from its chunks."""
    plan = make_plan(probe(path, SETTINGS), (), QUICK, 2)
    assert plan.starter is not None
    pieces = []
    for chunk in plan.starter_chunks:
        task = encode.chunk_task(plan, (plan.starter,), chunk, QUICK.preset, folder / f"c-{chunk.index}", QUICK, SETTINGS.limits)
        found = encode.encode_chunk(task)
        assert found == (chunk.end or plan.frames) - chunk.start
        pieces.append((folder / f"c-{chunk.index}" / f"{plan.starter.name}.mp4", chunk.start * plan.ticks_per_frame))
    joined = folder / "joined.mp4"
    boxes.join(pieces, joined)
    return plan, joined


def described(path: Path) -> dict[str, Any]:
    command = [tools.ffprobe(), "-v", "error", "-show_streams", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=240).stdout)["streams"][0]
    return found


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("closed.mp4", ["-c:v", "libx264", "-preset", "ultrafast", "-g", "24"]),
        ("open.mkv", ["-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-bf", "3", "-x264-params", "open-gop=1:scenecut=0"]),
        ("one-keyframe.mp4", ["-c:v", "libx264", "-preset", "veryfast", "-g", "9999", "-sc_threshold", "0"]),
        ("no-index.ts", ["-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-sc_threshold", "0"]),
        ("old.avi", ["-c:v", "mpeg4", "-q:v", "1", "-g", "40"]),
        ("late.ts", ["-c:v", "mpeg2video", "-q:v", "1", "-g", "15", "-bf", "2", "-output_ts_offset", "40000"]),
    ],
)
def test_no_frame_is_lost_or_doubled_at_a_border(tmp_path: Path, name: str, arguments: list[str]) -> None:
    source = tmp_path / name
    films.ffmpeg(*films.numbered(8), *arguments, source)
    plan, joined = encoded(source, tmp_path)
    assert len(plan.starter_chunks) >= 2
    wanted, shown = films.luma(192), films.mean_luma(joined)
    assert len(shown) == 192
    assert not [(number, a, b) for number, (a, b) in enumerate(zip(wanted, shown, strict=True)) if abs(a - b) > films.NEAR]
    times = sorted(round(float(each[0]) * 24, 3) for each in films.packets(joined, "pts_time"))
    assert times == [float(each) for each in range(192)]


def test_a_picture_that_begins_after_the_sound_is_held_from_the_start(tmp_path: Path) -> None:
    source = tmp_path / "late.mkv"
    films.ffmpeg(*films.tone(5), "-itsoffset", "3", *films.numbered(2), *films.FAST, "-c:a", "aac", source)
    plan, joined = encoded(source, tmp_path)
    shown = films.mean_luma(joined)
    assert len(shown) == plan.frames == 120
    assert max(shown[:72]) - min(shown[:72]) <= 2, "its first picture stands until it begins"
    assert max(abs(a - b) for a, b in zip(films.luma(48), shown[72:], strict=True)) <= films.NEAR


WEIRD: dict[str, tuple[list[str], tuple[int, int], str]] = {
    "odd.mkv": (["-vf", "scale=127:71,format=yuv444p", "-c:v", "libx264", "-preset", "ultrafast"], (126, 70), "24/1"),
    "rates.mp4": (["-r", "30000/1001", *films.FAST], (128, 72), "30000/1001"),
    "fast.mp4": (["-r", "120", *films.FAST], (128, 72), "60/1"),
    "ten.mkv": (["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"], (128, 72), "24/1"),
    "rgb.mkv": (["-c:v", "ffv1", "-pix_fmt", "bgr0"], (128, 72), "24/1"),
    "hdr.mkv": (
        ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc,format=yuv420p10le", "-c:v", "ffv1"],
        (128, 72), "24/1",
    ),
    "hlg.mkv": (
        ["-vf", "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc,format=yuv420p10le", "-c:v", "ffv1"],
        (128, 72), "24/1",
    ),
    "tagged.mp4": (["-color_trc", "smpte2084", *films.FAST], (128, 72), "24/1"),
    "anamorphic.mp4": (["-vf", "setsar=2/1", *films.FAST], (256, 72), "24/1"),
    "interlaced.ts": (["-vf", "interlace", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2"], (128, 72), "12/1"),
    "full-range.mp4": (
        ["-vf", "scale=out_range=pc,format=yuvj420p", "-c:v", "libx264", "-preset", "ultrafast", "-color_range", "pc"], (128, 72), "24/1",
    ),
    "page.gif": (["-r", "25"], (128, 72), "25/1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIRD)
def test_weird_films_come_out_plain(tmp_path: Path, name: str) -> None:
    arguments, size, rate = WEIRD[name]
    source = tmp_path / name
    films.ffmpeg(*films.picture(duration_s=1), *arguments, source)
    _, joined = encoded(source, tmp_path)
    found = described(joined)
    assert (found["width"], found["height"]) == size
    assert found["r_frame_rate"] == rate
    assert found["pix_fmt"] == "yuv420p"
    assert found["profile"] == "High"
    assert found.get("sample_aspect_ratio", "1:1") == "1:1"
    assert found["color_range"] == "tv"
    assert found["color_transfer"] not in ("smpte2084", "arib-std-b67")
    assert found["color_space"] in ("bt709", "smpte170m")
    assert found.get("field_order", "progressive") == "progressive"


def test_a_turned_film_stands_upright(tmp_path: Path) -> None:
    lying, source = tmp_path / "lying.mp4", tmp_path / "phone.mov"
    half = "color=white:s=72x72:r=24:d=1[a];color=black:s=56x72:r=24:d=1[b];[a][b]hstack"
    films.ffmpeg("-f", "lavfi", "-i", half, *films.FAST, lying)
    films.ffmpeg("-display_rotation", "90", "-i", lying, "-c", "copy", source)
    plan, joined = encoded(source, tmp_path)
    assert plan.source.video is not None
    assert (plan.source.video.width, plan.source.video.height) == (72, 128)
    assert (described(joined)["width"], described(joined)["height"]) == (72, 128)
    raw = subprocess.run(
        [tools.ffmpeg(), "-v", "error", "-i", joined, "-frames:v", "1", "-vf", "scale=1:8:flags=area,format=gray", "-f", "rawvideo", "-"],
        capture_output=True, check=True, timeout=240,
    ).stdout  # fmt: skip
    assert raw[7] > 200, "what was left is below"
    assert raw[0] < 50


def test_the_variable_becomes_constant_and_keeps_its_time(tmp_path: Path) -> None:
    source = tmp_path / "vfr.mp4"
    films.ffmpeg(*films.numbered(4), "-vf", "select='lt(n,24)+not(mod(n,4))'", "-fps_mode", "vfr", *films.FAST, source)
    plan, joined = encoded(source, tmp_path)
    assert plan.source.video is not None
    assert plan.source.video.variable
    assert plan.rate == 24
    wanted = [value if number < 24 else films.luma(96)[number - number % 4] for number, value in enumerate(films.luma(96))]
    shown = films.mean_luma(joined)
    assert max(abs(a - b) for a, b in zip(wanted, shown, strict=False)) <= films.NEAR


def test_sound_keeps_its_time_and_is_stereo(tmp_path: Path) -> None:
    source = tmp_path / "late-sound.mkv"
    tone = ["-itsoffset", "0.7", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1", "-af", "pan=5.1|c0=c0|c1=c0|c2=c0"]
    films.ffmpeg(*films.picture(duration_s=2), *tone, *films.FAST, "-c:a", "ac3", source)
    plan = make_plan(probe(source, SETTINGS), (), QUICK, 2)
    assert [each.channels for each in plan.audio] == [2, 6]
    for track in plan.audio:
        encode.encode_audio(encode.AudioTask(track=track, folder=str(tmp_path / track.name), limits=SETTINGS.limits))
        made = tmp_path / track.name / f"{track.name}.mp4"
        assert (described(made)["channels"], described(made)["sample_rate"]) == (track.channels, "48000")
    raw = subprocess.run(
        [tools.ffmpeg(), "-v", "error", "-i", tmp_path / "audio-und" / "audio-und.mp4", "-ac", "1", "-ar", "1000", "-f", "u8", "-"],
        capture_output=True, check=True, timeout=240,
    ).stdout  # fmt: skip
    begins_ms = next(number for number, value in enumerate(raw) if abs(value - 128) > 8)
    assert 660 <= begins_ms <= 740
    assert float(described(tmp_path / "audio-und" / "audio-und.mp4")["start_time"]) == 0.0


def test_nothing_counts_before_it_is_whole(tmp_path: Path, small_film: Path) -> None:
    plan = make_plan(probe(small_film, SETTINGS), (), QUICK, 2)
    assert plan.starter is not None
    beyond = Chunk(9, 24 * 100, None)
    task = encode.chunk_task(plan, (plan.starter,), beyond, QUICK.preset, tmp_path / "c-9", QUICK, SETTINGS.limits)
    with pytest.raises(Truncated):
        encode.encode_chunk(task)
    assert not (tmp_path / "c-9").exists()


def test_a_chunk_is_encoded_by_closed_groups_of_one_segment(tmp_path: Path, small_film: Path) -> None:
    plan = make_plan(probe(small_film, SETTINGS), (), QUICK, 2)
    for rungs in (plan.rungs,):
        task = encode.chunk_task(plan, rungs, Chunk(0, 0, None), "veryfast", tmp_path / "c", QUICK, SETTINGS.limits)
        encode.encode_chunk(task)
        for rung in rungs:
            found = films.packets(tmp_path / "c" / f"{rung.name}.mp4", "pts_time,flags")
            assert [round(float(each[0]) * 24) for each in found if "K" in each[1]] == [0, 24, 48]


def test_a_tiny_picture_gets_a_level_that_browsers_know(tmp_path: Path) -> None:
    source = films.film(tmp_path / "tiny.mp4", size="64x48", rate="60", duration_s=2, sound=False)
    _, joined = encoded(source, tmp_path)
    assert boxes.codec(joined) == "avc1.640014", "not 640009, level 1b"
