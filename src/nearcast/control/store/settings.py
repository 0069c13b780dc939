"""Settings of the relational store."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class StoreSettings(Struct, frozen=True, kw_only=True):
    """How the relational store is reached."""

    url: Annotated[str, Meta(description="address of the database as SQLAlchemy writes it; empty: SQLite in the home folder")] = ""
    readers: Annotated[int, Meta(ge=1, le=64, description="threads, and connections, that read at once")] = 4
    synchronous: Annotated[
        Literal["normal", "full"],
        Meta(description="SQLite: full survives a power cut with every commit; normal may lose the last ones, never the file"),
    ] = "full"
    busy_timeout_ms: Annotated[int, Meta(ge=0, le=60_000, description="how long a writer waits for another process's write")] = 5000
