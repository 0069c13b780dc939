"""The DASH manifest of one session: static, on-demand profile, a SegmentBase for each rendition, a BaseURL for each edge.

ISO/IEC 23009-1 (element order included), content steering after ETSI TS 103 998, protection after ISO/IEC 23001-7 with the
common system id, so that one licence request serves the whole title: every ContentProtection carries the same pssh.
Renditions of one language under different keys stand in adaptation sets of their own that name each other as switchable
(DASH-IF IOP, ``adaptation-set-switching``), because one set under several keys is what players disagree on.

``defaultServiceLocation`` is left out on purpose: it is optional, BaseURLs stand in order of preference anyway, and Shaka
Player takes the one location that it names as the only one until the first steering document is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from html import escape
from itertools import groupby

from nearcast.model.manifest import Manifest
from nearcast.model.rendition import Rendition, TextTrack
from nearcast.model.route import EdgeChoice

VMAF = "urn:nearcast:vmaf:2026"
"""A property of a Representation: its VMAF against the source, harmonic mean over frames. Players that do not know it pass it by."""
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
_ILLEGAL = {code: None for code in range(0x20) if code not in (0x9, 0xA, 0xD)} | {0xFFFE: None, 0xFFFF: None, 0x7F: None}
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_NOMINAL_RATES = [Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)]
_NTSC_RATES = [Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120)]


def mpd(manifest: Manifest, video: Sequence[Rendition], audio: Sequence[Rendition], edges: Sequence[EdgeChoice], steering_url: str) -> str:
    """The MPD that offers ``video`` and ``audio`` of ``manifest`` from ``edges``, best first. ``steering_url`` is absolute."""
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013" type="static"'
        ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"'
        f' mediaPresentationDuration="{duration(manifest.duration_s)}" minBufferTime="PT2S">\n'
    ]
    out += [f'<BaseURL serviceLocation="{_text(each.pathway)}">{_text(each.base_url)}</BaseURL>\n' for each in edges]
    if steering_url:
        out += [f'<ContentSteering queryBeforeStart="false">{_text(steering_url)}</ContentSteering>\n']
    out += ['<Period id="0" start="PT0S">\n']
    out += _adaptation_sets(manifest, video, audio)
    out += ["</Period>\n</MPD>\n"]
    return "".join(out)


def _adaptation_sets(manifest: Manifest, video: Sequence[Rendition], audio: Sequence[Rendition]) -> Iterable[str]:
    groups = [*_groups(video), *_groups(audio)]
    for number, group in enumerate(groups):
        switchable = [other for other, each in enumerate(groups) if other != number and _track(each[0]) == _track(group[0])]
        yield from _media_set(number, group, manifest.pssh, switchable, main=_is_main(group[0], audio))
    for number, track in enumerate(manifest.text, start=len(groups)):
        yield _text_set(number, track, first=number == len(groups))


def _track(rendition: Rendition) -> tuple[object, ...]:
    """Renditions between which a player may switch without anybody noticing more than the quality."""
    return rendition.kind, rendition.language, rendition.label, rendition.channels, rendition.codec.split(".")[0]


def _groups(renditions: Sequence[Rendition]) -> list[list[Rendition]]:
    """An adaptation set each: one track under one key, in the order of the manifest's tracks and then of bits."""
    order: dict[tuple[object, ...], int] = {}
    for each in renditions:
        order.setdefault(_track(each), len(order))

    def key(each: Rendition) -> tuple[int, str]:
        return order[_track(each)], each.key_id or ""

    labels = {each.key_id or "": index for index, each in enumerate(renditions)}
    in_order = sorted(renditions, key=lambda each: (order[_track(each)], labels[each.key_id or ""], each.bitrate_bps))
    return [list(group) for _, group in groupby(in_order, key=key)]


def _is_main(rendition: Rendition, audio: Sequence[Rendition]) -> bool:
    return rendition.kind == "video" or _track(rendition) == _track(audio[0])


