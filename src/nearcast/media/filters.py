"""ffmpeg filter graphs: the source as the encoder sees it (constant rate, progressive, 8-bit, BT.709 SDR, square pixels). Pure.

HDR is tone-mapped in linear light (zimg, Hable's curve) after scaling, which costs a quarter at 1080p of what it costs at 2160p.
What is plain is scaled by zimg (spline of 36 taps), which takes two fifths of swscale's time and scores a little higher (VMAF).
"""

from __future__ import annotations

from nearcast.media.ladder import Rung
from nearcast.media.plan import Chunk
from nearcast.media.source import VideoStream

NOMINAL_PEAK_NITS = 100
_KNOWN = ("", "unknown", "reserved", "unspecified")
_ZIMG_MATRIX = {"bt2020nc": "2020_ncl", "bt2020c": "2020_cl", "bt709": "709"}
_ZIMG_PRIMARIES = {"bt2020": "2020", "bt709": "709", "smpte432": "smpte432"}


def _to_709(video: VideoStream) -> list[str]:
    """From HDR or wide gamut to BT.709, ending in 8 bits."""
    matrix = _ZIMG_MATRIX.get(video.matrix, "2020_ncl")
    primaries = _ZIMG_PRIMARIES.get(video.primaries, "2020")
    transfer = {"pq": "smpte2084", "hlg": "arib-std-b67"}.get(video.hdr, "bt709")
    span = "full" if video.full_range else "limited"
    into = f"zscale=matrixin={matrix}:primariesin={primaries}:transferin={transfer}:rangein={span}"
    if not video.hdr:
        return [f"{into}:matrix=709:primaries=709:transfer=709:range=limited", "format=yuv420p"]
    return [
        f"{into}:transfer=linear:npl={NOMINAL_PEAK_NITS}",
        "format=gbrpf32le",
        "zscale=primaries=709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=transfer=709:matrix=709:range=limited",
        "format=yuv420p",
    ]


def _declared(video: VideoStream, height: int) -> str:
    """Colours as they must be declared, so that every rendition says the same and no player guesses by size."""
    if video.hdr or video.wide_gamut:
        return "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    guess = "bt709" if height >= 720 else "smpte170m"
    matrix = guess if video.matrix in (*_KNOWN, "gbr") else video.matrix
    primaries = guess if video.primaries in _KNOWN else video.primaries
    transfer = guess if video.transfer in _KNOWN else video.transfer
    return f"setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}:range=tv"


def steps(video: VideoStream, first: bool) -> list[str]:
    """Deinterlacing, then the constant rate. ``first``: decoding begins with the film, whose start is filled up to zero."""
    rate = f"{video.frame_rate[0]}/{video.frame_rate[1]}"
    found = ["bwdif=mode=send_frame:parity=auto:deint=all"] if video.interlaced else []
    return [*found, f"fps=fps={rate}" + (":start_time=0" if first else "")]


def cut(chunk: Chunk) -> list[str]:
    """The chunk's frames of the global grid, counted from zero."""
    end = "" if chunk.end is None else f":end_pts={chunk.end}"
    return [f"trim=start_pts={chunk.start}{end}", f"setpts=PTS-{chunk.start}"]


def smaller(width: int, height: int) -> str:
    """To ``width`` x ``height``, from a picture with even sides."""
    return f"setfield=prog,zscale={width}:{height}:filter=spline36"


def picture(video: VideoStream, width: int, height: int) -> list[str]:
    """From the source's picture to 8-bit 4:2:0 at ``width`` x ``height``."""
    if video.plain and not video.wide_gamut and not video.hdr:
        scaled = [] if (width, height) == (video.width, video.height) else [smaller(width, height)]
        return [*scaled, "format=yuv420p", _declared(video, video.height), "setsar=1"]
    scale = f"scale={width}:{height}:flags=bicubic"
    if video.hdr or video.wide_gamut:
        return [scale, *_to_709(video), _declared(video, video.height), "setsar=1"]
    matrix = "bt709" if video.height >= 720 else "smpte170m"
    to_yuv = f":out_color_matrix={matrix}" if video.matrix == "gbr" else ""
    return [f"{scale}:out_range=tv{to_yuv}", "format=yuv420p", _declared(video, video.height), "setsar=1"]


def graph(video: VideoStream, rungs: tuple[Rung, ...], chunk: Chunk, *, first: bool) -> str:
    """The graph of one task: one decode, one output pad ``v0``, ``v1``, … per rung.

    The largest rung is made from the source and each smaller one from the next larger: a cascade costs two fifths of scaling
    each from the source, and tone-mapping is paid for once.
    """
    order = sorted(rungs, key=lambda each: -each.height)
    largest = order[0]
    filters = ",".join([*steps(video, first), *cut(chunk), *picture(video, largest.width, largest.height)])
    parts = [f"[0:{video.index}]{filters}"]
    for number, rung in enumerate(order):
        pad = f"[v{rungs.index(rung)}]"
        if number == len(order) - 1:
            parts[-1] += pad
            break
        below = order[number + 1]
        parts[-1] += f",split=2{pad}[s{number}]"
        parts.append(f"[s{number}]{smaller(below.width, below.height)},setsar=1")
    return ";".join(parts)


def sound(stream: int, channels: int) -> str:
    """One audio track on the film's time line: silence where it starts late or has holes, 48 kHz."""
    target = "stereo" if channels <= 2 else "5.1"
    return f"[0:{stream}]aresample=48000:async=1:min_hard_comp=0.1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts={target}[a]"
