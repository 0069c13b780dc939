"""The fixed ladder: which renditions a source gets. Numbers in, rungs out.

A film between two rungs (a scope film of 1920x800, a phone video of 1278x716) also gets its own size as the top rung when
that shows a fifth more pixels than the rung below; nothing is ever scaled up.
"""

from __future__ import annotations

import itertools

from msgspec import Struct

from nearcast.model.rendition import KeyLabel, video_key_label

HEIGHTS = (240, 360, 480, 720, 1080)
_RATE_CAPS_BPS = {240: 400_000, 360: 800_000, 480: 1_500_000, 720: 3_200_000, 1080: 6_000_000}
OWN_SIZE_GAIN = 1.2
WIDTH_MAX = 1920
"""A source between rungs keeps its own size only up to this width."""
BASE_RATE = 30.0


class Rung(Struct, frozen=True, kw_only=True):
    """One rendition to make. ``rate_cap_bps`` is x264's maxrate; ``label`` names the key that protects it."""

    name: str
    width: int
    height: int
    rate_cap_bps: int
    label: KeyLabel


def even(value: float) -> int:
    """The nearest even number, at least 2."""
    return max(2, 2 * round(value / 2))


def even_down(value: int) -> int:
    return max(2, value - value % 2)


def rate_cap_bps(width: int, height: int, frame_rate: float) -> int:
    """Between the caps of the ladder in proportion to pixels; fast films get half as much again at twice the rate."""
    pixels = width * height
    points = [(each * each * 16 / 9, cap) for each, cap in _RATE_CAPS_BPS.items()]
    if pixels <= points[0][0]:
        cap = max(100_000.0, points[0][1] * pixels / points[0][0])
    else:
        cap = float(points[-1][1])
        for (low, low_cap), (high, high_cap) in itertools.pairwise(points):
            if low < pixels <= high:
                cap = low_cap + (high_cap - low_cap) * (pixels - low) / (high - low)
                break
    return round(cap * max(1.0, 1 + 0.5 * (min(frame_rate, 60.0) / BASE_RATE - 1)))


def ladder(width: int, height: int, frame_rate: float) -> tuple[Rung, ...]:
    """The rungs for a film displayed at ``width`` x ``height``, smallest first."""

    def rung(wide: int, high: int) -> Rung:
        cap = rate_cap_bps(wide, high, frame_rate)
        return Rung(name=f"{high}p", width=wide, height=high, rate_cap_bps=cap, label=video_key_label(high))

    sizes = [(min(even(width * high / height), max(2, even_down(width))), high) for high in HEIGHTS if high <= height]
    top_pixels = sizes[-1][0] * sizes[-1][1] if sizes else 0
    own = (even_down(width), even_down(height))
    if not sizes or (height < HEIGHTS[-1] and width <= WIDTH_MAX and own[0] * own[1] >= OWN_SIZE_GAIN * top_pixels):
        sizes.append(own)
    return tuple(rung(*each) for each in sizes)


def starter(rungs: tuple[Rung, ...], wanted_height: int) -> Rung:
    """The rung that is made first: the highest not above ``wanted_height``, else the lowest."""
    fitting = [each for each in rungs if each.height <= wanted_height]
    return fitting[-1] if fitting else rungs[0]
