"""The HLS multivariant playlist of one session: a variant for each rendition and edge, the edges as steering's pathways.

RFC 8216bis: the media playlists lie on the edges beside the files that they name relatively, so that after this one document
nothing but an edge is needed. Groups are named by pathway; STABLE ids tell a player which renditions are the same across them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nearcast.model.manifest import Manifest
from nearcast.model.rendition import Rendition, TextTrack
from nearcast.model.route import EdgeChoice
from nearcast.model.session import PathwayClone, UriReplacement

Value = str | int | float


def multivariant(
    manifest: Manifest,
    video: Sequence[Rendition],
    audio: Sequence[Rendition],
    edges: Sequence[EdgeChoice],
    steering_url: str,
    *,
    first: int = 0,
) -> str:
    """The playlist that offers ``video`` and ``audio`` of ``manifest`` from ``edges``, best first.

    ``first`` is the index of the video to begin with: a player starts with the variant that stands first.
    """
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if steering_url and edges:
        lines += [_tag("EXT-X-CONTENT-STEERING", {"SERVER-URI": _quoted(steering_url), "PATHWAY-ID": _quoted(edges[0].pathway)})]
    for edge in edges:
        lines += _media(manifest, audio, edge, alone=not video)
    ordered = [*video[first : first + 1], *video[:first], *video[first + 1 :]]
    for edge in edges:
        lines += _variants(manifest, ordered, audio, edge)
    return "\n".join(lines) + "\n"


def clone(manifest: Manifest, video: Sequence[Rendition], audio: Sequence[Rendition], base_id: str, edge: EdgeChoice) -> PathwayClone:
    """The pathway of ``edge`` for a player whose playlist has that of ``base_id`` and may lack this one (RFC 8216bis, 7.2).

    Every address is named, as the MAC in them differs by appliance; another HOST alone would not do.
    """
    groups = [group for group, _ in _codec_groups(audio)] or [""]
    mains = (
        [(each, group) for each in video for group in groups] if video else [(tracks[0], group) for group, tracks in _codec_groups(audio)]
    )
    others: tuple[Rendition | TextTrack, ...] = (*audio, *manifest.text)
    renditions = {each.file.root: edge.base_url + each.playlist.name for each in others}
    variants = {_stable_id(main, group): edge.base_url + main.playlist.name for main, group in mains}
    return PathwayClone(base_id=base_id, id=edge.pathway, uri_replacement=UriReplacement(variants=variants, renditions=renditions))


def _media(manifest: Manifest, audio: Sequence[Rendition], edge: EdgeChoice, *, alone: bool) -> Iterable[str]:
    for group, tracks in _codec_groups(audio):
        for index, (name, track) in enumerate(zip(_names(tracks), tracks, strict=True)):
            yield _tag(
                "EXT-X-MEDIA",
                {
                    "TYPE": "AUDIO",
                    "GROUP-ID": _quoted(f"{group}-{edge.pathway}"),
                    "NAME": _quoted(name),
                    "LANGUAGE": _quoted(track.language),
                    "DEFAULT": "YES" if index == 0 else "NO",
                    "AUTOSELECT": "YES",
                    **({"CHANNELS": _quoted(str(track.channels))} if track.channels else {}),
                    "STABLE-RENDITION-ID": _quoted(track.file.root),
                    "URI": _quoted(edge.base_url + track.playlist.name),
                },
            )
    for name, text in zip(_names(manifest.text), manifest.text, strict=True):
        yield _tag(
            "EXT-X-MEDIA",
            {
                "TYPE": "SUBTITLES",
                "GROUP-ID": _quoted(f"text-{edge.pathway}"),
                "NAME": _quoted(name),
                "LANGUAGE": _quoted(text.language),
                "DEFAULT": "NO",
                "AUTOSELECT": "YES",
                "FORCED": "NO",
                "STABLE-RENDITION-ID": _quoted(text.file.root),
                "URI": _quoted(edge.base_url + text.playlist.name),
            },
        )


def _variants(manifest: Manifest, video: Sequence[Rendition], audio: Sequence[Rendition], edge: EdgeChoice) -> Iterable[str]:
    groups = _codec_groups(audio)
    for each in video:
        for group, tracks in groups or [("", [])]:
            yield from _variant(manifest, each, group, tracks, edge)
    if not video:
        for group, tracks in groups:
            yield from _variant(manifest, tracks[0], group, [], edge)


def _variant(manifest: Manifest, main: Rendition, group: str, tracks: Sequence[Rendition], edge: EdgeChoice) -> Iterable[str]:
    """``tracks`` are played beside ``main``; the dearest of them counts into the bandwidth (RFC 8216, 4.4.6.2)."""
    codecs = list(dict.fromkeys([main.codec, *(each.codec for each in tracks[:1])]))
    attributes: dict[str, Value] = {
        "BANDWIDTH": _peak(main) + max((_peak(each) for each in tracks), default=0),
        "AVERAGE-BANDWIDTH": main.bitrate_bps + max((each.bitrate_bps for each in tracks), default=0),
        "CODECS": _quoted(",".join(codecs)),
    }
    if main.kind == "video":
        attributes["RESOLUTION"] = f"{main.width}x{main.height}"
        if main.frame_rate > 0:
            attributes["FRAME-RATE"] = f"{main.frame_rate:.3f}"
    if group:
        attributes["AUDIO"] = _quoted(f"{group}-{edge.pathway}")
    if manifest.text:
        attributes["SUBTITLES"] = _quoted(f"text-{edge.pathway}")
    attributes["PATHWAY-ID"] = _quoted(edge.pathway)
    attributes["STABLE-VARIANT-ID"] = _quoted(_stable_id(main, group))
    yield _tag("EXT-X-STREAM-INF", attributes)
    yield edge.base_url + main.playlist.name


def _stable_id(main: Rendition, group: str) -> str:
    return main.file.root + (f".{group}" if group else "")


def _peak(rendition: Rendition) -> int:
    return max(rendition.peak_bitrate_bps, rendition.bitrate_bps)


def _codec_groups(audio: Sequence[Rendition]) -> list[tuple[str, list[Rendition]]]:
    """Audio by codec: all that stands in one group must be decodable by who can decode one of it."""
    groups: dict[str, list[Rendition]] = {}
    for each in audio:
        groups.setdefault(f"audio-{each.codec.split('.')[0]}", []).append(each)
    return list(groups.items())


def _names(tracks: Sequence[Rendition | TextTrack]) -> list[str]:
    """A name for each, no two alike, as NAME must be within a group."""
    names: list[str] = []
    for track in tracks:
        wanted = track.label or track.language
        name, number = wanted, 2
        while name in names:
            name, number = f"{wanted} {number}", number + 1
        names.append(name)
    return names


def _tag(name: str, attributes: dict[str, Value]) -> str:
    return f"#{name}:" + ",".join(f"{key}={value}" for key, value in attributes.items())


def _quoted(text: str) -> str:
    """A quoted string holds neither quotes nor line ends."""
    clean = "".join(each for each in text if each >= " " and each not in "\x7f\x85\u2028\u2029").replace('"', "'")
    return f'"{clean}"'
