"""Films that are not as films should be: odd sizes and rates, rotated, 10-bit, HDR, interlaced, 5.1, silent, blind, short, oddly named.

Each is made by ffmpeg, ingested by the command line, and decoded from the edges; some are watched in Chromium.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct
from playwright.sync_api import Browser

from tests.e2e import browsers, films
from tests.e2e.films import ffmpeg, generated
from tests.e2e.harness import System

TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2")


class Weird(Struct, frozen=True, kw_only=True):
    """``size``: of the largest rendition, as a player shows it. ``subtitles``: a text track's language. ``watch``: in the browser, too."""

    make: Callable[[Path], Path]
    size: tuple[int, int] = (0, 0)
    duration_s: float = 2.0
    channels: int | None = None
    subtitles: str = ""
    watch: bool = False


def picture(size: str, rate: str, duration_s: float = 2) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={duration_s}")


def odd_size(folder: Path) -> Path:
    out = folder / "odd.mkv"
    ffmpeg(
        *picture("428x240", "24"),
        *TONE,
        "-vf",
        "scale=427:239,format=yuv444p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-c:a",
        "aac",
        out,
    )
    return out


def odd_rate(folder: Path) -> Path:
    return generated(folder / "rate.mp4", size="426x240", rate="30000/1001", duration_s=2)


def fast(folder: Path) -> Path:
    return generated(folder / "fast.mp4", size="426x240", rate="120", duration_s=2)


