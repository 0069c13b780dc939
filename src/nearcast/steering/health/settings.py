"""What can be set about how the health of appliances is learnt."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class HealthSettings(Struct, frozen=True, kw_only=True):
    """Probes from outside and the quorum."""

    probe_s: Annotated[float, Meta(ge=0.05, le=30, description="Interval at which each appliance is looked at from outside.")] = 0.3
    timeout_s: Annotated[float, Meta(ge=0.05, le=30, description="How long an appliance may take to answer a probe.")] = 0.5
    failures: Annotated[int, Meta(ge=1, le=20, description="So many probes in a row change an observer's mind.")] = 2
    publish_s: Annotated[float, Meta(ge=0.05, le=0.5, description="Interval at which the view is written for the other processes.")] = 0.25
