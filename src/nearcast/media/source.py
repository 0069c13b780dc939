"""What a source file is, as far as encoding it must know: pure reading of ffprobe's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from msgspec import Struct

Hdr = Literal["", "pq", "hlg"]
_HDR: dict[str, Hdr] = {"smpte2084": "pq", "arib-std-b67": "hlg"}
_TEXT = {"subrip", "srt", "mov_text", "ass", "ssa", "webvtt", "text"}
_INTERLACED = {"tt", "bb", "tb", "bt"}
STANDARD_RATES = tuple(
    Fraction(each)
    for each in ("10", "12", "25/2", "15", "20", "24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60")
)
RATE_TOLERANCE = 0.002
"""Nominal and average frame rate may differ by this share and still be one constant rate."""
_PAIRS = (
    "eng en,fra fr,fre fr,deu de,ger de,spa es,ita it,por pt,nld nl,dut nl,rus ru,jpn ja,zho zh,chi zh,kor ko,hin hi,ara ar,pol pl,"
    "swe sv,dan da,nor no,nob nb,fin fi,ces cs,cze cs,hun hu,tur tr,ell el,gre el,heb he,tha th,vie vi,ukr uk,ron ro,rum ro,bul bg,"
    "hrv hr,slk sk,slo sk,slv sl,srp sr,ind id,msa ms,may ms,tam ta,tel te,ben bn,mar mr,urd ur,fas fa,per fa,cat ca,eus eu,baq eu"
)
_LANGUAGES = dict(pair.split() for pair in _PAIRS.split(","))
"""ISO 639-2 to ISO 639-1."""


class VideoStream(Struct, frozen=True, kw_only=True):
    """The picture. ``width`` and ``height`` are as displayed: rotated, with square pixels; ``frame_rate`` is what it is encoded at.

    ``start_s`` is when its first frame is shown, and ``duration_s`` when its last one ends, from the start of the film.
    """

    index: int
    codec: str
    width: int
    height: int
    frame_rate: tuple[int, int]
    variable: bool
    interlaced: bool
    bit_depth: int
    rotation: int
    duration_s: float
    start_s: float = 0.0
    hdr: Hdr = ""
    wide_gamut: bool = False
    primaries: str = ""
    transfer: str = ""
    matrix: str = ""
    full_range: bool = False
    plain: bool = False
    """Stored as an encoder takes it: 8-bit 4:2:0 of limited range, square pixels, even sides."""

    @property
    def rate(self) -> Fraction:
        return Fraction(*self.frame_rate)


class AudioStream(Struct, frozen=True, kw_only=True):
    index: int
    codec: str
    channels: int
    layout: str
    sample_rate_hz: int
    language: str
    label: str
    duration_s: float


class TextStream(Struct, frozen=True, kw_only=True):
    """Subtitles inside the film."""

    index: int
    codec: str
    language: str
    label: str

    @property
    def readable(self) -> bool:
        """Whether it is text; PGS, DVD and DVB subtitles are pictures of it."""
        return self.codec in _TEXT


class Source(Struct, frozen=True, kw_only=True):
    """One file. ``duration_s`` is that of its longest stream; ``format`` is ffprobe's name of the container."""

    path: str
    size_bytes: int
    modified_ns: int
    format: str
    duration_s: float
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    keyframe_gap_s: float = 0.0
    text: tuple[TextStream, ...] = ()


