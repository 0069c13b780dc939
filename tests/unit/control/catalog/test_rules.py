"""Metadata within limits, and what a publication does to what was there."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.catalog import rules
from nearcast.model.title import Metadata
from tests.unit.control.helpers import publication


def test_metadata_is_trimmed_composed_and_its_genres_told_apart() -> None:
    given_ = Metadata(name="  Ame\u0301lie \n 2 ", synopsis=" a\nb ", year=2001, genres=("Sci-Fi", " sci-fi ", "Drame"), credit=" me  ")
    assert rules.checked_metadata(given_) == Metadata(
        name="Am\u00e9lie 2", synopsis="a\nb", year=2001, genres=("Sci-Fi", "Drame"), credit="me"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "  "}, {"name": "x" * 201}, {"name": "a\x00b"}, {"name": "\ud800"},
        {"year": 1869}, {"year": 2201}, {"year": -1},
        {"synopsis": "x" * 5001}, {"synopsis": "a\x1bb"}, {"genres": ("",)}, {"genres": ("x" * 41,)}, {"credit": "x" * 1001},
        {"genres": tuple(f"genre {n}" for n in range(11))}, {"genres": ("a",) * 41},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_hint(change: dict[str, object]) -> None:
    with pytest.raises(rules.BadMetadata) as caught:
        rules.checked_metadata(msgspec.structs.replace(Metadata(name="One"), **change))
    assert caught.value.hint


@given(st.text(), st.text(), st.integers(), st.lists(st.text(), max_size=5))
def test_checked_metadata_can_be_stored_and_is_not_changed_by_a_second_check(
    name: str, synopsis: str, year: int, genres: list[str]
) -> None:
    try:
        once = rules.checked_metadata(Metadata(name=name, synopsis=synopsis, year=year, genres=tuple(genres)))
    except rules.BadMetadata:
        return
    assert rules.checked_metadata(once) == once
    assert msgspec.json.decode(msgspec.json.encode(once), type=Metadata) == once


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_the_generation_never_goes_back(generations: list[int]) -> None:
    stored = publication(state="processing")
    for generation in generations:
        before = stored.manifest.generation if stored.manifest else 0
        try:
            stored = rules.merged(stored, publication(generation=generation))
        except rules.OldManifest:
            assert generation < before
        assert stored.manifest is not None
        assert stored.manifest.generation == max(before, generation)


def test_a_publication_without_a_manifest_leaves_the_title_playing() -> None:
    stored = publication(generation=4)
    merged = rules.merged(stored, publication(state="processing"))
    assert (merged.manifest, merged.state) == (stored.manifest, "complete")


@pytest.mark.parametrize("title_id", ["", "../x", "a b", "x" * 33, "t_ü", "%", "t_\x00"])
def test_a_title_id_is_safe_in_paths(title_id: str) -> None:
    with pytest.raises(rules.BadPublication):
        rules.checked_publication(msgspec.structs.replace(publication(), title_id=title_id))


def test_a_publication_must_not_contradict_itself() -> None:
    one = publication()
    assert one.manifest is not None
    silent = msgspec.structs.replace(one.manifest, video=(), audio=())
    for bad in (
        msgspec.structs.replace(one, manifest=None),
        msgspec.structs.replace(one, manifest=silent),
        msgspec.structs.replace(one, manifest=publication("t_other").manifest),
    ):
        with pytest.raises(rules.BadPublication):
            rules.checked_publication(bad)
