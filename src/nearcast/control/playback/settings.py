"""Settings of playback: how long answers are kept near it, and what a session is told."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]


class PlaybackSettings(Struct, frozen=True, kw_only=True):
    """What playback may keep, how long it waits, and how a session behaves."""

    publication_cache_s: Annotated[
        Seconds, Meta(description="for how long a title's manifest is kept before the catalog is asked again")
    ] = 3.0
    entitlement_cache_s: Annotated[
        Seconds, Meta(description="for how long it is kept whether an account may watch; a lapse acts after so long")
    ] = 2.0
    stale_s: Annotated[Seconds, Meta(description="for how long kept answers serve while the service that gave them is down")] = 60.0
    cache_entries_max: Annotated[int, Meta(ge=1, description="how many titles and accounts are kept")] = 2000
    call_timeout_s: Annotated[float, Meta(gt=0, description="how long accounts, license, catalog and steering have to answer")] = 2.0
    bookmark_timeout_s: Annotated[
        float, Meta(gt=0, description="how long history has to answer; after that a film starts at its beginning")
    ] = 0.25
    heartbeat_s: Annotated[float, Meta(gt=0, description="how often a player reports")] = 10.0
    edges: Annotated[int, Meta(ge=1, le=8, description="how many edges a session is given, in as many failure domains as there are")] = 3
    spare_edges: Annotated[
        int, Meta(ge=0, le=8, description="how many more of them steering documents and fetched manifests name, for when all those fail")
    ] = 2
    resume_min_s: Annotated[Seconds, Meta(description="a film left before this position starts at its beginning")] = 5.0
    steering_ttl_s: Annotated[int, Meta(ge=1, description="how often players ask for their edges again")] = 60
    steering_ttl_degraded_s: Annotated[
        int, Meta(ge=1, description="the same while an edge is missing, drains, is full or sick, or the health view is stale")
    ] = 10
