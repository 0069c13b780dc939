"""HLS media playlists (RFC 8216) of single files, so that an edge serves a whole title alone. Pure."""

from __future__ import annotations

import base64
import math

from nearcast.media.boxes import Index

_HEAD = ("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS")


def target_duration_s(longest_s: float) -> int:
    """At least every segment's length rounded to a whole second."""
    return max(1, math.floor(longest_s + 0.5))


def media_playlist(index: Index, file_name: str, key_id: bytes | None) -> str:
    """The playlist of one rendition whose segments are byte ranges of ``file_name``.

    The key tag follows Shaka Packager's way for raw keys: KEYFORMAT ``identity`` and the key id as data; the key itself comes
    from the licence server that the player is given.
    """
    lines = [*_HEAD, f"#EXT-X-TARGETDURATION:{target_duration_s(max(each.duration_s for each in index.segments))}"]
    start, end = index.init_range
    lines.append(f'#EXT-X-MAP:URI="{file_name}",BYTERANGE="{end - start + 1}@{start}"')
    if key_id is not None:
        name = base64.b64encode(key_id).decode()
        lines.append(f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,{name}",KEYFORMAT="identity"')
    for each in index.segments:
        lines += [f"#EXTINF:{each.duration_s:.6f},", f"#EXT-X-BYTERANGE:{each.end - each.start}@{each.start}", file_name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def text_playlist(duration_s: float, file_name: str) -> str:
    """The playlist of one WebVTT file that lasts as long as the film."""
    lines = [*_HEAD, f"#EXT-X-TARGETDURATION:{math.ceil(max(1.0, duration_s))}", f"#EXTINF:{duration_s:.6f},", file_name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])
