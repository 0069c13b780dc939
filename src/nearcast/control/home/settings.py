"""Settings of the home page."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class HomeSettings(Struct, frozen=True, kw_only=True):
    """How much of the library the page shows."""

    row_titles: Annotated[int, Meta(ge=1, le=200, description="titles in one row at most")] = 20
    genre_rows: Annotated[int, Meta(ge=0, le=50, description="rows by genre at most, those with the most titles first")] = 12
    library_titles: Annotated[int, Meta(ge=1, le=1000, description="newest titles from which the rows are made")] = 500
    part_timeout_s: Annotated[float, Meta(gt=0, description="how long bookmarks and My List may take before the page comes without")] = 1.0
