"""From heartbeat to bookmark: clamped, finished at the credits, and never moved back by what comes late."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.history.bookmarks import POSITION_MAX_S, BadHeartbeat, Mark, bookmark_of, newest
from nearcast.model.session import Bookmark, Heartbeat

positions = st.floats(allow_nan=False)


def mark(position_s: float, *, runtime_s: float = 100.0, state: str = "playing") -> Bookmark | None:
    heartbeat = Heartbeat(position_s=position_s, state=state)  # type: ignore[arg-type]  # literals
    return bookmark_of(heartbeat, title_id="t", runtime_s=runtime_s, now_s=7.0, finished_share=0.95)


@given(positions, st.floats(0.0, 1e6))
def test_a_bookmark_is_inside_its_title(position_s: float, runtime_s: float) -> None:
    found = mark(position_s, runtime_s=runtime_s)
    assert found is not None
    assert 0.0 <= found.position_s <= (runtime_s or POSITION_MAX_S)
    assert math.isfinite(found.position_s)


@pytest.mark.parametrize(
    ("position_s", "runtime_s", "state", "finished"),
    [
        (94.9, 100.0, "playing", False),
        (95.0, 100.0, "playing", True),
        (95.0, 100.0, "paused", True),
        (500.0, 100.0, "playing", True),
        (10.0, 100.0, "ended", True),
        (500.0, 0.0, "playing", False),
        (500.0, 0.0, "ended", True),
        (0.0, 0.0, "playing", False),
    ],
)
def test_finished_is_what_reached_the_credits_or_ended(position_s: float, runtime_s: float, state: str, finished: bool) -> None:
    found = mark(position_s, runtime_s=runtime_s, state=state)
    assert found is not None
    assert found.finished is finished


def test_a_failed_playback_moves_no_bookmark_and_no_number_is_refused() -> None:
    assert mark(0.0, state="failed") is None
    with pytest.raises(BadHeartbeat):
        mark(float("nan"))


marks = st.lists(
    st.builds(
        lambda profile_id, title_id, at, position: Mark(
            profile_id, Bookmark(title_id=title_id, position_s=position, runtime_s=100.0, updated_at=at)
        ),
        st.sampled_from(["p1", "p2"]),
        st.sampled_from(["t1", "t2"]),
        st.integers(0, 5).map(float),
        st.integers(0, 99).map(float),
    ),
    max_size=12,
)


@given(marks)
def test_of_a_batch_the_newest_of_each_is_kept_and_the_last_of_those(batch: list[Mark]) -> None:
    kept = newest(batch)
    assert len({(each.profile_id, each.bookmark.title_id) for each in kept}) == len(kept)
    for key, group in itertools.groupby(sorted(batch, key=key_of), key=key_of):
        best = max(group, key=lambda each: each.bookmark.updated_at)
        same = [each for each in batch if key_of(each) == key and each.bookmark.updated_at == best.bookmark.updated_at]
        assert next(each for each in kept if key_of(each) == key) == same[-1]


def key_of(mark: Mark) -> tuple[str, str]:
    return mark.profile_id, mark.bookmark.title_id
