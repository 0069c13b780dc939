"""The subtitles inside a film as WebVTT: one run of ffmpeg for all of them, for it has to read the whole film."""

from __future__ import annotations

import contextlib
from pathlib import Path

from msgspec import Struct

from nearcast.media import subtitles, tools
from nearcast.media.encode import TIMEOUT_MIN_S, begin, common, finish
from nearcast.media.settings import LimitSettings
from nearcast.media.source import Source, TextStream


class TextTask(Struct, frozen=True, kw_only=True):
    """All readable subtitles of ``source``. ``folder`` is what the task makes."""

    source: Source
    folder: str
    limits: LimitSettings


# --- pure -------------------------------------------------------------------------------------------------------------


def readable(source: Source) -> tuple[TextStream, ...]:
    return tuple(each for each in source.text if each.readable)


def left_out(source: Source) -> str:
    """What there is to warn of; empty where nothing is left out."""
    pictures = [f"{each.language} ({each.codec})" for each in source.text if not each.readable]
    return f"subtitles that are pictures, not text, are left out: {', '.join(pictures)}" if pictures else ""


def arguments(task: TextTask, folder: str) -> list[str]:
    """ffmpeg's whole command line; times count from the start of the film, as those of picture and sound."""
    read = ["-vn", "-an", "-copyts", "-start_at_zero", *tools.INPUT_GUARD, "-i", f"file:{task.source.path}"]
    outputs = []
    for each in readable(task.source):
        plain = ["-map_metadata", "-1", "-map_chapters", "-1", "-f", "webvtt"]
        outputs += ["-map", f"0:{each.index}", "-c:s", "webvtt", *plain, f"file:{folder}/{each.index}.vtt"]
    return [*common(folder), *read, *outputs]


# --- shell ------------------------------------------------------------------------------------------------------------


def extract(task: TextTask) -> None:
    """Make ``task.folder`` with a file for each stream; without it where it cannot be read, which costs no film. Raises DiskFull."""
    final, part = Path(task.folder), Path(task.folder + ".part")
    begin(part)
    timeout_s = TIMEOUT_MIN_S + task.source.duration_s / task.limits.slowest_speed
    with contextlib.suppress(tools.ToolFailed):
        tools.run(arguments(task, str(part)), timeout_s=timeout_s, limits=tools.Limits(memory_bytes=task.limits.memory_bytes))
    finish(part, final)


def read(folder: Path, stream: TextStream, size_bytes_max: int) -> bytes:
    """What ``extract`` has made of a stream, as sound WebVTT. Raises BadSubtitles."""
    name = f"the film's own subtitle track {stream.index} ({stream.language})"
    path = folder / f"{stream.index}.vtt"
    try:
        content = path.read_bytes() if path.stat().st_size <= size_bytes_max else b""
    except OSError as error:
        raise subtitles.BadSubtitles(f"{name} cannot be read") from error
    if not content:
        raise subtitles.BadSubtitles(f"{name} is empty, or larger than {size_bytes_max} bytes")
    text = subtitles.tidied(subtitles.decode(content, name), name)
    subtitles.check(text, name)
    return text.encode()
