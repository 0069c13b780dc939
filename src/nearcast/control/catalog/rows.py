"""Reading and writing the rows of the catalog: each function is one step inside a transaction of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from nearcast.control.store.tables import catalog_version, title_genres, titles
from nearcast.model.manifest import Manifest
from nearcast.model.title import VISIBLE, Metadata, Publication, Title
from nearcast.policy.titles import genre_key

_LISTED = [each for each in titles.c if each.name not in ("manifest", "submitted_metadata")]
_IDS_PER_QUERY = 500

_texts = msgspec.json.Decoder(tuple[str, ...]).decode
_manifest = msgspec.json.Decoder(Manifest).decode
_metadata = msgspec.json.Decoder(Metadata).decode


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A publication with what the catalog alone knows of it."""

    publication: Publication
    published_at: float
    submitted: Metadata | None


def version(connection: Connection) -> int:
    return int(connection.execute(select(catalog_version.c.version)).scalar_one())


def next_version(connection: Connection) -> int:
    """Counts up; under the transaction's lock, so versions appear in their order."""
    connection.execute(update(catalog_version).values(version=catalog_version.c.version + 1))
    return version(connection)


def find(connection: Connection, title_id: str) -> Stored | None:
    row = connection.execute(select(titles).where(titles.c.id == title_id)).first()
    if row is None:
        return None
    submitted = _metadata(row.submitted_metadata) if row.submitted_metadata else None
    return Stored(publication=_publication(row), published_at=row.published_at, submitted=submitted)


def find_title(connection: Connection, title_id: str) -> Title | None:
    row = connection.execute(select(*_LISTED).where(titles.c.id == title_id)).first()
    return None if row is None else _title(row)


def put(connection: Connection, publication: Publication, *, published_at: float, submitted: Metadata) -> None:
    """Write the title whole, under the next version."""
    values = _values(publication)
    values |= {
        "version": next_version(connection),
        "published_at": published_at,
        "submitted_metadata": msgspec.json.encode(submitted).decode(),
    }
    title_id = publication.title_id
    if connection.execute(update(titles).where(titles.c.id == title_id).values(**values)).rowcount == 0:
        connection.execute(insert(titles).values(id=title_id, **values))
    connection.execute(delete(title_genres).where(title_genres.c.title_id == title_id))
    genres = [{"title_id": title_id, "genre": genre_key(each)} for each in publication.metadata.genres]
    if genres:
        connection.execute(insert(title_genres), genres)


def listed(connection: Connection, *, genre: str, everything: bool, offset: int, limit: int) -> tuple[tuple[Title, ...], int]:
    """Newest first, and how many there are."""
    query: Select[Any] = select(*_LISTED)
    count: Select[Any] = select(func.count()).select_from(titles)
    if genre:
        inside = titles.c.id.in_(select(title_genres.c.title_id).where(title_genres.c.genre == genre_key(genre)))
        query, count = query.where(inside), count.where(inside)
    if not everything:
        query, count = query.where(titles.c.state.in_(VISIBLE)), count.where(titles.c.state.in_(VISIBLE))
    rows = connection.execute(query.order_by(titles.c.published_at.desc(), titles.c.id.desc()).offset(offset).limit(limit))
    found = tuple(_title(row) for row in rows)
    return found, connection.execute(count).scalar_one()


def by_ids(connection: Connection, ids: Sequence[str], *, everything: bool) -> tuple[Title, ...]:
    """In the order asked for; unknown ones left out."""
    found: dict[str, Title] = {}
    for start in range(0, len(ids), _IDS_PER_QUERY):
        query = select(*_LISTED).where(titles.c.id.in_(ids[start : start + _IDS_PER_QUERY]))
        if not everything:
            query = query.where(titles.c.state.in_(VISIBLE))
        found |= {row.id: _title(row) for row in connection.execute(query)}
    return tuple(found[each] for each in dict.fromkeys(ids) if each in found)


def published(connection: Connection) -> tuple[Publication, ...]:
    rows = connection.execute(select(titles).where(titles.c.state.in_(VISIBLE)).order_by(titles.c.version))
    return tuple(_publication(row) for row in rows)


def changed_since(connection: Connection, after: int, limit: int) -> tuple[tuple[Publication, ...], int]:
    """At most ``limit`` titles changed after version ``after``, oldest change first, and the version of the last one."""
    rows = connection.execute(select(titles).where(titles.c.version > after).order_by(titles.c.version).limit(limit)).all()
    last = rows[-1].version if len(rows) == limit else version(connection)
    return tuple(_publication(row) for row in rows), last


def _values(publication: Publication) -> dict[str, Any]:
    manifest = publication.manifest
    metadata = publication.metadata
    return {
        "name": metadata.name,
        "synopsis": metadata.synopsis,
        "year": metadata.year,
        "genres": _json(metadata.genres),
        "credit": metadata.credit,
        "state": publication.state,
        "generation": manifest.generation if manifest else 0,
        "runtime_s": manifest.duration_s if manifest else 0.0,
        "max_height": max((each.height for each in manifest.video), default=0) if manifest else 0,
        "audio_languages": _json(dict.fromkeys(each.language for each in manifest.audio) if manifest else ()),
        "text_languages": _json(dict.fromkeys(each.language for each in manifest.text) if manifest else ()),
        "poster": manifest is not None and manifest.poster is not None,
        "clear": manifest is not None and manifest.clear,
        "source_sha256": publication.source_sha256,
        "manifest": msgspec.json.encode(manifest).decode() if manifest else None,
    }


def _json(texts: Any) -> str:
    return msgspec.json.encode(list(texts)).decode()


def _row_metadata(row: Row[Any]) -> Metadata:
    return Metadata(name=row.name, synopsis=row.synopsis, year=row.year, genres=_texts(row.genres), credit=row.credit)


def _publication(row: Row[Any]) -> Publication:
    return Publication(
        title_id=row.id,
        metadata=_row_metadata(row),
        state=row.state,
        manifest=_manifest(row.manifest) if row.manifest else None,
        source_sha256=row.source_sha256,
    )


def _title(row: Row[Any]) -> Title:
    return Title(
        id=row.id,
        metadata=_row_metadata(row),
        state=row.state,
        runtime_s=row.runtime_s,
        max_height=row.max_height,
        poster_url=f"/api/v1/titles/{row.id}/poster.jpg" if row.poster else "",
        published_at=row.published_at,
        audio_languages=_texts(row.audio_languages),
        text_languages=_texts(row.text_languages),
        clear=row.clear,
    )
