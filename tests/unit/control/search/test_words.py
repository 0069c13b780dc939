"""How text becomes words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.search.words import WORD_MAX, WORDS_MAX, edits, folded, query_words, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Amélie", ["amelie"]),
        ("AME\u0301LIE", ["amelie"]),
        ("Straße ŁÓDŹ Ærø Ørsted", ["strasse", "lodz", "aero", "orsted"]),
        ("Don't Look-Up (2021)!", ["dont", "look", "up", "2021"]),
        ("Брат 2", ["брат", "2"]),
        ("千と千尋の神隠し", list("千と千尋の神隠し")),
        ("기생충", ["기생충"]),
        ("हिन्दी फ़िल्म", ["हिन्दी", unicodedata.normalize("NFC", "फ़िल्म")]),
        ("ﬁlm ＡＢＣ", ["film", "abc"]),
        ("", []),
        ("\x00 \ud800 🎬 %_*", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_however_a_text_is_composed_or_cased_its_words_are_the_same(text: str) -> None:
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text)) == words(text)
    assert folded(folded(text)) == folded(text)


@given(st.text(st.characters(codec="ascii")))
def test_plain_text_has_the_same_words_on_the_short_way(text: str) -> None:
    assert words(text) == words(text + " \u00df")[:-1]


@given(st.text(max_size=2000))
def test_a_query_is_bounded(text: str) -> None:
    found = query_words(text)
    assert len(found) <= WORDS_MAX
    assert len(set(found)) == len(found)
    assert all(0 < len(each) <= WORD_MAX for each in found)


@pytest.mark.parametrize(("word", "allowed"), [("up", 0), ("her", 0), ("2001", 0), ("bunny", 1), ("dune", 1)])
def test_short_words_and_numbers_are_taken_as_they_are(word: str, allowed: int) -> None:
    assert edits(word) == allowed
