"""Which rows a home page has, and in which order: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nearcast.model.services import Opinions
from nearcast.model.session import Bookmark
from nearcast.model.title import Row, Title
from nearcast.policy.titles import genre_key, personal

STARTED_S = 5.0
"""Who watched less has not begun."""


def continuing(bookmarks: Sequence[Bookmark]) -> list[Bookmark]:
    """Begun and not finished, newest first."""
    open_ones = [each for each in bookmarks if not each.finished and each.position_s >= STARTED_S]
    return sorted(open_ones, key=lambda each: -each.updated_at)


def home_rows(
    newest: Sequence[Title],
    chosen: Mapping[str, Title],
    bookmarks: Sequence[Bookmark],
    opinions: Opinions,
    *,
    row_titles: int,
    genre_rows: int,
) -> tuple[Row, ...]:
    """Continue watching, My List, new, then genres, the largest first; rows with nothing in them are left out.

    ``newest``: the library, newest first. ``chosen``: the titles of bookmarks and My List by id, as far as they can be played.
    """
    by_title = {each.title_id: each for each in bookmarks}

    def row(row_id: str, name: str, titles: Sequence[Title]) -> Row:
        return Row(id=row_id, name=name, titles=tuple(personal(each, by_title, opinions) for each in titles[:row_titles]))

    started = [chosen[each.title_id] for each in continuing(bookmarks) if each.title_id in chosen]
    listed = [chosen[each] for each in opinions.my_list if each in chosen]
    rows = [row("continue", "Continue watching", started), row("my-list", "My List", listed), row("new", "New", newest)]
    rows += [row(f"genre:{key}", name, titles) for key, name, titles in by_genre(newest)[:genre_rows]]
    return tuple(each for each in rows if each.titles)


def by_genre(titles: Sequence[Title]) -> list[tuple[str, str, list[Title]]]:
    """Key, name and titles of every genre, those with the most titles first. However it is written it is one genre, and it
    is called as most of its titles write it."""
    members: dict[str, list[Title]] = {}
    spellings: dict[str, Counter[str]] = {}
    for title in titles:
        for genre in {genre_key(each): each for each in title.metadata.genres}.values():
            key = genre_key(genre)
            members.setdefault(key, []).append(title)
            spellings.setdefault(key, Counter())[genre] += 1
    order = sorted(members, key=lambda key: (-len(members[key]), key))
    return [(key, max(sorted(spellings[key]), key=lambda name: spellings[key][name]), members[key]) for key in order]
