"""One profile's view of a title, and genres however they are written."""

from __future__ import annotations

import pytest

from nearcast.model.services import Opinions
from nearcast.model.session import Bookmark
from nearcast.model.title import Metadata, Title
from nearcast.policy.titles import genre_key, personal

TITLE = Title(id="t_film", metadata=Metadata(name="A Film"), state="complete")
NO_OPINIONS = Opinions(my_list=(), ratings={})


def bookmark(*, finished: bool = False) -> dict[str, Bookmark]:
    return {"t_film": Bookmark(title_id="t_film", position_s=61.5, runtime_s=100.0, updated_at=1.0, finished=finished)}


def test_a_title_nobody_has_touched_is_as_it_was() -> None:
    assert personal(TITLE, {}, NO_OPINIONS) == TITLE


def test_bookmark_list_and_rating_are_the_profiles() -> None:
    found = personal(TITLE, bookmark(), Opinions(my_list=("t_other", "t_film"), ratings={"t_film": 2}))
    assert (found.position_s, found.in_my_list, found.rating) == (61.5, True, 2)


def test_a_film_seen_to_its_end_has_no_position() -> None:
    assert personal(TITLE, bookmark(finished=True), NO_OPINIONS).position_s is None


@pytest.mark.parametrize("text", ["Straße", " STRASSE ", "strasse", "\uff33trasse"])
def test_a_genre_is_one_however_it_is_written(text: str) -> None:
    assert genre_key(text) == "strasse"