def rational(text: object) -> Fraction | None:
    """``24000/1001``; None for ``0/0`` and other nonsense."""
    try:
        value = Fraction(str(text).replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def constant_rate(
    nominal: Fraction | None, average: Fraction | None, rate_max: float, *, interlaced: bool = False
) -> tuple[Fraction, bool]:
    """The constant rate to encode at, and whether the source's own varies.

    ffprobe's nominal rate is the lowest on whose grid every frame lies. A film whose average equals it keeps it. A varying one
    gets the nearest standard rate, so that no frame is lost; where the nominal rate is only a clock (90 000 Hz), or counts fields,
    the standard rate at or above the average. Rates above ``rate_max`` are halved until they fit.
    """
    if average is None and nominal is None:
        return Fraction(25), True
    average, nominal = average or nominal, nominal or average
    assert average is not None  # noqa: S101  (one of the two is known)
    assert nominal is not None  # noqa: S101  (likewise)
    variable = abs(float(nominal / average) - 1) > RATE_TOLERANCE
    rate = nominal
    if variable and (nominal > STANDARD_RATES[-1] or interlaced):
        rate = next((each for each in STANDARD_RATES if each >= average * Fraction(99, 100)), STANDARD_RATES[-1])
    elif variable:
        rate = min(STANDARD_RATES, key=lambda each: (abs(float(each - nominal)), each))
    while rate > rate_max:
        rate /= 2
    if rate < 1:
        rate, variable = Fraction(10), True
    return rate.limit_denominator(1001), variable


def language(tag: str) -> str:
    """A BCP 47 tag: two letters where ISO 639-1 has them, ``und`` for unknown."""
    tag = tag.strip().replace("_", "-")
    first, _, rest = tag.partition("-")
    first = _LANGUAGES.get(first.lower(), first.lower())
    if not (2 <= len(first) <= 3 and first.isascii() and first.isalpha()):
        return "und"
    rest = rest if rest.replace("-", "").isalnum() and rest.isascii() else ""
    return f"{first}-{rest}" if rest else first


def rotation(stream: Mapping[str, Any]) -> int:
    """Degrees, 0 to 359."""
    for side in stream.get("side_data_list", ()):
        if "rotation" in side:
            return round(float(side["rotation"])) % 360
    return round(float(stream.get("tags", {}).get("rotate", 0) or 0)) % 360


def display_size(stream: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height with square pixels and upright."""
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    aspect = rational(stream.get("sample_aspect_ratio", "1:1")) or Fraction(1)
    if Fraction(1, 8) < aspect < 8:
        width = round(width * aspect)
    return (height, width) if rotation(stream) in (90, 270) else (width, height)


def bit_depth(pixel_format: str, raw_bits: object) -> int:
    if str(raw_bits or "").isdigit() and int(str(raw_bits)) > 0:
        return int(str(raw_bits))
    for depth in (16, 14, 12, 10, 9):
        if pixel_format.rstrip("lbe").endswith(str(depth)) or f"p{depth:03}" == pixel_format[:4]:
            return depth
    return 8


def duration(*candidates: object) -> float:
    """The first that is a positive number of seconds; 0.0 if none is. Matroska writes ``0:01:02.5`` into a tag."""
    for each in candidates:
        parts = str(each or "").split(":")
        try:
            value = float(sum(float(part) * 60**place for place, part in enumerate(reversed(parts))))
        except ValueError:
            continue
        if 0 < value < 1e7:
            return value
    return 0.0


def number(text: object, otherwise: float) -> float:
    try:
        return float(str(text))
    except ValueError:
        return otherwise


def video_stream(stream: Mapping[str, Any], container_s: float, origin_s: float, rate_max: float) -> VideoStream:
    interlaced = stream.get("field_order", "") in _INTERLACED
    nominal, average = rational(stream.get("r_frame_rate")), rational(stream.get("avg_frame_rate"))
    rate, variable = constant_rate(nominal, average, rate_max, interlaced=interlaced)
    width, height = display_size(stream)
    pixel_format, transfer = str(stream.get("pix_fmt", "")), str(stream.get("color_transfer", ""))
    primaries, matrix = str(stream.get("color_primaries", "")), str(stream.get("color_space", ""))
    return VideoStream(
        index=int(stream["index"]),
        codec=str(stream.get("codec_name", "")),
        width=width,
        height=height,
        frame_rate=(rate.numerator, rate.denominator),
        variable=variable,
        interlaced=interlaced,
        bit_depth=bit_depth(pixel_format, stream.get("bits_per_raw_sample")),
        rotation=rotation(stream),
        duration_s=duration(stream.get("duration"), stream.get("tags", {}).get("DURATION"), container_s),
        start_s=max(0.0, number(stream.get("start_time"), origin_s) - origin_s),
        hdr=_HDR.get(transfer, ""),
        wide_gamut=primaries == "bt2020" or matrix.startswith("bt2020"),
        primaries=primaries,
        transfer=transfer,
        matrix=matrix,
        full_range=stream.get("color_range") == "pc" or pixel_format.startswith("yuvj"),
        plain=pixel_format == "yuv420p" and stream.get("color_range") != "pc" and square_and_even(stream, width, height),
    )


def square_and_even(stream: Mapping[str, Any], width: int, height: int) -> bool:
    """Whether the picture is stored at the size at which it is displayed, perhaps turned, and its sides are even."""
    stored = int(stream["width"]), int(stream["height"])
    return sorted(stored) == sorted((width, height)) and not any(side & 1 for side in stored)


def audio_stream(stream: Mapping[str, Any], container_s: float) -> AudioStream:
    tags = stream.get("tags", {})
    return AudioStream(
        index=int(stream["index"]),
        codec=str(stream.get("codec_name", "")),
        channels=int(stream.get("channels", 0) or 0),
        layout=str(stream.get("channel_layout", "")),
        sample_rate_hz=int(stream.get("sample_rate", 0) or 0),
        language=language(str(tags.get("language", "und"))),
        label=str(tags.get("title", ""))[:80],
        duration_s=duration(stream.get("duration"), tags.get("DURATION"), container_s),
    )


def streams(report: Mapping[str, Any], rate_max: float) -> tuple[VideoStream | None, tuple[AudioStream, ...]]:
    """The picture (the default one, never a cover) and every audio track that ffmpeg can decode."""
    container_s = duration(report.get("format", {}).get("duration"))
    found: Sequence[Mapping[str, Any]] = report.get("streams", ())
    pictures = [
        each
        for each in found
        if each.get("codec_type") == "video"
        and not each.get("disposition", {}).get("attached_pic")
        and not each.get("disposition", {}).get("timed_thumbnails")
        and int(each.get("width", 0)) > 0
        and each.get("codec_name")
    ]
    sounds = [each for each in found if each.get("codec_type") == "audio" and each.get("codec_name") and int(each.get("channels", 0) or 0)]
    pictures.sort(key=lambda each: (not each.get("disposition", {}).get("default"), -int(each.get("width", 0)), each["index"]))
    origin_s = number(report.get("format", {}).get("start_time"), 0.0)
    video = video_stream(pictures[0], container_s, origin_s, rate_max) if pictures else None
    return video, tuple(audio_stream(each, container_s) for each in sounds)


def text_streams(report: Mapping[str, Any]) -> tuple[TextStream, ...]:
    """All subtitles, those that cannot be read among them."""
    found: Sequence[Mapping[str, Any]] = report.get("streams", ())
    return tuple(
        TextStream(
            index=int(each["index"]),
            codec=str(each.get("codec_name", "")),
            language=language(str(each.get("tags", {}).get("language", "und"))),
            label=str(each.get("tags", {}).get("title", ""))[:80],
        )
        for each in found
        if each.get("codec_type") == "subtitle"
    )
