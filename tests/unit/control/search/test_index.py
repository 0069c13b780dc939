"""What people type, and what they should see first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.control.search.index import TitleIndex
from nearcast.model.title import Publication
from tests.unit.control.helpers import publication

LIBRARY = [
    publication("t_bunny", "Big Buck Bunny", genres=("Animation", "Comedy"), year=2008, credit="Blender Foundation",
                synopsis="A giant rabbit with a heart bigger than himself."),
    publication("t_sintel", "Sintel", genres=("Fantasy",), synopsis="A lonely young woman searches for a dragon she calls Scales."),
    publication("t_steel", "Tears of Steel", genres=("Sci-Fi",), synopsis="Robots in Amsterdam, and not one bunny."),
    publication("t_amelie", "Le Fabuleux Destin d'Amélie Poulain", genres=("Comedy",), year=2001),
    publication("t_chihiro", "千と千尋の神隠し", genres=("Animation",)),
    publication("t_dune", "Dune", year=1984),
    publication("t_dune2", "Dune: Part Two", year=2024),
    publication("t_2001", "2001: A Space Odyssey", year=1968),
    publication("t_city", "City of Dunes"),
    publication("t_gone", "Gone Title", state="unpublished"),
]  # fmt: skip


@pytest.fixture(scope="module")
def index() -> TitleIndex:
    made = TitleIndex()
    made.update(LIBRARY)
    made.commit()
    return made


def ids(index: TitleIndex, query: str) -> list[str]:
    return [each.removeprefix("t_") for each in index.search(query, 10)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("big buck bunny", "bunny"), ("bunny", "bunny"), ("BUNNY", "bunny"), ("bun", "bunny"), ("b", "bunny"), ("big bu", "bunny"),
        ("buny", "bunny"), ("bunyn", "bunny"), ("sintle", "sintel"), ("sint", "sintel"), ("sintl", "sintel"), ("teers of steel", "steel"),
        ("amelie", "amelie"), ("AMÉLIE", "amelie"), ("damelie", "amelie"), ("fabuleux poulain", "amelie"), ("dragon", "sintel"),
        ("dune", "dune"), ("dune part", "dune2"), ("dune 2024", "dune2"), ("dunes", "city"), ("2001", "2001"), ("千尋", "chihiro"),
        ("神隠し", "chihiro"), ("blender", "bunny"), ("sci-fi", "steel"), ("the big bunny movie", "bunny"), ("rabbit bigger", "bunny"),
    ],
)  # fmt: skip
def test_first_comes_what_was_meant(index: TitleIndex, query: str, first: str) -> None:
    assert ids(index, query)[:1] == [first]


def test_a_name_weighs_more_than_a_synopsis(index: TitleIndex) -> None:
    assert ids(index, "bunny") == ["bunny", "steel"]


def test_every_word_counts_where_some_title_has_them_all(index: TitleIndex) -> None:
    assert ids(index, "animation bunny") == ["bunny"]
    assert set(ids(index, "comedy")) == {"bunny", "amelie"}


@pytest.mark.parametrize("query", ["", "   ", "zzzzzz", "gone title unpublished zzz", "%", "_", "*", "?", "\x00", "\ud800", "🎬"])
def test_what_is_not_there_is_not_found(index: TitleIndex, query: str) -> None:
    assert "gone" not in ids(index, query)
    assert ids(index, query) == []


@pytest.mark.parametrize(
    "query",
    [
        'name:"bunny', "bunny AND", "AND OR NOT", "(((", "bunny)", "[* TO *]", "bunny^99999999999", "bunny~9", "+-!", "\\", "a" * 100_000,
        "bunny " * 10_000, "' OR 1=1 --", "name:bunny id:t_gone", "{}", "/(a+)+$/", "\u202ebunny", "ﷺ" * 400,
    ],
)  # fmt: skip
def test_hostile_queries_are_only_words(index: TitleIndex, query: str) -> None:
    assert "gone" not in ids(index, query)


@settings(max_examples=60, deadline=None)
@given(query=st.text(max_size=60))
def test_no_query_is_an_error(index: TitleIndex, query: str) -> None:
    assert len(index.search(query, 5)) <= 5


def test_the_index_follows_changes() -> None:
    index = TitleIndex()

    def update(*publications: Publication) -> None:
        index.update(publications)
        index.commit()

    update(publication("t_a", "First Name"), publication("t_b", "Other"))
    update(publication("t_a", "Second Name"))
    assert (index.search("first", 5), index.search("second", 5), len(index)) == ([], ["t_a"], 2)
    update(publication("t_a", "Second Name", state="unpublished"))
    assert (index.search("second", 5), len(index)) == ([], 1)
    index.clear()
    index.commit()
    assert len(index) == 0
