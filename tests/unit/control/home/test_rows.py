"""Which rows a home page has."""

from __future__ import annotations

from nearcast.control.home.rows import by_genre, continuing, home_rows
from nearcast.model.services import Opinions
from nearcast.model.session import Bookmark
from nearcast.model.title import Metadata, Row, Title


def title(title_id: str, *genres: str) -> Title:
    return Title(id=title_id, metadata=Metadata(name=title_id, genres=genres), state="complete", runtime_s=100.0)


def bookmark(title_id: str, position_s: float, at: float, *, finished: bool = False) -> Bookmark:
    return Bookmark(title_id=title_id, position_s=position_s, runtime_s=100.0, updated_at=at, finished=finished)


NEWEST = [title("t_c", "Drama"), title("t_b", "drama", "Sci-Fi"), title("t_a", "DRAMA ", "Drama")]
NOTHING = Opinions(my_list=(), ratings={})


def rows(bookmarks: list[Bookmark], opinions: Opinions, *, row_titles: int = 10, genre_rows: int = 10) -> dict[str, Row]:
    chosen = {each.id: each for each in [*NEWEST, title("t_old")]}
    found = home_rows(NEWEST, chosen, bookmarks, opinions, row_titles=row_titles, genre_rows=genre_rows)
    return {each.id: each for each in found}


def ids(row: Row) -> list[str]:
    return [each.id for each in row.titles]


def test_rows_come_in_their_order_and_empty_ones_are_left_out() -> None:
    assert list(rows([], NOTHING)) == ["new", "genre:drama", "genre:sci-fi"]
    full = rows([bookmark("t_b", 50, 1)], Opinions(my_list=("t_a",), ratings={}))
    assert list(full) == ["continue", "my-list", "new", "genre:drama", "genre:sci-fi"]
    assert home_rows([], {}, [], NOTHING, row_titles=10, genre_rows=10) == ()


def test_continue_watching_is_what_was_begun_and_not_finished_newest_first() -> None:
    marks = [bookmark("t_a", 50, 1), bookmark("t_b", 99, 5, finished=True), bookmark("t_c", 4, 4), bookmark("t_old", 60, 3)]
    assert ids(rows(marks, NOTHING)["continue"]) == ["t_old", "t_a"]
    assert [each.title_id for each in continuing(marks)] == ["t_old", "t_a"]


def test_what_cannot_be_played_any_more_is_in_no_row() -> None:
    found = rows([bookmark("t_gone", 50, 1)], Opinions(my_list=("t_gone",), ratings={}))
    assert list(found) == ["new", "genre:drama", "genre:sci-fi"]


def test_titles_carry_what_the_profile_did_with_them() -> None:
    found = rows([bookmark("t_b", 50, 1), bookmark("t_c", 97, 1, finished=True)], Opinions(my_list=("t_a",), ratings={"t_b": 2}))
    by_id = {each.id: each for each in found["new"].titles}
    assert (by_id["t_b"].position_s, by_id["t_b"].rating, by_id["t_b"].in_my_list) == (50, 2, False)
    assert (by_id["t_c"].position_s, by_id["t_a"].in_my_list) == (None, True)


def test_rows_and_their_number_are_bounded() -> None:
    found = rows([], NOTHING, row_titles=2, genre_rows=1)
    assert list(found) == ["new", "genre:drama"]
    assert ids(found["new"]) == ["t_c", "t_b"]


def test_a_genre_is_one_however_it_is_written_and_called_as_most_write_it() -> None:
    titles = [*NEWEST, title("t_d", "Drama"), title("t_e", "Ｄrama")]
    key, name, members = by_genre(titles)[0]
    assert (key, name, [each.id for each in members]) == ("drama", "Drama", ["t_c", "t_b", "t_a", "t_d", "t_e"])
