"""Settings of the catalog."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class CatalogSettings(Struct, frozen=True, kw_only=True):
    """How changes are followed."""

    poll_s: Annotated[float, Meta(gt=0, le=10, description="how often a waiting follower looks for changes made by other processes")] = 0.25
    wait_max_s: Annotated[float, Meta(gt=0, le=300, description="the longest that a follower may wait in one call")] = 60.0