def variable_rate(folder: Path) -> Path:
    out = folder / "vfr.mp4"
    uneven = ("-vf", "select='not(mod(n,3))+lt(n,20)'", "-fps_mode", "vfr")
    ffmpeg(*picture("426x240", "30"), *TONE, *uneven, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", out)
    return out


def rotated(folder: Path) -> Path:
    upright = generated(folder / "upright.mp4", size="426x240", duration_s=2)
    out = folder / "phone.mov"
    ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", out)
    return out


def ten_bit(folder: Path) -> Path:
    out = folder / "ten.mkv"
    ffmpeg(*picture("426x240", "24"), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", out)
    return out


def hdr(folder: Path) -> Path:
    out = folder / "hdr.mp4"
    colours = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    ffmpeg(
        *picture("426x240", "24"), "-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc", "-c:v", "libx265",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-x265-params", "log-level=error", *colours, out,
    )  # fmt: skip
    return out


def interlaced(folder: Path) -> Path:
    out = folder / "interlaced.ts"
    ffmpeg(
        *picture("720x576", "50"), *TONE, "-vf", "interlace,setsar=16/15", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-b:v", "3M",
        "-c:a", "mp2", out,
    )  # fmt: skip
    return out


def surround(folder: Path) -> Path:
    out = folder / "surround.mp4"
    ffmpeg(
        *picture("426x240", "24"), "-f", "lavfi", "-i", "sine=frequency=200:sample_rate=48000:duration=2", "-af",
        "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "ac3", out,
    )  # fmt: skip
    return out


def silent(folder: Path) -> Path:
    return generated(folder / "silent.mp4", size="426x240", duration_s=2, sound="")


def blind(folder: Path) -> Path:
    out = folder / "song.mp3"
    ffmpeg(*TONE, "-c:a", "libmp3lame", out)
    return out


def one_second(folder: Path) -> Path:
    return generated(folder / "short.mp4", size="426x240", duration_s=1)


def oddly_named(folder: Path) -> Path:
    return generated(folder / "so what? 🎬 'x' %20 – é; $(id).mp4", size="426x240", duration_s=2)


def tiny(folder: Path) -> Path:
    return generated(folder / "tiny.mp4", size="64x36", duration_s=2)


def late_sound(folder: Path) -> Path:
    out = folder / "late.mkv"
    ffmpeg(
        *picture("426x240", "25"), "-itsoffset", "0.7", *TONE, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-output_ts_offset", "3600", out,
    )  # fmt: skip
    return out


def subtitled(folder: Path) -> Path:
    text, out = folder / "own.srt", folder / "subtitled.mp4"
    text.write_text("1\n00:00:00,200 --> 00:00:01,500\nBonjour\n\n")
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "mov_text")
    ffmpeg(
        *picture("426x240", "24"), *TONE, "-i", text, "-map", "0", "-map", "1", "-map", "2", *codecs, "-metadata:s:s:0", "language=fra", out
    )
    return out


FILMS = {
    "odd size": Weird(make=odd_size, size=(426, 238), watch=True),
    "29.97 fps": Weird(make=odd_rate, size=(426, 240)),
    "120 fps": Weird(make=fast, size=(426, 240)),
    "variable rate": Weird(make=variable_rate, size=(426, 240)),
    "rotated": Weird(make=rotated, size=(240, 426), watch=True),
    "10 bit": Weird(make=ten_bit, size=(426, 240)),
    "HDR": Weird(make=hdr, size=(426, 240), watch=True),
    "interlaced": Weird(make=interlaced, size=(0, 0)),
    "5.1": Weird(make=surround, size=(426, 240), channels=6),
    "no audio": Weird(make=silent, size=(426, 240), watch=True),
    "audio only": Weird(make=blind, watch=True),
    "one second": Weird(make=one_second, size=(426, 240), duration_s=1, watch=True),
    "oddly named": Weird(make=oddly_named, size=(426, 240)),
    "64x36": Weird(make=tiny, size=(64, 36)),
    "its own subtitles": Weird(make=subtitled, size=(426, 240), subtitles="fr", watch=True),
    "late sound, late clock": Weird(make=late_sound, size=(426, 240), duration_s=2.7),
}


@pytest.mark.parametrize("name", FILMS)
def test_a_weird_film_is_ingested_and_plays(name: str, system: System, browser: Browser, tmp_path: Path) -> None:
    weird = FILMS[name]
    called = f"Weird {name} ☂"
    title = system.ingest(weird.make(tmp_path), called, "--clear")
    assert title["state"] == "complete"
    assert abs(title["runtime_s"] - weird.duration_s) < 0.35
    with system.client() as client:
        session = client.post("/api/v1/play", json={"title_id": title["id"], "device": {"id": "weird"}}).raise_for_status().json()
        hls = session["hls_url"] if session["hls_url"].startswith("http") else system.url + session["hls_url"]
    decodes_cleanly(hls)
    manifest = session["manifest"]
    sizes = {(int(width), int(height)) for width, height in re.findall(r'width="(\d+)" height="(\d+)"', manifest)}
    if weird.size != (0, 0):
        assert abs(max(sizes)[0] - weird.size[0]) <= 2, sizes
        assert abs(max(sizes)[1] - weird.size[1]) <= 2, sizes
    if weird.channels:
        assert f'value="{weird.channels}"' in manifest
    if weird.subtitles:
        assert f'contentType="text" mimeType="text/vtt" lang="{weird.subtitles}"' in manifest
    if weird.watch:
        watch(system, browser, title["id"], sound_only=not sizes)


def decodes_cleanly(url: str) -> None:
    """Every stream of it, every frame of it, and the picture is not all of one colour."""
    kinds = films.probe(url, "stream=codec_type").split()
    assert kinds
    films.ffmpeg("-xerror", "-i", url, "-map", "0", "-c:s", "webvtt", "-f", "null", "-")


def watch(system: System, browser: Browser, title_id: str, *, sound_only: bool) -> None:
    with browsers.page_in(browser) as page:
        browsers.sign_in(page, system.link())
        page.goto(f"{system.url}/#/title/{title_id}")
        browsers.press_play(page)
        if sound_only:
            page.wait_for_function("() => document.querySelector('video')?.currentTime > 0.4")
        else:
            browsers.wait_playing(page, past_s=0.3)
        page.wait_for_function("() => document.querySelector('video').ended")
        assert page.get_by_test_id("player-error").count() == 0
