"""Settings of the viewing history."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class HistorySettings(Struct, frozen=True, kw_only=True):
    """How heartbeats are written."""

    linger_s: Annotated[float, Meta(ge=0, le=5, description="how long a heartbeat waits for others to be written with it")] = 0.05
    batch_max: Annotated[int, Meta(ge=1, le=100_000, description="heartbeats written in one transaction")] = 1000
    waiting_max: Annotated[int, Meta(ge=1, description="heartbeats waiting to be written before more are refused")] = 20_000
    runtime_ttl_s: Annotated[float, Meta(gt=0, description="how long a title's runtime is kept before the catalog is asked again")] = 300.0
    finished_share: Annotated[float, Meta(gt=0, le=1, description="the share of a title after which it counts as watched")] = 0.95
