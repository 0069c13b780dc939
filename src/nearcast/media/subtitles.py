"""WebVTT (W3C) as it comes from people: checked line by line, SubRip turned into it. Pure but for reading the file."""

from __future__ import annotations

import re
from pathlib import Path

from nearcast.base.errors import BadInput
from nearcast.media.source import language

_TIMING = re.compile(r"^\s*(\S+)\s+-->\s+(\S+)(?:\s+(.*))?$")
_TIME = re.compile(r"^(?:(\d{2,}):)?([0-5]\d):([0-5]\d)[.,](\d{3})$")
_SRT_NUMBER = re.compile(r"^\d+$")


class BadSubtitles(BadInput):
    """A subtitle file is neither WebVTT nor SubRip, or has a mistake in it."""

    code = "NC1201"
    cure = "mend the line named; subtitles are WebVTT (.vtt) or SubRip (.srt) in UTF-8"


def time_s(text: str) -> float | None:
    """``00:01:02.500`` or ``01:02.500`` in seconds; None if it is no time."""
    found = _TIME.match(text)
    if not found:
        return None
    hours, minutes, seconds, thousandths = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000


def decode(content: bytes, name: str) -> str:
    """UTF-8 with or without a byte order mark, UTF-16 with one. Raises BadSubtitles."""
    try:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadSubtitles(f"{name}, line {line}: not UTF-8", hint="save the file as UTF-8") from error
    if "\0" in text:
        raise BadSubtitles(f"{name} is not a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check(text: str, name: str) -> int:
    """How many cues a WebVTT text has. Raises BadSubtitles with the line of the first mistake."""
    lines = text.split("\n")
    if not re.match(r"^WEBVTT(?:[ \t].*)?$", lines[0]):
        raise BadSubtitles(f"{name}, line 1: a WebVTT file begins with WEBVTT")
    cues, last_s, skipping = 0, 0.0, False
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            skipping = False
        elif re.match(r"^(NOTE|STYLE|REGION)(\s|$)", line):
            skipping = True
        elif "-->" in line and not skipping:
            last_s = _cue(line, number, name, last_s)
            cues += 1
    if not cues:
        raise BadSubtitles(f"{name} has no cue", hint="a cue is a line such as 00:01.000 --> 00:04.000 and the text below it")
    return cues


def _cue(line: str, number: int, name: str, last_s: float) -> float:
    """When the cue starts."""
    found = _TIMING.match(line)
    start_s, end_s = (time_s(found[1]), time_s(found[2])) if found else (None, None)
    if start_s is None or end_s is None or "," in line.split("-->")[0]:
        raise BadSubtitles(f"{name}, line {number}: {line.strip()[:60]!r} is no timing")
    if end_s <= start_s:
        raise BadSubtitles(f"{name}, line {number}: the cue ends before it begins")
    if start_s < last_s:
        raise BadSubtitles(f"{name}, line {number}: the cue begins before the one above it")
    return start_s


def _plain(line: str) -> str:
    """A line of a cue with no arrow in it, and with no sign that would begin a tag or an entity but does not."""
    return re.sub(r"<(?![/a-zA-Z])", "&lt;", re.sub(r"&(?!#?\w+;)", "&amp;", line.replace("-->", "→")))


def from_srt(text: str, name: str) -> str:
    """A SubRip text as WebVTT, sorted by time. Raises BadSubtitles with the line of the first mistake."""
    lines = text.split("\n")
    cues: list[tuple[float, str]] = []
    number = 0
    while number < len(lines):
        found = _TIMING.match(lines[number])
        if not found:
            if lines[number].strip() and not _SRT_NUMBER.match(lines[number].strip()):
                raise BadSubtitles(f"{name}, line {number + 1}: {lines[number].strip()[:60]!r} is no timing")
            number += 1
            continue
        start_s, end_s = time_s(found[1]), time_s(found[2])
        if start_s is None or end_s is None or end_s <= start_s:
            raise BadSubtitles(f"{name}, line {number + 1}: {lines[number].strip()[:60]!r} is no timing")
        body = []
        number += 1
        while number < len(lines) and lines[number].strip():
            body.append(_plain(lines[number]))
            number += 1
        timing = f"{found[1]} --> {found[2]}".replace(",", ".")
        cues.append((start_s, "\n".join([timing, *body])))
    cues.sort(key=lambda cue: cue[0])
    return "WEBVTT\n\n" + "\n\n".join(cue for _, cue in cues) + "\n"


def tidied(text: str, name: str) -> str:
    """WebVTT that a tool made of another format, as ``check`` wants it: cues that last no time left out, the others sorted by time.

    Raises BadSubtitles if nothing is left.
    """
    cues: list[tuple[float, list[str]]] = []
    sound = False
    for block in re.split(r"\n{2,}", text.strip())[1:]:
        lines = block.split("\n")
        at = next((number for number, line in enumerate(lines[:2]) if _TIMING.match(line)), None)
        body = [_plain(line) for line in lines[0 if at is None else at + 1 :]]
        if at is not None:
            found = _TIMING.match(lines[at])
            start_s, end_s = (time_s(found[1]), time_s(found[2])) if found else (None, None)
            sound = start_s is not None and end_s is not None and end_s > start_s
            if sound and start_s is not None:
                cues.append((start_s, [lines[at], *body]))
        elif sound:  # an empty line in the middle of a cue
            cues[-1][1].extend(body)
    if not cues:
        raise BadSubtitles(f"{name} has no cue")
    cues.sort(key=lambda cue: cue[0])
    return "WEBVTT\n\n" + "\n\n".join("\n".join(lines) for _, lines in cues) + "\n"


def read(path: Path, size_bytes_max: int) -> bytes:
    """The file as sound WebVTT. Raises BadSubtitles."""
    try:
        if path.stat().st_size > size_bytes_max:
            raise BadSubtitles(f"{path.name} is larger than {size_bytes_max} bytes", hint="give a subtitle file")
        content = path.read_bytes()
    except OSError as error:
        raise BadSubtitles(f"{path}: {error.strerror}", hint="check the path, and that Nearcast may read it") from error
    except ValueError as error:  # a NUL in the path
        raise BadSubtitles(f"{str(path)!r} is no path") from error
    text = decode(content, path.name)
    if path.suffix.lower() == ".srt" or (not text.startswith("WEBVTT") and re.match(r"^\s*\d+\s*\n\S+ --> ", text)):
        text = from_srt(text, path.name)
    check(text, path.name)
    return text.encode()


def language_of(tag: str, path: Path) -> str:
    """The given language, else the one in ``film.en.vtt``, else ``und``."""
    return language(tag or (path.suffixes[-2][1:] if len(path.suffixes) > 1 else "und"))
