"""Which files a session gets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.playback import selection
from nearcast.model.account import Entitlement
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import KeyLabel
from nearcast.model.services import SteerAnswer
from nearcast.model.session import Bookmark
from nearcast.model.title import TitleState
from tests.fakes import EDGES, LADDER, film, rendition
from tests.unit.control.playback.helpers import edges, manifest_of

LABELS: tuple[KeyLabel, ...] = ("AUDIO", "SD", "HD", "UHD")


@pytest.mark.parametrize(
    ("entitlement", "state", "refused"),
    [
        (Entitlement(allowed=True), "complete", ""),
        (Entitlement(allowed=True), "playable", ""),
        (Entitlement(allowed=True), "processing", "processing"),
        (Entitlement(allowed=False, reason="lapsed"), "complete", "lapsed"),
        (Entitlement(allowed=False, reason="lapsed"), "processing", "lapsed"),
        (Entitlement(allowed=False, reason="revoked"), "complete", "revoked"),
        (Entitlement(allowed=False, reason="unknown"), "complete", "revoked"),
    ],
)
def test_refusals(entitlement: Entitlement, state: TitleState, refused: str) -> None:
    assert selection.refusal(entitlement, film(state=state)) == refused


def test_a_title_without_a_rendition_is_still_processing() -> None:
    bare = film(state="playable", ladder=(), languages=())
    assert selection.refusal(Entitlement(allowed=True), bare) == "processing"


def test_audio_alone_is_playable() -> None:
    assert selection.refusal(Entitlement(allowed=True), film(ladder=())) == ""


def heights(manifest: Manifest, labels: tuple[KeyLabel, ...], max_height: int) -> list[int]:
    return [each.height for each in selection.renditions(manifest, labels, max_height)[0]]


def test_renditions_are_bound_by_height_and_by_keys() -> None:
    manifest = manifest_of(film())
    assert heights(manifest, LABELS, 2160) == [240, 360, 480, 720, 1080]
    assert heights(manifest, LABELS, 719) == [240, 360, 480]
    assert heights(manifest, ("AUDIO", "SD"), 2160) == [240, 360, 480]
    assert heights(manifest, LABELS, 100) == [240], "a small screen shows the lowest all the same"
    assert heights(manifest, ("AUDIO",), 2160) == []


def test_a_clear_film_needs_no_keys() -> None:
    manifest = manifest_of(film(clear=True))
    video, audio = selection.renditions(manifest, (), 2160)
    assert len(video) == len(LADDER)
    assert len(audio) == 2
    assert selection.key_labels(manifest, LABELS, 2160) == ()


def test_an_upright_film_counts_by_its_shorter_side() -> None:
    upright = rendition("t", "1080p", 1, width=1080, height=1920)
    assert selection.lines(upright) == 1080
    assert selection.lines(rendition("t", "1080p", 1, width=1920, height=1080)) == 1080


@given(st.integers(1, 4000), st.lists(st.sampled_from(LABELS), unique=True))
def test_a_session_has_exactly_the_keys_of_what_it_is_shown(max_height: int, granted: list[KeyLabel]) -> None:
    manifest = manifest_of(film())
    labels = selection.key_labels(manifest, granted, max_height)
    video, audio = selection.renditions(manifest, labels, max_height)
    assert set(labels) <= set(granted)
    assert {each.key_label for each in (*video, *audio)} == set(labels)
    assert (video, audio) == selection.renditions(manifest, granted, max_height)
    assert [each.bitrate_bps for each in video] == sorted(each.bitrate_bps for each in video)


@pytest.mark.parametrize(
    ("position_s", "finished", "resume_s"),
    [(30.0, False, 30.0), (4.9, False, 0.0), (5.0, False, 5.0), (60.0, False, 0.0), (30.0, True, 0.0)],
)
def test_resume(position_s: float, finished: bool, resume_s: float) -> None:
    bookmark = Bookmark(title_id="t", position_s=position_s, runtime_s=60.0, updated_at=0.0, finished=finished)
    assert selection.resume_s(bookmark, 60.0, 5.0) == resume_s


def test_without_a_bookmark_a_film_starts_at_its_beginning() -> None:
    assert selection.resume_s(None, 60.0, 5.0) == 0.0


@given(st.floats(0, 1e6), st.floats(0, 1e5), st.booleans())
def test_resume_is_always_within_the_film(position_s: float, runtime_s: float, finished: bool) -> None:
    bookmark = Bookmark(title_id="t", position_s=position_s, runtime_s=runtime_s, updated_at=0.0, finished=finished)
    assert 0 <= selection.resume_s(bookmark, runtime_s, 5.0) <= runtime_s


def test_players_ask_again_soon_while_something_is_wrong() -> None:
    settled = SteerAnswer(edges=edges(*EDGES[:3]), prefix="")
    for answer, ttl_s in (
        (settled, 60),
        (msgspec.structs.replace(settled, unsettled=True), 10),
        (msgspec.structs.replace(settled, source="last-known"), 10),
    ):
        assert selection.steering_ttl_s(answer, ttl_s=60, degraded_ttl_s=10) == ttl_s


def test_the_past_speed_bounds_what_is_high_alone() -> None:
    manifest = manifest_of(film())
    rates = {each.height: each.bitrate_bps for each in manifest.video}

    def offered(past_bps: int) -> list[int]:
        return [each.height for each in selection.renditions(manifest, LABELS, 2160, past_bps)[0]]

    assert offered(0) == [240, 360, 480, 720, 1080], "nothing is known"
    assert offered(1) == [240, 360, 480, 720], "a line may have become better"
    assert offered(rates[1080] // 4 + 1) == [240, 360, 480, 720, 1080]
    assert offered(rates[1080] // 4 - 1) == [240, 360, 480, 720]


@given(st.integers(0, 10**8), st.integers(1, 4000))
def test_something_is_always_offered_and_its_keys_are_given(past_bps: int, max_height: int) -> None:
    manifest = manifest_of(film())
    labels = selection.key_labels(manifest, LABELS, max_height, past_bps)
    video, _ = selection.renditions(manifest, labels, max_height, past_bps)
    assert video
    assert video == selection.renditions(manifest, LABELS, max_height, past_bps)[0]
    assert {each.key_label for each in video} == set(labels) - {"AUDIO"}


def test_the_first_video_is_what_the_line_carries() -> None:
    video, _ = selection.renditions(manifest_of(film()), LABELS, 2160)
    assert selection.first_video(video, 0) == 2
    assert selection.first_video(video, 100_000) == 0
    assert selection.first_video(video, 6_100_000) == 3
    assert selection.first_video(video, 10**9) == 4
