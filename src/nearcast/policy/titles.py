"""How a title is seen: what one profile adds to it, and under which key a genre is found. Pure; home, catalog and gateway agree by it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import msgspec

from nearcast.model.services import Opinions
from nearcast.model.session import Bookmark
from nearcast.model.title import Title


def personal(title: Title, bookmarks: Mapping[str, Bookmark], opinions: Opinions) -> Title:
    """``title`` as one profile sees it. ``bookmarks`` are by title id; a film that was seen to its end has no position."""
    bookmark = bookmarks.get(title.id)
    return msgspec.structs.replace(
        title,
        position_s=bookmark.position_s if bookmark and not bookmark.finished else None,
        in_my_list=title.id in opinions.my_list,
        rating=opinions.ratings.get(title.id, 0),
    )


def genre_key(genre: str) -> str:
    """Under which a genre is found, however it is written."""
    return unicodedata.normalize("NFKC", genre).casefold().strip()
