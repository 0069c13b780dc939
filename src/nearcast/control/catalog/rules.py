"""What may be written of a title, and what follows from a manifest: pure functions over the model's Structs."""

from __future__ import annotations

import unicodedata

import msgspec

from nearcast.base.errors import BadInput, Conflict
from nearcast.model.title import VISIBLE, Metadata, Publication
from nearcast.policy.titles import genre_key

NAME_MAX = 200
SYNOPSIS_MAX = 5000
CREDIT_MAX = 1000
GENRE_MAX = 40
GENRES_MAX = 10
YEAR_MIN = 1870  # some years before the first film that is still seen, of 1878
YEAR_MAX = 2200


class BadMetadata(BadInput):
    """A title's name, synopsis, year, genres or credit cannot be used."""

    code = "NC4201"


class BadPublication(BadInput):
    """A publication contradicts itself."""

    code = "NC4202"
    cure = "ingest the film again; `nearcast titles` shows what the catalog holds"


class OldManifest(Conflict):
    """A newer manifest of the title is already published."""

    code = "NC4203"
    cure = "nothing has to be done: the newer one stays"


def checked_metadata(metadata: Metadata, *, named: bool = True) -> Metadata:
    """Trimmed, composed (NFC) and within limits; without a name only where it need not be ``named``. Raises BadMetadata, which says
    what to change."""
    if metadata.year is not None and not YEAR_MIN <= metadata.year <= YEAR_MAX:
        raise BadMetadata(f"the year {metadata.year} cannot be", hint=f"give a year from {YEAR_MIN} to {YEAR_MAX}, or none")
    if len(metadata.genres) > 4 * GENRES_MAX:
        raise BadMetadata(f"{len(metadata.genres)} genres are too many", hint=f"give at most {GENRES_MAX}")
    genres: dict[str, str] = {}
    for each in metadata.genres:
        genre = _line(each, "genre", GENRE_MAX, needed=True)
        genres.setdefault(genre_key(genre), genre)
    if len(genres) > GENRES_MAX:
        raise BadMetadata(f"{len(genres)} genres are too many", hint=f"give at most {GENRES_MAX}")
    return Metadata(
        name=_line(metadata.name, "name", NAME_MAX, needed=named),
        synopsis=_text(metadata.synopsis, "synopsis", SYNOPSIS_MAX),
        year=metadata.year,
        genres=tuple(genres.values()),
        credit=_line(metadata.credit, "credit", CREDIT_MAX),
    )


def _line(text: str, what: str, longest: int, *, needed: bool = False) -> str:
    line = _text(" ".join(text.split()), what, longest)
    if needed and not line:
        raise BadMetadata(f"the {what} is empty", hint=f"give a {what} of 1 to {longest} characters")
    return line


def _text(text: str, what: str, longest: int) -> str:
    composed = unicodedata.normalize("NFC", text.strip())
    if len(composed) > longest:
        raise BadMetadata(f"the {what} has {len(composed)} characters, {longest} are the most", hint=f"shorten the {what}")
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t\r" for char in composed):
        raise BadMetadata(f"the {what} holds characters that cannot be shown", hint="remove control characters")
    return composed


def checked_publication(publication: Publication) -> Publication:
    """Its metadata checked, and its manifest its own. What its metadata leaves empty is for ``kept_metadata``, the name too."""
    title_id = publication.title_id
    if not 0 < len(title_id) <= 32 or not title_id.replace("_", "").replace("-", "").isalnum() or not title_id.isascii():
        raise BadPublication(f"{title_id[:40]!r} is no title id")
    manifest = publication.manifest
    if manifest is not None and manifest.title_id != title_id:
        raise BadPublication(f"the manifest is of title {manifest.title_id}, not of {title_id}")
    if publication.state in VISIBLE:
        if manifest is None:
            raise BadPublication(f"the title is called {publication.state} but has no manifest")
        if not manifest.video and not manifest.audio:
            raise BadPublication("the manifest has nothing to play")
    return msgspec.structs.replace(publication, metadata=checked_metadata(publication.metadata, named=False))


def merged(stored: Publication, incoming: Publication) -> Publication:
    """What ``incoming`` makes of a title that is there. Raises OldManifest when it comes after a newer one.

    The same manifest again is taken: a publisher that was killed before it heard the answer asks once more. Without a manifest,
    as when a film begins to be ingested anew, the title goes on playing by the one it has.
    """
    if incoming.manifest is None:
        return msgspec.structs.replace(incoming, manifest=stored.manifest, state=stored.state) if stored.manifest else incoming
    generation = stored.manifest.generation if stored.manifest else 0
    if incoming.manifest.generation < generation:
        raise OldManifest(f"manifest {incoming.manifest.generation} comes too late: {generation} is published")
    return incoming


def kept_metadata(stored: Metadata, submitted: Metadata | None, incoming: Metadata) -> Metadata:
    """Which metadata stands after a publication. An ingest publishes several times what its submission said; what an editor
    wrote in between stays, unless the submission itself is a new one. What a new one leaves empty stays, too."""
    if submitted == incoming:
        return stored
    told = {field: value for field, value in msgspec.structs.asdict(incoming).items() if value not in ("", None, ())}
    return msgspec.structs.replace(stored, **told)
