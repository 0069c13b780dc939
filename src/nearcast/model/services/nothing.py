"""The empty question, and the empty answer."""

from __future__ import annotations

from msgspec import Struct


class Nothing(Struct, frozen=True):
    """Nothing to ask, or nothing to tell."""
