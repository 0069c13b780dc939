"""A title's manifest: everything a player or an edge must know of its files. Immutable; a change is a new manifest."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from nearcast.model.rendition import File, Rendition, TextTrack, Thumbnails


class Manifest(Struct, frozen=True, kw_only=True):
    """``complete`` is False while better renditions are still being encoded; the title plays all the same.

    ``generation`` counts up with each manifest of one title. ``pssh`` (base64, common system id, version 1, all
    key ids of the title) is empty where the title is clear. ``video`` is empty for audio-only titles, and the other way round.
    """

    title_id: str
    generation: int
    complete: bool
    duration_s: float
    created_at: float
    video: tuple[Rendition, ...] = ()
    audio: tuple[Rendition, ...] = ()
    text: tuple[TextTrack, ...] = ()
    poster: File | None = None
    thumbnails: Thumbnails | None = None
    pssh: str = ""

    @property
    def clear(self) -> bool:
        return not self.pssh

    def files(self) -> Iterator[File]:
        """Every file of the title, once each, in the order in which an edge should fetch them: small ones first."""
        found: dict[str, File] = {}
        for picture in (self.poster, self.thumbnails.file if self.thumbnails else None):
            if picture:
                found[picture.root] = picture
        for track in self.text:
            found[track.playlist.root] = track.playlist
            found[track.file.root] = track.file
        for rendition in (*self.audio, *sorted(self.video, key=lambda each: each.bitrate_bps)):
            found[rendition.playlist.root] = rendition.playlist
            found[rendition.file.root] = rendition.file
        yield from found.values()
