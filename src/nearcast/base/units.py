"""Sizes and durations as people read them."""

from __future__ import annotations


def bytes_text(size_bytes: float) -> str:
    """``1.5 GB``: powers of ten, as disks and networks are sold."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size_bytes) < 1000 or unit == "TB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable")


def duration_text(duration_s: float) -> str:
    """``1:02:03`` or ``2:03``."""
    whole = max(0, round(duration_s))
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