def _media_set(number: int, group: list[Rendition], pssh: str, switchable: list[int], *, main: bool) -> Iterable[str]:
    first = group[0]
    language = f' lang="{_language(first.language)}"' if first.kind == "audio" else ""
    yield (
        f'<AdaptationSet id="{number}" contentType="{first.kind}" mimeType="{first.kind}/mp4"{language}'
        ' segmentAlignment="true" subsegmentAlignment="true" subsegmentStartsWithSAP="1" startWithSAP="1">\n'
    )
    if first.channels:
        yield _descriptor("AudioChannelConfiguration", "urn:mpeg:dash:23003:3:audio_channel_configuration:2011", first.channels)
    if first.key_id:
        yield protection(first.key_id, pssh)
    if switchable:
        others = ",".join(map(str, switchable))
        yield _descriptor("SupplementalProperty", "urn:mpeg:dash:adaptation-set-switching:2016", others)
    if first.label:
        yield f"<Label>{_text(first.label)}</Label>\n"
    yield _descriptor("Role", "urn:mpeg:dash:role:2011", "main" if main else "alternate")
    for each in group:
        yield _representation(each)
    yield "</AdaptationSet>\n"


def _representation(each: Rendition) -> str:
    shape = ""
    if each.kind == "video":
        shape = f' width="{each.width}" height="{each.height}"'
        shape += f' frameRate="{frame_rate(each.frame_rate)}"' if each.frame_rate > 0 else ""
    elif each.sample_rate_hz:
        shape = f' audioSamplingRate="{each.sample_rate_hz}"'
    quality = _descriptor("SupplementalProperty", VMAF, f"{each.vmaf.harmonic_mean:.2f}") if each.vmaf else ""
    return (
        f'<Representation id="{_text(each.file.root[:16])}" bandwidth="{max(each.bitrate_bps, each.peak_bitrate_bps)}"'
        f' codecs="{_text(each.codec)}"{shape}>\n{quality}'
        f"<BaseURL>{_text(each.file.name)}</BaseURL>\n"
        f'<SegmentBase indexRange="{each.index_range[0]}-{each.index_range[1]}">'
        f'<Initialization range="{each.init_range[0]}-{each.init_range[1]}"/></SegmentBase>\n'
        "</Representation>\n"
    )


def protection(key_id: str, pssh: str) -> str:
    """What says under which key a set is: common encryption's scheme and key id, and Clear Key with the title's pssh."""
    box = f"<cenc:pssh>{_text(pssh)}</cenc:pssh>" if pssh else ""
    return (
        '<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs"'
        f' cenc:default_KID="{hyphenated(key_id)}"/>\n'
        f'<ContentProtection schemeIdUri="{CLEAR_KEY}" value="ClearKey1.0">{box}</ContentProtection>\n'
    )


def _text_set(number: int, track: TextTrack, *, first: bool) -> str:
    label = f"<Label>{_text(track.label)}</Label>\n" if track.label else ""
    return (
        f'<AdaptationSet id="{number}" contentType="text" mimeType="text/vtt" lang="{_language(track.language)}">\n'
        f"{label}{_descriptor('Role', 'urn:mpeg:dash:role:2011', 'subtitle')}"
        f'<Representation id="{_text(track.file.root[:16])}" bandwidth="256">\n'
        f"<BaseURL>{_text(track.file.name)}</BaseURL>\n</Representation>\n</AdaptationSet>\n"
    )


def _descriptor(element: str, scheme: str, value: object) -> str:
    return f'<{element} schemeIdUri="{scheme}" value="{value}"/>\n'


def hyphenated(key_id: str) -> str:
    """32 hex digits as a UUID."""
    return "-".join((key_id[:8], key_id[8:12], key_id[12:16], key_id[16:20], key_id[20:]))


def duration(seconds: float) -> str:
    """An xs:duration with milliseconds."""
    return f"PT{max(0.0, seconds):.3f}S"


def frame_rate(rate: float) -> str:
    """``25`` or ``30000/1001``: the schema takes whole numbers and ratios only."""
    nearest = min((*_NOMINAL_RATES, *_NTSC_RATES), key=lambda each: abs(float(each) - rate))
    exact = nearest if abs(float(nearest) - rate) < 0.005 else Fraction(rate).limit_denominator(1001)
    exact = max(exact, Fraction(1, 1001))
    return str(exact.numerator) if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}"


def _language(tag: str) -> str:
    """BCP 47, as xs:language takes it; ``und`` for what is none."""
    return tag if _LANGUAGE.fullmatch(tag) else "und"


def _text(text: str) -> str:
    """Escaped, and without the characters that XML 1.0 cannot hold."""
    return escape(text.translate(_ILLEGAL))
