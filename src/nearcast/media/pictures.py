"""Poster and trick-play sprite. Both come from the first rendition or the source by single ffmpeg runs; what to take is decided purely."""

from __future__ import annotations

import math
from pathlib import Path

from msgspec import Struct

from nearcast.base.errors import BadInput
from nearcast.media import filters, tools
from nearcast.media.files import disk
from nearcast.media.ladder import even
from nearcast.media.source import Source, VideoStream
from nearcast.model.rendition import File, Thumbnails

TILES_MAX = 100
TILE_WIDTH = 160
INTERVAL_MIN_S = 2.0
POSTER_WIDTH_MAX = 1280
POSTER_BYTES_MAX = 50_000_000
PREVIEW_WIDTH, PREVIEW_HEIGHT = 32, 18
TIMEOUT_S = 3600.0


class BadPoster(BadInput):
    """The poster cannot be read as a picture."""

    code = "NC1202"
    cure = "give a JPEG, PNG or WebP file"


class Sheet(Struct, frozen=True):
    """How the sprite is laid out."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int
    interval_s: float
    count: int


# --- pure -------------------------------------------------------------------------------------------------------------


def sheet(duration_s: float, width: int, height: int, interval_min_s: float = INTERVAL_MIN_S) -> Sheet:
    """At most ``TILES_MAX`` tiles, one each ``interval_s``."""
    interval_s = max(interval_min_s, math.ceil(duration_s / TILES_MAX * 10) / 10)
    count = max(1, min(TILES_MAX, math.ceil(duration_s / interval_s)))
    columns = min(10, count)
    tall = even(TILE_WIDTH * height / width)
    return Sheet(columns, math.ceil(count / columns), TILE_WIDTH, min(tall, 4 * TILE_WIDTH), interval_s, count)


def liveliest(previews: list[bytes]) -> int:
    """Which of some small grey pictures makes the best poster: neither dark nor washed out, with the most contrast."""
    if not previews:
        return 0

    def score(grey: bytes) -> float:
        mean = sum(grey) / len(grey)
        spread = math.sqrt(sum((each - mean) ** 2 for each in grey) / len(grey))
        dull = 0.2 if mean < 32 or mean > 224 else 1.0
        return dull * spread

    return max(range(len(previews)), key=lambda number: (score(previews[number]), -number))


def thumbnails(layout: Sheet, file: File) -> Thumbnails:
    return Thumbnails(
        file=file,
        columns=layout.columns,
        rows=layout.rows,
        tile_width=layout.tile_width,
        tile_height=layout.tile_height,
        interval_s=layout.interval_s,
        count=layout.count,
    )


# --- shell ------------------------------------------------------------------------------------------------------------


def _run(arguments: list[str], limits: tools.Limits) -> bytes:
    return tools.run([tools.ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments], timeout_s=TIMEOUT_S, limits=limits).stdout


def make_sprite(rendition: Path, layout: Sheet, out: Path, limits: tools.Limits) -> None:
    """The sprite from an encoded rendition, whose keyframes alone are decoded where the tiles are far apart."""
    keyframes = ["-skip_frame", "nokey"] if layout.interval_s >= 8 else []
    tile = f"scale={layout.tile_width}:{layout.tile_height}:flags=area"
    graph = f"fps=1/{layout.interval_s}:round=up:start_time=0,{tile},tile={layout.columns}x{layout.rows}"
    with disk():
        _run(
            [*keyframes, *tools.INPUT_GUARD, "-i", f"file:{rendition}", "-vf", graph, "-frames:v", "1", "-q:v", "5", f"file:{out}"], limits
        )


def poster_time_s(rendition: Path, duration_s: float, limits: tools.Limits) -> float:
    """The best moment for a poster among some in the film's first half, titles and credits left out."""
    step_s = max(0.5, duration_s * 0.5 / 12)
    begin_s = duration_s * 0.1
    look = f"fps=1/{step_s:.3f},scale={PREVIEW_WIDTH}:{PREVIEW_HEIGHT}:flags=area,format=gray"
    grab = ["-ss", f"{begin_s:.3f}", *tools.INPUT_GUARD, "-i", f"file:{rendition}", "-t", f"{duration_s * 0.5:.3f}", "-vf", look]
    raw = _run([*grab, "-f", "rawvideo", "pipe:1"], limits)
    size = PREVIEW_WIDTH * PREVIEW_HEIGHT
    previews = [raw[at : at + size] for at in range(0, len(raw) - size + 1, size)]
    return min(begin_s + liveliest(previews) * step_s, max(0.0, duration_s - 0.1))


def grab_poster(source: Source, video: VideoStream, at_s: float, out: Path, limits: tools.Limits) -> None:
    """The source's frame at ``at_s`` as JPEG, as the encoder saw it. Raises ToolFailed.

    A stream without an index may have no keyframe past that moment to begin from: then there is no frame, and no ``out``.
    """
    width = min(even(video.width), POSTER_WIDTH_MAX)
    picture = filters.picture(video, width, even(width * video.height / video.width))
    tools_input = ["-ss", f"{at_s:.3f}", *tools.INPUT_GUARD, "-i", f"file:{source.path}"]
    graph = f"[0:{video.index}]" + ",".join([*filters.steps(video, False)[:-1], *picture, "scale=out_range=pc", "format=yuvj420p"]) + "[p]"
    _run([*tools_input, "-filter_complex", graph, "-map", "[p]", "-frames:v", "1", "-q:v", "3", f"file:{out}"], limits)


def grab_small_poster(rendition: Path, at_s: float, out: Path, limits: tools.Limits) -> None:
    """The same from an encoded rendition, in its size."""
    picture = ["-vf", "scale=out_range=pc,format=yuvj420p", "-frames:v", "1", "-q:v", "3"]
    _run(["-ss", f"{at_s:.3f}", *tools.INPUT_GUARD, "-i", f"file:{rendition}", *picture, f"file:{out}"], limits)


def convert_poster(given: Path, out: Path, limits: tools.Limits) -> None:
    """A given picture as JPEG of a sensible size. Raises BadPoster."""
    try:
        with given.open("rb") as file:
            content = file.read(POSTER_BYTES_MAX + 1)
    except OSError as error:
        raise BadPoster(f"{given}: {error.strerror}") from error
    if len(content) > POSTER_BYTES_MAX:
        raise BadPoster(f"{given.name} is larger than {POSTER_BYTES_MAX} bytes")
    fit = f"scale='min({POSTER_WIDTH_MAX},iw)':-2:flags=bicubic:out_range=pc,format=yuvj420p"
    # Through a pipe, for ffmpeg takes a file name with a percent sign for a series of pictures.
    command = [tools.ffmpeg(), "-v", "error", "-y", *tools.guard(tools.PICTURES), "-i", "pipe:0"]
    try:
        tools.run([*command, "-vf", fit, "-frames:v", "1", "-q:v", "3", f"file:{out}"], timeout_s=TIMEOUT_S, limits=limits, stdin=content)
    except tools.ToolFailed as error:
        raise BadPoster(f"{given.name} is not a picture") from error
