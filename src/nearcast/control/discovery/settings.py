"""Settings of discovery."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class DiscoverySettings(Struct, frozen=True, kw_only=True):
    """How long what registers may stay silent."""

    lease_min_s: Annotated[float, Meta(gt=0, description="the shortest lease given, whatever is asked for")] = 1.0
    lease_max_s: Annotated[float, Meta(gt=0, description="the longest lease given, whatever is asked for")] = 300.0
