"""Titles as people see them: what a film is called, and whether it can be played."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.manifest import Manifest

TitleState = Literal["processing", "playable", "complete", "unpublished"]
"""processing: nothing to play yet; playable: some renditions are in; complete: all of them; unpublished: withdrawn."""
VISIBLE: tuple[TitleState, ...] = ("playable", "complete")
"""The states in which viewers see a title, search finds it, edges hold it, and Play plays it."""


class Metadata(Struct, frozen=True, kw_only=True):
    """What an editor may change at any time without touching a byte of video."""

    name: str
    synopsis: str = ""
    year: int | None = None
    genres: tuple[str, ...] = ()
    credit: str = ""


class Title(Struct, frozen=True, kw_only=True):
    """One film in lists and rows. ``poster_url`` is below the gateway (``/api/v1/titles/{id}/poster.jpg``), empty if none.

    ``position_s`` is the viewer's bookmark where one is known; ``in_my_list`` and ``rating`` (-1, 0, 1, 2) are the profile's.
    """

    id: str
    metadata: Metadata
    state: TitleState
    runtime_s: float = 0.0
    max_height: int = 0
    poster_url: str = ""
    published_at: float = 0.0
    audio_languages: tuple[str, ...] = ()
    text_languages: tuple[str, ...] = ()
    clear: bool = False
    position_s: float | None = None
    in_my_list: bool = False
    rating: int = 0


class Row(Struct, frozen=True, kw_only=True):
    """A row of the home page. ``id`` is stable (``continue``, ``new``, ``my-list``, ``genre:drama``)."""

    id: str
    name: str
    titles: tuple[Title, ...]


class Publication(Struct, frozen=True, kw_only=True):
    """What the catalog stores of a title: its metadata, its manifest and the source it was made from."""

    title_id: str
    metadata: Metadata
    state: TitleState
    manifest: Manifest | None = None
    source_sha256: str = ""
