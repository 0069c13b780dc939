"""Settings of search."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class SearchSettings(Struct, frozen=True, kw_only=True):
    """How the index follows the catalog."""

    wait_s: Annotated[float, Meta(gt=0, le=60, description="how long one question for changes waits at the catalog")] = 20.0
    retry_s: Annotated[float, Meta(gt=0, le=60, description="the pause before a catalog that does not answer is asked again")] = 1.0
    first_wait_s: Annotated[float, Meta(ge=0, le=10, description="how long a search waits for an index that is being built")] = 2.0
